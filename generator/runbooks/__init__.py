"""Runbooks: one page an incident type, with this system's queries and one entry an alert."""

from collections.abc import Sequence

from generator.runbooks.page import page
from generator.signals.signal import Incident, Signal
from generator.spec.model import Spec


def runbook_pages(spec: Spec, signals: Sequence[Signal], marker: str) -> dict[str, str]:
    """The pages of the incident types that have alerts: file name to Markdown, `marker` in the first line."""
    alerting = {signal.incident for signal in signals if signal.alerts}
    return {f"{incident}.md": page(spec, incident, signals, marker) for incident in Incident if incident in alerting}
