"""Comparison of a device's taps with PyTorch's: find the stage that loses accuracy, and the kind of the difference."""
