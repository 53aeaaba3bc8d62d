"""The effect of proposals for a spec, printed for people."""

from datetime import timedelta

from rich.console import Console
from rich.table import Table

from mlvitals.generator.spec.durations import duration
from mlvitals.tuning.propose import Tuning


def tuning_table(tuning: Tuning, every: timedelta, output: Console) -> None:
    """Print the alarms that the past had of each threshold, and would have had; then what counts as real, and remarks."""
    output.print(
        f"{tuning.windows} windows, {tuning.start:%Y-%m-%d %H:%M} to {tuning.end:%Y-%m-%d %H:%M} UTC; wanted: one false alarm in "
        f"{_lasting(every)}, {tuning.allowed} in that time; {tuning.before} before, {tuning.after} after.",
        highlight=False,
    )
    if tuning.effects:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for title in ("threshold", "false alarms before", "after", "real alarms before", "after"):
            table.add_column(title, overflow="fold")
        for effect in sorted(tuning.effects, key=lambda one: (-one.before.false, one.title)):
            false = (_summed(tally.false, tally.false_time) for tally in (effect.before, effect.after))
            real = (_summed(tally.real, tally.real_time) for tally in (effect.before, effect.after))
            table.add_row(effect.title, *false, *real)
        output.print(table)
    for effect in tuning.effects:
        for cause in effect.laid_to:
            output.print(f"Not counted as normal, {effect.title}: {cause}.", markup=False, highlight=False)
    for remark in tuning.remarks:
        output.print(remark, markup=False, highlight=False)
    if not tuning.proposals:
        output.print("Nothing to propose.")


def _summed(count: int, time: timedelta) -> str:
    return f"{count}, {_lasting(time)} in all" if count else "0"


def _lasting(time: timedelta) -> str:
    return duration(time.total_seconds())
