"""How long it takes to hold a model against its map."""
