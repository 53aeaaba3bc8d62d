"""Faults that are put into a history that really happened, to see what would have noticed them."""
