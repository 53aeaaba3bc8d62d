"""Alert routing and messages: Alertmanager, PagerDuty, and the cases that test the routes."""

from collections.abc import Sequence

from mlvitals.generator.routing.alertmanager import alertmanager_config
from mlvitals.generator.routing.cases import cases_file
from mlvitals.generator.routing.notifications import notification_templates
from mlvitals.generator.routing.pagerduty import pagerduty_terraform
from mlvitals.generator.signals.signal import Signal
from mlvitals.generator.spec.model import Spec

TEMPLATES = "templates/notifications.tmpl"


def routing_files(spec: Spec, signals: Sequence[Signal], marker: str) -> dict[str, str]:
    """Return the files below ``stack/<system>/`` that deliver alerts to people: relative path to text."""
    files = {
        "alertmanager.yml": alertmanager_config(spec, signals, marker, TEMPLATES),
        TEMPLATES: notification_templates(marker),
        "routes.test.yml": cases_file(spec, signals, marker),
    }
    return files | ({"pagerduty.tf.json": pagerduty_terraform(spec, marker)} if spec.escalation else {})
