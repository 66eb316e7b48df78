"""How fast sub-grids reach a training loop."""
