"""Paths in, rows out: prediction logs, training data and events from files, object stores and SQL tables."""
