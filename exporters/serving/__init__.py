"""The instrumentation that a serving application imports. It needs no other part of this package."""
