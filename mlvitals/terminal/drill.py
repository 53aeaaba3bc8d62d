"""A drill on the terminal."""

from rich.text import Text

from mlvitals.generator.spec.diagnostics import printable
from mlvitals.generator.spec.model import Spec
from mlvitals.incidents.drill.run import Drill, Heard
from mlvitals.terminal.console import console


def drill_card(drill: Drill, spec: Spec) -> None:
    """Print what became of each alert, and who should have been called when nobody answered."""
    out = console()
    for heard in drill.heard:
        out.print(Text(printable(_line(heard)), "green" if heard.is_right else "bold red"), soft_wrap=True)
    for name, count in drill.delivered.items():
        out.print(Text(f"{name}: {count} sent"))
    for name, count in drill.failed.items():
        out.print(Text(f"{name}: {count} failed", "bold red"))
    for name in drill.missing:
        out.print(Text(f"{name}: none was sent", "bold red"))
    if not drill.answer_wanted:
        out.print(Text("answer: not looked at; name the incidents with --dir", "dim"))
    elif drill.answered_after is None:
        out.print(Text("answer: nobody took the incident of the drill", "bold red"))
    else:
        out.print(Text(f"answer: after {drill.answered_after.total_seconds():.0f} s", "green"))
    late = [level for level in spec.escalation if drill.answered_after is None]
    for number, level in enumerate(late, start=1):
        out.print(Text(printable(f"level {number}, {level.role}: to be called after {level.after}")), soft_wrap=True)
    if late:
        out.print(Text("Escalation is PagerDuty's: ask each level above whether it was called.", "dim"))


def _line(heard: Heard) -> str:
    found = ", ".join(heard.receivers) or "nobody"
    where = (
        f"{heard.severity}: {heard.expected}"
        if heard.expected in heard.receivers
        else (f"{heard.severity}: goes to {found}, not to {heard.expected}")
    )
    return f"{where}; muted by {', '.join(heard.muted_by)}" if heard.muted_by else where
