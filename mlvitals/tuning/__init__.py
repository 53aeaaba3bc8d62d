"""Proposals for a spec from measured history: thresholds, windows, conditions and cooldowns."""
