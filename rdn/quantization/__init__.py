"""Quantization: eight bits for the layers of an exported network that lose little accuracy by it."""
