"""Architectures of networks: their weights, and their export to ONNX."""
