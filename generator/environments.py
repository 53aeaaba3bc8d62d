"""Several environments of one system in one Prometheus and one Alertmanager: what their own files say, together.

Their rules and dashboards need nothing more than to lie side by side; a server has one configuration.
"""

from collections.abc import Sequence

from mlvitals.generator.prometheus import DEFAULT_ALERTMANAGER, prometheus_document, rules_from_stack
from mlvitals.generator.routing import TEMPLATES
from mlvitals.generator.routing.fragment import shared_config
from mlvitals.generator.routing.notifications import notification_templates
from mlvitals.generator.signals import signals
from mlvitals.generator.spec.model import Spec
from mlvitals.generator.text_files import yaml_file


def environment_files(specs: Sequence[Spec], marker: str) -> dict[str, str]:
    """Return the files below ``stack/<system>/`` for all environments of a system: relative path to text."""
    rules = [rules_from_stack(spec) for spec in specs]
    return {
        "prometheus.yml": yaml_file(prometheus_document(specs, rules, (DEFAULT_ALERTMANAGER,)), marker),
        "alertmanager.yml": shared_config([(spec, signals(spec)) for spec in specs], marker, TEMPLATES),
        TEMPLATES: notification_templates(marker),
    }
