"""Metadata of pictures: read, and kept true for the enlarged picture."""
