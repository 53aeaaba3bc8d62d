"""The appendix of an incident type: how each of its alerts is defined, and every query of its panels."""

from collections.abc import Iterator, Sequence

from mlvitals.generator.contract import TOP_BINS_SQL
from mlvitals.generator.runbooks.guides import GUIDES
from mlvitals.generator.runbooks.markdown import block, escape, table
from mlvitals.generator.signals.signal import Alert, Incident, Query, Signal
from mlvitals.generator.signals.text import threshold
from mlvitals.generator.spec.model import Spec

_LOOK_BACK = "6h"
_RESOLUTION = "1m"

_HISTORY_OF_BIN = """\
SELECT window_end, reference_ratio, current_ratio, psi_contribution
FROM drift_results
WHERE system = 'SYSTEM' AND feature_name = 'FEATURE' AND bin = 'BIN'
ORDER BY window_end DESC
LIMIT 48;"""


def place(incident: Incident) -> str:
    """Return the path of an incident type's appendix below the folder of its system's runbooks."""
    return f"{incident}/reference.md"


def reference_page(spec: Spec, incident: Incident, signals: Sequence[Signal], marker: str) -> str:
    """Return the appendix of one incident type as Markdown."""
    guide = GUIDES[incident]
    watched = [signal for signal in signals if signal.incident is incident]
    parts = [
        f"<!-- {marker} -->",
        f"# {escape(spec.full_title)}: {guide.title.lower()}, definitions and queries",
        f"What to do is on the page of each alert and in [{guide.title.lower()}](../{incident}.md).",
        *_alerts(watched),
        "## Panels",
        "The queries of the panels, to run in Prometheus at the time of the alert.",
        *_panels(spec, watched),
        *(_bins(spec) if guide.asks_bins else ()),
    ]
    return "\n\n".join(parts) + "\n"


def runnable(spec: Spec, query: Query) -> str:
    """Return a panel's query without Grafana's variables."""
    text = query.expression.replace("$__rate_interval", spec.telemetry.rate_window)
    return text.replace("$__range", _LOOK_BACK).replace("$__interval", _RESOLUTION)


def top_bins(spec: Spec) -> str:
    """Return the SQL that finds the bins of the last window that moved most."""
    return TOP_BINS_SQL.replace(":system", f"'{spec.system.name}'").replace(":limit", "10") + ";"


def _alerts(signals: Sequence[Signal]) -> Iterator[str]:
    """Yield one section per alert name: all severities, thresholds and metrics of the alert share it."""
    yield "## Alerts"
    for name in dict.fromkeys(alert.name for signal in signals for alert in signal.alerts):
        alerts = [alert for signal in signals for alert in signal.alerts if alert.name == name]
        yield f"### {name}"
        yield escape(alerts[0].summary)
        yield table(("Severity", "Of", "Fires when the value is", "For", "Quiet after notifying"), map(_row, alerts))
        yield block("\n\n".join(alert.rule for alert in alerts), "promql")


def _row(alert: Alert) -> tuple[str, ...]:
    return (
        alert.severity.value,
        ", ".join(escape(value) for _, value in alert.labels) or "as selected below",
        f"{alert.compared} {threshold(alert.threshold, alert.format)}",
        alert.timing.for_,
        alert.cooldown,
    )


def _panels(spec: Spec, signals: Sequence[Signal]) -> Iterator[str]:
    for signal in signals:
        expressions = dict.fromkeys(runnable(spec, query) for query in signal.queries)
        yield f"### {escape(signal.title)}"
        yield escape(signal.description)
        yield block("\n\n".join(expressions), "promql")


def _bins(spec: Spec) -> Iterator[str]:
    yield "## Bins that changed most"
    yield "In the results database (`results.url` of the spec), the top contributing bins of the last window:"
    yield block(top_bins(spec), "sql")
    yield "The history of one bin, window by window:"
    yield block(_HISTORY_OF_BIN.replace("SYSTEM", spec.system.name), "sql")
