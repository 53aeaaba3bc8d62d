"""The error budgets."""

import sys
from pathlib import Path

import click

from mlvitals.commands.common import http_url, load, spec_argument


@click.command()
@spec_argument
@click.option(
    "--prometheus",
    "url",
    type=http_url,
    metavar="URL",
    required=True,
    help="URL of the Prometheus that evaluates the rules.",
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON (schema mlvitals.slo/1).")
def slo(spec_path: Path, url: str, as_json: bool) -> None:
    """Show the error budgets. Exits with 1 unless all are known and allow a deployment."""
    import msgspec

    from mlvitals.budgets import prometheus, read_budgets
    from mlvitals.terminal.budgets import budget_table
    from mlvitals.terminal.console import console

    budgets = read_budgets(load(spec_path), prometheus(url))
    if as_json:
        click.echo(msgspec.json.encode(budgets))
    else:
        budget_table(budgets, console())
    sys.exit(0 if budgets.deploy_allowed else 1)
