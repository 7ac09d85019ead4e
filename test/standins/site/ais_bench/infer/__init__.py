"""The vendor's ais_bench has its program in this package; the stand-in's is in __main__.py."""
