"""An estimate on the terminal."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mlvitals.generator.estimate import Estimate

_LARGEST = 12
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_THOUSAND = 1000


def estimate_table(estimate: Estimate, console: Console) -> None:
    """Print an estimate: storage by stream and tier, the families with the most series, the assumptions."""
    console.print(Text(f"{estimate.system}: {estimate.predictions_per_day:,} predictions per day\n", "bold"))
    console.print(_storage(estimate))
    left = "" if estimate.series <= estimate.series_budget else ", which it exceeds"
    console.print(f"\n{estimate.series:,} series at most, of a budget of {estimate.series_budget:,}{left}")
    console.print(_families(estimate))
    console.print()
    for assumption in estimate.assumptions:
        console.print(Text(f"assumed: {assumption}", "dim"), soft_wrap=True)


def size(count: float) -> str:
    """Format a number of bytes: 1.5 GB."""
    for unit in _UNITS[:-1]:
        if count < _THOUSAND:
            return f"{count:.3g} {unit}"
        count /= _THOUSAND
    return f"{count:,.3g} {_UNITS[-1]}"


def _storage(estimate: Estimate) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", show_footer=True)
    totals = [sum(getattr(item, tier) for item in estimate.storage) for tier in ("per_day", "hot", "warm", "cold")]
    table.add_column("type", "total", no_wrap=True)
    table.add_column("stream", overflow="fold")
    for title, total in zip(("per day", "hot", "warm", "cold"), totals, strict=True):
        table.add_column(title, size(total), justify="right", no_wrap=True)
    table.add_column("how", overflow="fold", style="dim")
    for item in estimate.storage:
        sizes = map(size, (item.per_day, item.hot, item.warm, item.cold))
        table.add_row(item.type, Text(item.name), *sizes, item.counted)
    return table


def _families(estimate: Estimate) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("series", justify="right", no_wrap=True)
    table.add_column("family", overflow="fold")
    table.add_column("label values", overflow="fold", style="dim")
    for family in estimate.families[:_LARGEST]:
        table.add_row(f"{family.series:,}", family.family, family.counted)
    rest = estimate.families[_LARGEST:]
    if rest:
        table.add_row(f"{sum(family.series for family in rest):,}", f"{len(rest)} more families", "")
    return table
