"""The page on escalation: who is notified when and how, and who is on call."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from mlvitals.generator.routing.pagerduty import LAST_LEVEL_MINUTES, LOOPS
from mlvitals.generator.runbooks.markdown import bullets, escape, table
from mlvitals.generator.spec.durations import span
from mlvitals.generator.spec.model import ContactMethod, EscalationLevel, Responder, Spec

NAME = "escalation.md"
TURNS_SHOWN = 12

_WAYS = {
    ContactMethod.PAGERDUTY: "PagerDuty's app",
    ContactMethod.SLACK_DM: "Slack message",
    ContactMethod.PHONE: "phone call",
    ContactMethod.SMS: "SMS",
    ContactMethod.EMAIL: "e-mail",
}
_DAY = timedelta(days=1)


def escalation_page(spec: Spec, marker: str) -> str:
    """Return the escalation policy and the rotation as Markdown, independent of the current time."""
    parts = [
        f"<!-- {marker} -->",
        f"# {escape(spec.full_title)}: escalation and on-call",
        "A critical alert pages. Whoever is paged acknowledges it in PagerDuty; until somebody does, each next "
        f"level is paged at its time. {LAST_LEVEL_MINUTES} minutes after the last level the escalation starts over, "
        f"{LOOPS} times. A warning goes to chat and is escalated only by hand.",
        "## Levels",
        levels_table(spec),
        *(_rotation(spec) if spec.on_call.rotation else ()),
        "## Contacts",
        _contacts(spec),
        "## Handing over",
        bullets(_HAND_OVER),
    ]
    return "\n\n".join(parts) + "\n"


_HAND_OVER = (
    "Before a shift ends, brief the next responder: which alerts are firing, which are silenced and why, and which "
    "mitigations are temporary.",
    "To swap a shift, add an override to the PagerDuty schedule: this page and the spec describe the regular "
    "rotation, not exceptions.",
    "A new responder first shadows a shift and takes part in a tabletop exercise.",
)


def levels_table(spec: Spec) -> str:
    """Return the table of levels: who is notified if nobody has answered, and how."""
    return table(
        ("Level", "Who", "Unacknowledged for", "How", "Contacts"),
        (
            (str(number), escape(level.role), level.after, ", ".join(map(_WAYS.__getitem__, level.via)), _who(level))
            for number, level in enumerate(spec.escalation, start=1)
        ),
    )


def _who(level: EscalationLevel) -> str:
    return ", ".join(map(escape, level.contacts)) or "whoever is on call"


def _contacts(spec: Spec) -> str:
    return table(
        ("Responder", "E-mail", "Slack", "By phone"),
        (
            # Numbers stay in the spec and in PagerDuty: this page is committed and widely readable.
            (escape(name), escape(person.email), escape(person.slack or "none"), _by_phone(person))
            for name, person in spec.responders.items()
        ),
    )


def _by_phone(person: Responder) -> str:
    return "through PagerDuty" if person.phone else "no"


# ---------------------------------------------------------------- rotation


def _rotation(spec: Spec) -> Iterator[str]:
    on_call = spec.on_call
    turns = list(shifts(spec, TURNS_SHOWN))
    yield "## On call"
    yield (
        f"{len(on_call.rotation)} responders take turns of {on_call.shift}, starting "
        f"{turns[0][0]:%A %Y-%m-%d %H:%M} {escape(on_call.timezone)}: {', '.join(map(escape, on_call.rotation))}, "
        "then from the start again."
    )
    yield (
        "To find who is on call at another time, count the complete shifts since that start and divide by "
        f"{len(on_call.rotation)}; the remainder is the position in the list, counted from 0. The first "
        f"{TURNS_SHOWN} shifts:"
    )
    yield table(
        ("Shift", f"From ({escape(on_call.timezone)})", "On call"),
        ((str(number), f"{start:%a %Y-%m-%d %H:%M}", escape(name)) for number, (start, name) in enumerate(turns)),
    )


def shifts(spec: Spec, count: int) -> Iterator[tuple[datetime, str]]:
    """Yield the first shifts: the start of each in the rotation's time zone, and its responder.

    Shifts of full days change at the same time of day all year; shorter ones after that many hours.
    """
    on_call = spec.on_call
    start = datetime.fromisoformat(on_call.start)
    zone, length = ZoneInfo(on_call.timezone), span(on_call.shift)
    for turn in range(count):
        same_time_of_day = not length % _DAY
        shift_start = (
            start.astimezone(zone) + turn * length if same_time_of_day else (start + turn * length).astimezone(zone)
        )
        yield shift_start, on_call.rotation[turn % len(on_call.rotation)]
