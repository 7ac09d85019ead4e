"""Accelerators and their tools, for step 5 of the guide."""
