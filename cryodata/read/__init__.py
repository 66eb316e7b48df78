"""From a version to examples: `load_dataset` and what is behind it."""
