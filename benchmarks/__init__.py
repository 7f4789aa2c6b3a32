"""Measurements: `python -m benchmarks`. May import the backend, never the reverse."""
