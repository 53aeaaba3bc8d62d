"""Evaluation of the monitoring: a history with known faults, replayed through the exporter and the generated rules."""
