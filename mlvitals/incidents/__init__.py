"""Incidents: the delivery of alerts and the response to them."""
