"""The report of an exercise and the notes for who plays it, as Markdown."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from mlvitals.evaluation.faults.catalogue import Fault
from mlvitals.generator.runbooks.markdown import bullets, escape, table
from mlvitals.generator.spec.diagnostics import printable
from mlvitals.generator.spec.model import Spec
from mlvitals.incidents.record.model import text_of
from mlvitals.incidents.tabletop.answers import Asked
from mlvitals.incidents.tabletop.notices import Notice
from mlvitals.incidents.tabletop.play import Schedule, detection_limit
from mlvitals.incidents.tabletop.run import Exercised
from mlvitals.incidents.tabletop.score import Gap, Mark
from mlvitals.incidents.timeline.times import length


def report_of(done: Exercised, marks: Sequence[Mark], gaps: Sequence[Gap]) -> str:
    """Return the report: what was played, how it went, what happened when, and what was missing."""
    fault = done.fault
    parts = [
        f"# Tabletop exercise: {_plain(fault.kind.name)} of {_plain(done.spec.title)}",
        f"{_plain(fault.story)} It started at {_time(fault.start)} UTC of the history"
        + (f" and was ended at {_time(fault.end)} UTC." if fault.end else " and was never ended."),
        "## How it went",
        table(("Stage", "Verdict", "Took", "Allowed", ""), map(_mark_row, marks)),
        "## What happened",
        table(("After the start", "What"), _course(done)),
        "## What was missing",
        _gaps(gaps),
    ]
    if done.analysis is not None:
        parts += [
            "## Post-mortem",
            f"`{done.analysis.incident.id}.postmortem.md`, from the evidence of this exercise. "
            "Its questions are the team's to answer.",
        ]
    return "\n\n".join(parts) + "\n"


def _plain(text: str) -> str:
    return escape(printable(" ".join(text.split())))


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def _mark_row(mark: Mark) -> tuple[str, ...]:
    took, allowed = ("-" if seconds is None else length(seconds) for seconds in (mark.seconds, mark.limit_seconds))
    return mark.stage, f"**{mark.verdict}**", took, allowed, _plain(mark.reason)


def _course(done: Exercised) -> Iterator[tuple[str, str]]:
    start = done.fault.start
    rows = [(start, f"The fault starts: {done.fault.story}")]
    rows += [(notice.at, _notified(notice)) for notice in done.notices if notice.at >= start]
    if done.analysis is not None:
        rows += [
            (done.played(entry.at), f"{entry.actor}: {text_of(entry)}")
            for entry in done.analysis.incident.in_order
            if not text_of(entry).startswith(("Notified of", "The alert "))
        ]
    if done.fault.end is not None:
        rows.append((done.fault.end, "The fault is over."))
    for at, text in sorted(rows, key=lambda row: row[0]):
        yield length((at - start).total_seconds()), _plain(text)


def _notified(notice: Notice) -> str:
    names = sorted({alarm.firing.alert for alarm in notice.alarms})
    features = sorted({feature for alarm in notice.alarms if (feature := alarm.labels.get("feature_name"))})
    of = f" of {', '.join(features[:5])}{' and more' if len(features) > 5 else ''}" if features else ""
    return f"Notification, {notice.severity}: {', '.join(names)}{of} {'fires' if notice.is_firing else 'is over'}."


def _gaps(gaps: Sequence[Gap]) -> str:
    if not gaps:
        return "Nothing that this exercise could show."
    return bullets([f"**{gap.where.capitalize()}:** {_plain(gap.text)}" for gap in gaps])


# ---------------------------------------------------------------- the facilitator's notes


def notes_of(spec: Spec, fault: Fault, times: Schedule) -> str:
    """Return the notes for who plays the exercise: the truth, what to expect, and what to ask when."""
    limit = detection_limit(spec, fault)
    targets = spec.incidents.targets
    parts = [
        f"# Facilitator's notes: {_plain(fault.kind.name)} of {_plain(spec.title)}",
        "Do not show this to the team. It gets the page and nothing else.",
        "## The truth",
        bullets(
            [
                _plain(fault.story),
                f"It starts at {_time(times.start)} UTC of the history, which ends at {_time(times.end)} UTC.",
                f"Layer: {fault.kind.layer}. "
                + ("It should page." if fault.kind.pages else "It should not page: a warning is right."),
                f"Expected alerts: {', '.join(fault.kind.signals)}.",
                f"It is ended by {' or '.join(fault.kind.ended_by)}; anything else changes nothing.",
            ]
        ),
        "## What to ask, and when",
        table(
            ("After the page", "Ask", "Listen for"),
            [
                ("at once", Asked.TAKE, f"an owner within {targets.acknowledge}"),
                ("", Asked.SEE, _listen(fault)),
                (f"up to {targets.classify}", Asked.CLASSIFY, "users, KPIs, share of predictions; not the PSI"),
                (f"up to {targets.mitigate}", Asked.ACT, "what makes users feel it less, before the cause is known"),
                (
                    "after it",
                    "How will you know that it helped, and when?",
                    f"the next window: {spec.step} and {spec.windows.grace} grace",
                ),
                (
                    "at the end",
                    "What should have caught it earlier?",
                    f"detection may take {length(limit.total_seconds())} by this spec",
                ),
            ],
        ),
        "## Escalation by the spec",
        bullets([f"after {level.after}: {_plain(level.role)}" for level in spec.escalation])
        if spec.escalation
        else "None: nobody is called when nobody answers. Ask the team what they think of that.",
    ]
    return "\n\n".join(parts) + "\n"


def _listen(fault: Fault) -> str:
    if fault.subject:
        return _plain(f"the name {fault.subject}, what moved and what did not, and what changed just before")
    return f"the layer ({fault.kind.layer}), what moved and what did not, and what changed just before"
