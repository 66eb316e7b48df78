"""How the choice of bytes was made."""
