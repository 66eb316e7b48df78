"""How much one entry costs to build, beside the published procedure and beside what no builder can go below."""
