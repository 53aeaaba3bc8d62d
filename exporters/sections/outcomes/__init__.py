"""Outcomes of earlier predictions: feedback, agreement, performance."""
