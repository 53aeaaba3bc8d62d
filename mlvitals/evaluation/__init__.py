"""What monitoring is worth: a history with known faults, replayed through the exporter and the generated rules."""
