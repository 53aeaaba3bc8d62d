"""Signals as a Grafana dashboard. Imported by the compile command alone: grafanalib takes a while to load."""

from mlvitals.generator.grafana.dashboard import dashboard, dashboard_files, dashboards

__all__ = ["dashboard", "dashboard_files", "dashboards"]
