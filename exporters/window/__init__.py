"""One window of the prediction log: measured, judged next to earlier windows, reported."""
