"""How the recipe `refined` was chosen."""
