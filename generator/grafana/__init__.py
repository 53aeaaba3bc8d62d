"""Signals as a Grafana dashboard. Imported only by the compile command: grafanalib is slow to load."""

from mlvitals.generator.grafana.dashboard import dashboard, dashboard_files, dashboards

__all__ = ["dashboard", "dashboard_files", "dashboards"]
