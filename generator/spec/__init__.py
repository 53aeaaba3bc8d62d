"""The spec language: typed model, strict loading with positions, JSON Schema for editors."""
