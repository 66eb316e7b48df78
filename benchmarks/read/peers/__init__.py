"""Other loaders, each over a layout of its own of the same volumes; one file a library.

A file begins with the libraries it needs (`# requires: name ...`), installed in an environment of its own, and is run
there as a module by `benchmarks.read.runner`.
"""
