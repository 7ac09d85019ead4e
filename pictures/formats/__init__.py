"""Picture formats: one module reads and writes each of them, and registry.py lists them."""
