"""Chains through candidates: what links are worth, the best paths, and which copy a stretch belongs to."""
