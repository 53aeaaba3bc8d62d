"""What happens after an alert: where it arrives, and what people make of it."""
