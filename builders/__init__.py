"""The datasets of cryodata: one builder, one file. Installed as `cryodata_builders`."""
