"""Records that are one and the same: normalised, blocked, scored, clustered."""
