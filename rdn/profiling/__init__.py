"""Profiles of the device, and the white list of the transpose operator."""
