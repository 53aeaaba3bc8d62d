"""Runbooks: one page per incident type, with this system's queries and one entry per alert, and an index."""

from collections.abc import Sequence

from mlvitals.generator.runbooks import escalation, index
from mlvitals.generator.runbooks.page import page
from mlvitals.generator.signals.signal import Incident, Signal
from mlvitals.generator.spec.model import Spec


def runbook_pages(spec: Spec, signals: Sequence[Signal], marker: str) -> dict[str, str]:
    """Return the index, one page per incident type with alerts, and that on escalation: file name to Markdown."""
    alerting = {signal.incident for signal in signals if signal.alerts}
    pages = {f"{incident}.md": page(spec, incident, signals, marker) for incident in Incident if incident in alerting}
    people = {escalation.NAME: escalation.escalation_page(spec, marker)} if spec.escalation else {}
    return {index.NAME: index.index_page(spec, signals, marker), **pages, **people}
