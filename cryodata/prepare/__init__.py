"""Pure functions on the nouns: arrays and models in, arrays and models out."""
