"""StreamRec: a simulated content recommender, its prediction log, its faults, and its serving application."""
