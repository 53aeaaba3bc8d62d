"""The page that an alert links to: one alert, on two screens, for somebody who was just woken up."""

from collections.abc import Iterator, Sequence
from itertools import islice
from urllib.parse import quote

from mlvitals.generator.boards import Board, board_uid
from mlvitals.generator.prometheus import exporter_addresses
from mlvitals.generator.routing.silences import silence_commands
from mlvitals.generator.rules.alerts import runbook_page
from mlvitals.generator.runbooks import reference
from mlvitals.generator.runbooks.checks import FIRST, Answer, Language
from mlvitals.generator.runbooks.escalation import NAME as ESCALATION
from mlvitals.generator.runbooks.guides import GUIDES, Guide
from mlvitals.generator.runbooks.markdown import block, bullets, escape, table
from mlvitals.generator.signals.building import FEATURE
from mlvitals.generator.signals.signal import Alert, Layer, Place, Signal
from mlvitals.generator.signals.text import threshold
from mlvitals.generator.spec.durations import duration, seconds
from mlvitals.generator.spec.model import Severity, Spec

_CHECKS = 3
_IMPACTS = 2
_BOARDS = {Place.MAIN: Board.MAIN, Place.DETAIL: Board.DETAILS, Place.BUDGET: Board.SLO}


def landing_pages(spec: Spec, signals: Sequence[Signal], marker: str) -> dict[str, str]:
    """Return a page for each alert of each incident type: path to Markdown."""
    by_id = {signal.id: signal for signal in signals}
    pages = {}
    for signal in signals:
        for name in dict.fromkeys(alert.name for alert in signal.alerts):
            path = runbook_page(signal.incident, name)
            if path not in pages:
                pages[path] = _page(spec, signal, name, signals, by_id, marker)
    return pages


def _page(
    spec: Spec, signal: Signal, name: str, signals: Sequence[Signal], by_id: dict[str, Signal], marker: str
) -> str:
    guide = GUIDES[signal.incident]
    watching = [other for other in signals if other.incident is signal.incident and _named(other, name)]
    alerts = [alert for other in watching for alert in _named(other, name)]
    parts = [
        f"<!-- {marker} -->\n# {name}",
        f"**{escape(alerts[0].summary)}** {escape(spec.title)} ({escape(spec.environment)}), owned by "
        f"{escape(spec.system.team)}. {_levels(alerts)}.",
        f"Impact: {' '.join(guide.impact[:_IMPACTS])}",
        "## First checks",
        *_checks(spec, signal, alerts[0], guide, by_id),
        f"## Mitigation\n\nUsual fix: {FIRST[name].fix}",
        table(
            ("Option", "When", "Takes", "Risk"),
            ((option.action, option.when, option.takes, option.risk) for option in guide.mitigations),
        ),
        f"## Escalation\n\n{bullets(_escalation(spec, guide))}",
        f"## Silence exactly this\n{_silence(spec, alerts)}",
        f"More: [{guide.title.lower()}](../{signal.incident}.md) (causes, communication), "
        f"[definition and queries](../{reference.place(signal.incident)}#{name.lower()}).",
    ]
    return "\n\n".join(parts) + "\n"


def _named(signal: Signal, name: str) -> list[Alert]:
    return [alert for alert in signal.alerts if alert.name == name]


def _levels(alerts: Sequence[Alert]) -> str:
    """Return each severity with its threshold, or the range of thresholds of what the alert watches."""
    if alerts[0].severity is Severity.NONE:
        return "It notifies nobody"
    parts = []
    for severity in dict.fromkeys(alert.severity for alert in alerts):
        of = [alert for alert in alerts if alert.severity is severity]
        limits = [threshold(limit, of[0].format) for limit in sorted({alert.threshold for alert in of})]
        several = f" to {limits[-1]}, by what it watches" if len(limits) > 1 else ""
        parts.append(f"{severity} {of[0].compared} {limits[0]}{several}")
    return f"Fires as {'; '.join(parts)}"


# ---------------------------------------------------------------- checks


def _checks(spec: Spec, signal: Signal, alert: Alert, guide: Guide, by_id: dict[str, Signal]) -> Iterator[str]:
    first = FIRST[alert.name]
    yield _check(1, f"{first.action} {_panel(spec, signal, alert)}", first.answers, alert.expression, "promql")
    possible = (check for check in guide.checks if (check.text or check.signal in by_id) and check.signal != signal.id)
    for position, check in enumerate(islice(possible, _CHECKS - 1), start=2):
        query = check.text or reference.runnable(spec, by_id[check.signal].queries[0])
        yield _check(position, check.action, check.answers, _filled(spec, query), check.language)


def _check(position: int, action: str, answers: Sequence[Answer], query: str, language: Language) -> str:
    meanings = bullets(f"*{answer.seen}*: {answer.meaning}" for answer in answers)
    return f"**{position}. {action}**\n{block(query, language)}\n{meanings}"


def _filled(spec: Spec, text: str) -> str:
    text = text.replace("EXPORTER", exporter_addresses(spec)[0])
    return text.replace("TOP_BINS", reference.top_bins(spec)) if "TOP_BINS" in text else text


def _panel(spec: Spec, signal: Signal, alert: Alert) -> str:
    """Return a link to the dashboard that shows the alert's metric, on the feature that is filled in."""
    if FEATURE in alert.url_labels:
        board, chosen = Board.FEATURE, f"&var-{FEATURE}=FEATURE"
    else:
        board = Board.MONITORING if signal.layer is Layer.MONITORING else _BOARDS[signal.place]
        chosen = ""
    address = f"{spec.links.grafana.rstrip('/')}/d/{board_uid(spec, board)}?from=now-2d&to=now{chosen}"
    return f"[Panel]({quote(address, safe=':/?&=%#@+,;~$!*')})"


# ---------------------------------------------------------------- people


def _escalation(spec: Spec, guide: Guide) -> Iterator[str]:
    yield f"At once if {guide.page_at_once}"
    two_windows = duration(2 * seconds(spec.step) + seconds(spec.windows.grace))
    wait = f"{two_windows} (two windows)" if guide.in_windows else "30m"
    who = f"[the levels](../{ESCALATION})" if spec.escalation else f"{escape(spec.system.team)}, the owning team"
    yield f"If it still fires {wait} after the mitigation. To: {who}."


def _silence(spec: Spec, alerts: Sequence[Alert]) -> str:
    if alerts[0].severity is Severity.NONE:
        return "Never: while it is silenced, nobody notices that alerting is broken."
    return block("\n".join(silence_commands(spec, alerts)), "sh")
