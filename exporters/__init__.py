"""Data to metrics: measures a window of the prediction log against the training reference and publishes it."""
