"""Several environments of one system in one Prometheus and one Alertmanager: what their own files say, together.

Their rules and dashboards need nothing more than to lie side by side; a server has one configuration.
"""

from collections.abc import Sequence

from mlvitals.generator.prometheus import DEFAULT_ALERTMANAGER, prometheus_document, rules_from_stack
from mlvitals.generator.routing import TEMPLATES
from mlvitals.generator.routing.fragment import fragment, shared_document
from mlvitals.generator.routing.notifications import notification_templates
from mlvitals.generator.signals import signals
from mlvitals.generator.spec.model import Spec
from mlvitals.generator.text_files import yaml_file


def environment_files(specs: Sequence[Spec], marker: str) -> dict[str, str]:
    """Return the files below ``stack/<system>/`` for all environments of a system: relative path to text."""
    routes = shared_document(fragment(spec, signals(spec)) for spec in specs)
    rules = [rules_from_stack(spec) for spec in specs]
    return {
        "prometheus.yml": yaml_file(prometheus_document(specs, rules, (DEFAULT_ALERTMANAGER,)), marker),
        "alertmanager.yml": yaml_file({"templates": [TEMPLATES], **routes}, marker),
        TEMPLATES: notification_templates(marker),
    }
