"""Counts in, numbers out: cells, profiles, distances, noise floors."""
