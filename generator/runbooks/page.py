"""A runbook page: the guide of an incident type, filled in with one system's numbers, queries and people."""

from collections.abc import Iterator, Sequence
from urllib.parse import quote

from mlvitals.generator.boards import Board, board_uid
from mlvitals.generator.contract import TOP_BINS_SQL
from mlvitals.generator.prometheus import exporter_addresses
from mlvitals.generator.routing.silences import silence_commands
from mlvitals.generator.runbooks.escalation import NAME as ESCALATION
from mlvitals.generator.runbooks.escalation import levels_table
from mlvitals.generator.runbooks.guides import GUIDES, ROOT_CAUSES, Guide
from mlvitals.generator.runbooks.markdown import block, bullets, escape, numbered, table
from mlvitals.generator.signals.building import FEATURE
from mlvitals.generator.signals.signal import Alert, Incident, Query, Signal
from mlvitals.generator.signals.text import threshold
from mlvitals.generator.spec.durations import duration, seconds
from mlvitals.generator.spec.model import Severity, Spec

_LOOK_BACK = "6h"
_RESOLUTION = "1m"
_FEATURES_LINKED = 60

_HISTORY_OF_BIN = """\
SELECT window_end, reference_ratio, current_ratio, psi_contribution
FROM drift_results
WHERE system = 'SYSTEM' AND feature_name = 'FEATURE' AND bin = 'BIN'
ORDER BY window_end DESC
LIMIT 48;"""


def page(spec: Spec, incident: Incident, signals: Sequence[Signal], marker: str) -> str:
    """Return the page of one incident type as Markdown."""
    guide = GUIDES[incident]
    watched = [signal for signal in signals if signal.incident is incident]
    parts = [
        f"<!-- {marker} -->",
        f"# {escape(spec.title)}: {guide.title.lower()}",
        guide.meaning,
        _facts(spec),
        "## Impact",
        bullets(guide.impact),
        "## Diagnosis",
        numbered(guide.diagnosis),
        *_dashboards(spec, incident, watched),
        *_queries(spec, watched),
        *(_bins(spec) if guide.asks_bins else ()),
        *_commands(spec, guide, watched),
        "## Mitigation",
        table(
            ("Option", "When to use it", "Takes"),
            ((option.action, option.when, option.takes) for option in guide.mitigations),
        ),
        "## Root cause",
        "Common causes of this incident:",
        bullets(guide.root_causes),
        "By category, as required by the post-mortem:",
        table(("Category", "Evidence", "How to verify"), ((c.name, c.signs, c.check) for c in ROOT_CAUSES)),
        "## Escalation",
        *_escalation(spec, guide),
        "## Communication",
        block(_message(spec, guide), "text"),
        "## Alerts",
        *_alerts(spec, watched),
    ]
    return "\n\n".join(parts) + "\n"


def _facts(spec: Spec) -> str:
    dashboard = f"{spec.links.grafana.rstrip('/')}/d/{board_uid(spec, Board.MAIN)}"
    return bullets(
        (
            f"System: {escape(spec.title)} ({escape(spec.system.environment)})"
            + (f". {escape(spec.system.description)}" if spec.system.description else ""),
            f"Owner: {escape(spec.system.team)}",
            f"Dashboard: {escape(dashboard)}",
            f"A window of {spec.windows.length} is measured every {spec.step}, {spec.windows.grace} after its end.",
        )
    )


# ---------------------------------------------------------------- diagnosis


def _queries(spec: Spec, signals: Sequence[Signal]) -> Iterator[str]:
    yield "### Queries"
    yield "In Prometheus, at the time of the alert:"
    for signal in signals:
        expressions = dict.fromkeys(_runnable(spec, query) for query in signal.queries)
        yield f"{escape(signal.title)}. {escape(signal.description)}"
        yield block("\n\n".join(expressions), "promql")


def _runnable(spec: Spec, query: Query) -> str:
    """Return a panel's query without Grafana's variables."""
    text = query.expression.replace("$__rate_interval", spec.telemetry.rate_window)
    return text.replace("$__range", _LOOK_BACK).replace("$__interval", _RESOLUTION)


def _bins(spec: Spec) -> Iterator[str]:
    yield "### Bins that changed most"
    yield "In the results database (`results.url` of the spec), the top contributing bins of the last window:"
    yield block(_top_bins(spec), "sql")
    yield "The history of one bin, window by window:"
    yield block(_HISTORY_OF_BIN.replace("SYSTEM", spec.system.name), "sql")


def _top_bins(spec: Spec) -> str:
    return TOP_BINS_SQL.replace(":system", f"'{spec.system.name}'").replace(":limit", "10") + ";"


def _dashboards(spec: Spec, incident: Incident, signals: Sequence[Signal]) -> Iterator[str]:
    """Yield links that open the dashboard at the right time and, for features, on one feature."""
    yield "### Dashboard"
    spans = (("the last 6 hours", "now-6h"), ("the last 2 days", "now-2d"), ("the last 30 days", "now-30d"))
    panels = ", ".join(escape(signal.title) for signal in signals)
    yield bullets(f"[{name.capitalize()}]({_dashboard(spec, start)})" for name, start in spans)
    yield f"Panels: {panels}."
    if incident is Incident.FEATURE_DRIFT:
        shown = list(spec.features)[:_FEATURES_LINKED]
        links = (f"[{escape(name)}]({_dashboard(spec, 'now-2d', name)})" for name in shown)
        yield f"One feature, the last 2 days: {', '.join(links)}."


def _dashboard(spec: Spec, start: str, feature: str | None = None) -> str:
    chosen = f"&var-{FEATURE}={quote(feature, safe='')}" if feature else ""
    address = f"{spec.links.grafana.rstrip('/')}/d/{spec.system.name}?from={start}&to=now{chosen}"
    return quote(address, safe=":/?&=%#@+,;~$!*'")


def _commands(spec: Spec, guide: Guide, signals: Sequence[Signal]) -> Iterator[str]:
    yield "### Commands"
    yield (
        "`SPEC` is the spec file named in the first line of this page; `ALERTMANAGER` is Alertmanager's address. How to "
        "silence one alert and nothing else stands with the alert, below."
    )
    lines = [("mlvitals drift SPEC", "measure the last window now, without the exporter")]
    if guide.in_windows:
        lines += [
            (
                "mlvitals drift SPEC --start TIME --end TIME --json",
                "measure any other window, with every statistic and every bin",
            ),
            ("mlvitals reference list SPEC", "list the references and the active one"),
        ]
    chosen = f"system={spec.system.name} incident={signals[0].incident}"
    lines += [
        (f"curl http://{exporter_addresses(spec)[0]}/healthz", "check that the exporter is measuring"),
        (f"amtool alert query --alertmanager.url=ALERTMANAGER {chosen}", "list the firing alerts"),
    ]
    yield block("\n".join(f"# {purpose}\n{command}" for command, purpose in lines), "sh")


# ---------------------------------------------------------------- people


def _escalation(spec: Spec, guide: Guide) -> Iterator[str]:
    yield bullets(_criteria(spec, guide))
    if spec.escalation:
        yield levels_table(spec)
        yield f"Who is on call and how to reach them: [{ESCALATION}]({ESCALATION})."
    else:
        yield f"The spec defines no escalation levels: contact {escape(spec.system.team)}, the owning team."


def _criteria(spec: Spec, guide: Guide) -> Iterator[str]:
    if guide.in_windows:
        next_figures = duration(seconds(spec.step) + seconds(spec.windows.grace))
        two_windows = duration(2 * seconds(spec.step) + seconds(spec.windows.grace))
        yield (
            f"Results change once per window: a mitigation takes up to {next_figures} to show. Until then, an alert "
            "that still fires says nothing about the mitigation."
        )
        yield f"Escalate if the alert still fires {two_windows} after the mitigation, which is two windows."
    else:
        yield "Escalate if the alert still fires 30m after the mitigation."
    if guide.in_sources:
        limits = ", ".join(f"{escape(name)} {source.max_age}" for name, source in spec.sources.items())
        yield f"Count from the end of the job that writes the source, not from its start. Limits of the sources: {limits}."
    yield f"Escalate immediately if {guide.page_at_once}"
    yield "Escalate immediately if no mitigation above applies."


def _message(spec: Spec, guide: Guide) -> str:
    return "\n".join(
        (
            f"[{' '.join(spec.title.split())}] {guide.title}: INVESTIGATING | MITIGATED | RESOLVED",
            "Since: TIME (UTC). Detected by: ALERT at TIME.",
            "What users see: ...",
            "How many are affected: ...% of requests (share of the affected bin, source or endpoint).",
            "What we know: ... What we do not know: ...",
            "What we are doing: ... Decided by: NAME.",
            "Next update: TIME.",
        )
    )


# ---------------------------------------------------------------- alerts


def _alerts(spec: Spec, signals: Sequence[Signal]) -> Iterator[str]:
    """Yield one section per alert name, which is its anchor: all severities, thresholds and metrics of the alert share it."""
    for name in dict.fromkeys(alert.name for signal in signals for alert in signal.alerts):
        watching = [signal for signal in signals if any(alert.name == name for alert in signal.alerts)]
        alerts = [alert for signal in watching for alert in signal.alerts if alert.name == name]
        yield f"### {name}"
        yield escape(alerts[0].summary)
        yield table(("Severity", "Of", "Fires when the value is", "For", "Quiet after notifying"), map(_row, alerts))
        yield f"What to do: {_advice(watching)}"
        yield block("\n\n".join(alert.rule for alert in alerts), "promql")
        yield from _silence(spec, alerts)


def _silence(spec: Spec, alerts: Sequence[Alert]) -> Iterator[str]:
    if alerts[0].severity is Severity.NONE:
        yield "Never silence it: its silence is the alarm."
        return
    yield "To silence exactly this during the repair; words in capitals are labels of the alert that fires:"
    yield block("\n".join(silence_commands(spec, alerts)), "sh")


def _advice(signals: Sequence[Signal]) -> str:
    if len(signals) == 1:
        return escape(signals[0].description)
    panels = ", ".join(escape(signal.title) for signal in signals)
    return f"open the panel of the metric that the alert names, then follow the diagnosis above. Panels: {panels}."


def _row(alert: Alert) -> tuple[str, ...]:
    words = {">": "above", ">=": "at least", "<": "below", "==": "equal to"}
    return (
        alert.severity.value,
        ", ".join(escape(value) for _, value in alert.labels) or "as selected below",
        f"{words[alert.comparison]} {threshold(alert.threshold, alert.format)}",
        alert.timing.for_,
        alert.cooldown,
    )
