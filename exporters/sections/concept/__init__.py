"""Concept drift: control charts on the gap to the outcomes, and the drift type."""
