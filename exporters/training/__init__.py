"""Training data in, a reference out; and the first look at training data from which a spec starts."""
