"""A FastAPI application instrumented with PredictionTelemetry."""
