"""A stand-in for the vendor's ais_bench: see __main__.py."""
