"""A stand-in: the stand-in for atc imports this package, but uses nothing from it."""
