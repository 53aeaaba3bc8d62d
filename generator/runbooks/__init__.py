"""Runbooks: a page per alert, a guide and an appendix per incident type, an index, and a page about people."""

from collections.abc import Sequence

from mlvitals.generator.runbooks import escalation, index, reference
from mlvitals.generator.runbooks.landing import landing_pages
from mlvitals.generator.runbooks.page import page
from mlvitals.generator.signals.signal import Incident, Signal
from mlvitals.generator.spec.model import Spec


def runbook_pages(spec: Spec, signals: Sequence[Signal], marker: str) -> dict[str, str]:
    """Return every page as Markdown, by its path below the folder of the system's runbooks."""
    alerting = [incident for incident in Incident if any(s.alerts for s in signals if s.incident is incident)]
    guides = {f"{incident}.md": page(spec, incident, signals, marker) for incident in alerting}
    appendices = {
        reference.place(incident): reference.reference_page(spec, incident, signals, marker) for incident in alerting
    }
    people = {escalation.NAME: escalation.escalation_page(spec, marker)} if spec.escalation else {}
    return {
        index.NAME: index.index_page(spec, signals, marker),
        **guides,
        **landing_pages(spec, signals, marker),
        **appendices,
        **people,
    }
