"""Real data: the 336,776 flights that left New York City in 2013, and a model of how late they arrive."""
