"""Outcomes of more than two classes: their codes, what is counted of them, and how they are judged."""
