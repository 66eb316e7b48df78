"""The nouns of cryodata, on NumPy and the standard library alone."""
