"""Features and prediction scores: drift and data quality."""
