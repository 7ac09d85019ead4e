"""Accuracy: PSNR against the labels, agreement with PyTorch, and result.json."""
