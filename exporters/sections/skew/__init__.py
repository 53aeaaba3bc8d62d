"""Training-serving skew: features at serving against the same features recomputed offline."""
