"""Business events counted in a log of their own."""
