"""Tools for developers: benchmarks, fault injection, fuzzing. Run one with `python3 -m tools.NAME`."""
