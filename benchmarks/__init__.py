"""Benchmarks mirror the package; each answers one question. Results are kept as JSON in `results/`."""
