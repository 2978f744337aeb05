"""Benchmarks against hand-written peers: `python -m benchmarks.run` from the repository root. Not in the wheel."""
