"""The error budgets on the terminal."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mlvitals.budgets import Budget, Budgets

_UNKNOWN = "unknown"


def budget_table(budgets: Budgets, console: Console) -> None:
    """Print the state of each objective, and if deployments are allowed."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("objective", overflow="fold")
    for title in ("target", "period", "budget left", "burn rate"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("deployments")
    for budget in budgets.slos:
        left = _UNKNOWN if budget.remaining is None else f"{budget.remaining:.1%}"
        burning = "" if budget.burn_rate is None else f"{budget.burn_rate:.2f}"
        cells = (
            Text(budget.slo),
            f"{100 * budget.objective:.6g}%",
            budget.period,
            Text(left, _style(budget)),
            burning,
        )
        table.add_row(*cells, _gate(budget))
    console.print(table)
    console.print()
    console.print(_VERDICT[budgets.deploy_allowed])


_VERDICT = {
    True: Text("deployments allowed", "green"),
    False: Text("deployments blocked: an error budget is spent", "bold red"),
    None: Text("deployments blocked: not all error budgets are known", "yellow"),
}


def _style(budget: Budget) -> str:
    if budget.remaining is None:
        return "yellow"
    return "bold red" if budget.remaining <= 0 else ""


def _gate(budget: Budget) -> str:
    if budget.deploy_above is None:
        return "not gating"
    if budget.deploy_allowed is None:
        return _UNKNOWN
    return "allowed" if budget.deploy_allowed else f"blocked: needs more than {budget.deploy_above:.0%}"
