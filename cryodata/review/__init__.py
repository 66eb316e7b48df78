"""People look at what was built: a picture of one entry, a page of a version."""
