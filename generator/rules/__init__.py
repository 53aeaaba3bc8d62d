"""Prometheus rules from signals: recording rules, alerting rules, and the promtool tests of the alerts."""

from mlvitals.generator.rules.groups import rules_file
from mlvitals.generator.rules.promtool_tests import test_files

__all__ = ["rules_file", "test_files"]
