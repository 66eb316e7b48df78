"""Which entries show proteins alike: pairs of chains, splits that follow from them, and what a split lets through."""
