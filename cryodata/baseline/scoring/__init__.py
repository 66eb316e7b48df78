"""What models are compared by: pairs, chains, sequences, thresholds."""
