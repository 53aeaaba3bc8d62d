"""A runbook page: the guide of an incident type, filled in with one system's numbers, queries and people."""

from collections.abc import Iterator, Sequence
from shlex import quote as shell

from mlvitals.generator.boards import Board, board_uid
from mlvitals.generator.prometheus import exporter_addresses
from mlvitals.generator.routing.silences import shell_matchers
from mlvitals.generator.rules.alerts import runbook_page
from mlvitals.generator.runbooks import reference
from mlvitals.generator.runbooks.checks import FIRST
from mlvitals.generator.runbooks.escalation import NAME as ESCALATION
from mlvitals.generator.runbooks.escalation import levels_table
from mlvitals.generator.runbooks.guides import GUIDES, ROOT_CAUSES, Guide
from mlvitals.generator.runbooks.markdown import block, bullets, escape, numbered, table
from mlvitals.generator.signals.signal import Incident, Signal
from mlvitals.generator.spec.durations import duration, seconds
from mlvitals.generator.spec.model import Spec


def page(spec: Spec, incident: Incident, signals: Sequence[Signal], marker: str) -> str:
    """Return the page of one incident type as Markdown."""
    guide = GUIDES[incident]
    watched = [signal for signal in signals if signal.incident is incident]
    parts = [
        f"<!-- {marker} -->",
        f"# {escape(spec.full_title)}: {guide.title.lower()}",
        guide.meaning,
        _facts(spec, incident),
        "## Alerts",
        _alerts(watched),
        "## Impact",
        bullets(guide.impact),
        "## Diagnosis",
        numbered(guide.diagnosis),
        block(_commands(spec, guide), "sh"),
        "## Mitigation",
        table(
            ("Option", "When", "Takes", "Risk"),
            ((option.action, option.when, option.takes, option.risk) for option in guide.mitigations),
        ),
        "## Root cause",
        bullets(guide.root_causes),
        "By category, as required by the post-mortem:",
        table(("Category", "Evidence", "How to verify"), ((c.name, c.signs, c.check) for c in ROOT_CAUSES)),
        "## Escalation",
        *_escalation(spec, guide),
        "## Communication",
        block(_message(spec, guide), "text"),
    ]
    return "\n\n".join(parts) + "\n"


def _facts(spec: Spec, incident: Incident) -> str:
    dashboard = f"{spec.links.grafana.rstrip('/')}/d/{board_uid(spec, Board.MAIN)}"
    return bullets(
        (
            f"System: {escape(spec.title)} ({escape(spec.environment)})"
            + (f". {escape(spec.system.description)}" if spec.system.description else ""),
            f"Owner: {escape(spec.system.team)}",
            f"Dashboard: {escape(dashboard)}",
            spec.windows_text,
            f"Definitions of the alerts, and every query: [reference]({reference.place(incident)})",
        )
    )


def _alerts(signals: Sequence[Signal]) -> str:
    """Return one row per alert: what it means, and the usual fix."""
    alerts = {alert.name: (signal, alert) for signal in reversed(signals) for alert in reversed(signal.alerts)}
    rows = (
        (f"[{name}]({runbook_page(signal.incident, name)})", escape(alert.summary), FIRST[name].fix)
        for name, (signal, alert) in reversed(alerts.items())
    )
    return table(("Alert", "Meaning", "Usual fix"), rows)


def _commands(spec: Spec, guide: Guide) -> str:
    lines = [("mlvitals drift SPEC", "measure the last window now, without the exporter")]
    if guide.in_windows:
        lines += [
            (
                "mlvitals drift SPEC --start TIME --end TIME --json",
                "measure any other window, with every statistic and every bin",
            ),
            ("mlvitals reference list SPEC", "list the references and the active one"),
        ]
    lines += [
        (f"curl http://{exporter_addresses(spec)[0]}/healthz", "check that the exporter is measuring"),
        (
            f"amtool alert query --alertmanager.url={shell(spec.links.alertmanager)} " + " ".join(shell_matchers(spec)),
            "list the firing alerts of the system",
        ),
    ]
    return "\n".join(f"# {purpose}\n{command}" for command, purpose in lines)


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
            f"[{' '.join(spec.full_title.split())}] {guide.title}: INVESTIGATING | MITIGATED | RESOLVED",
            "Since: TIME (UTC). Detected by: ALERT at TIME.",
            "What users see: ...",
            "How many are affected: ...% of requests (share of the affected bin, source or endpoint).",
            "What we know: ... What we do not know: ...",
            "What we are doing: ... Decided by: NAME.",
            "Next update: TIME.",
        )
    )
