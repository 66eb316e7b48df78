"""cryodata: cryo-EM maps and fitted models in, versioned training data out."""
