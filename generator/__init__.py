"""Spec to files: dashboards, rules with their tests, runbooks. No network, no clock, no numpy."""
