"""The timeline of an incident: events of many sources in one order, and the times it took."""
