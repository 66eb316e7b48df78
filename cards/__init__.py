"""Dataset cards: the template, and what each builder says of its dataset. Installed as `cryodata_cards`."""
