"""How long splits by sequence take, and what the search for pairs misses."""
