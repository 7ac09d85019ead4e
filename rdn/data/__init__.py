"""Prepared sets: how images become inputs and labels, how these are stored, and which known set they are."""
