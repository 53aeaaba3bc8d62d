"""Reports as Prometheus metrics, OpenMetrics, SQL rows and pages."""
