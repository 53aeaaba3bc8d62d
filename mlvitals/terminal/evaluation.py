"""An evaluation on the terminal."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mlvitals.evaluation.scoring import Catch, Evaluation, FaultResult, subject
from mlvitals.evaluation.wording import after, lasting, verdict
from mlvitals.generator.spec.model import Severity

WIDE = 170
"""Minimum width of a terminal for showing the subject of an alert."""
_STYLE = {Severity.CRITICAL: "bold red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}


def evaluation_table(evaluation: Evaluation, console: Console) -> None:
    """Print an evaluation: a line for each fault, then the false alarms."""
    console.print(
        Text(
            f"{evaluation.system}: {evaluation.start:%Y-%m-%d} to {evaluation.end:%Y-%m-%d}, {evaluation.windows:,} windows\n",
            "bold",
        )
    )
    console.print(_faults(evaluation, wide=console.width >= WIDE))
    console.print(f"\n{evaluation.fault_free_days:.1f} days without a fault, {evaluation.false_pages} false pages")
    if evaluation.false_alarms:
        console.print(_false_alarms(evaluation))
    for alert, reason in evaluation.not_understood.items():
        console.print(Text(f"not evaluated: {alert}: {reason}", "yellow"), soft_wrap=True)
    if evaluation.without_data:
        console.print(
            Text(f"without data in this history: {', '.join(evaluation.without_data)}", "dim"), soft_wrap=True
        )


def _faults(evaluation: Evaluation, *, wide: bool) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    wider = ("first of all",) if wide else ()
    for title in (
        "fault",
        "layer",
        "verdict",
        "first at its layer",
        *wider,
        "first page",
        "pages",
        "messages",
        "drift type",
    ):
        table.add_column(title, overflow="fold")
    for result in evaluation.faults:
        table.add_row(
            Text(result.fault.name),
            result.fault.layer,
            _verdict(result),
            _catch(result.first_of_layer, wide=wide),
            *([_catch(result.first, wide=wide)] if wide else []),
            _catch(result.page, wide=wide),
            Text(str(result.pages), "bold red" if result.pages > 1 else ""),
            str(result.messages),
            _kind(result),
        )
    return table


def _verdict(result: FaultResult) -> Text:
    return Text(verdict(result), "green" if result.caught and not result.false_page else "bold red")


def _catch(catch: Catch | None, *, wide: bool) -> Text:
    if catch is None:
        return Text("-", "dim")
    about = subject(catch.labels) if wide else ""
    return Text(
        f"{catch.alert} {after(catch.delay_seconds)}" + (f" ({about})" if about else ""), _STYLE[catch.severity]
    )


def _kind(result: FaultResult) -> Text:
    if result.drift_type is None:
        return Text("-", "dim")
    return Text(result.drift_type, "red" if result.drift_type_right is False else "")


def _false_alarms(evaluation: Evaluation) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", title_justify="left")
    for title in ("false alarm", "severity", "times", "per day", "lasted", "first"):
        table.add_column(title, justify="right" if title in {"times", "per day", "lasted"} else "left")
    for alarm in evaluation.false_alarms:
        about = subject(alarm.labels)
        first = f"{alarm.first:%Y-%m-%d %H:%M}" + (f" {about}" if about else "")
        name = Text(alarm.alert, _STYLE[alarm.severity])
        lasted = f"{lasting(alarm.seconds)} ({alarm.share:.1%})"
        table.add_row(name, alarm.severity, f"{alarm.times}", f"{alarm.per_day:.2f}", lasted, Text(first))
    return table
