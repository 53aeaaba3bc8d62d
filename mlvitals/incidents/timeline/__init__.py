"""What happened and when: events of many sources as one timeline, and the times it took."""
