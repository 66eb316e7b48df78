"""From a list of entries to a version of a dataset."""
