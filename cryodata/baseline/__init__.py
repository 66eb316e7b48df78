"""The reference baseline: networks trained on a dataset, maps predicted, chains traced, models judged."""
