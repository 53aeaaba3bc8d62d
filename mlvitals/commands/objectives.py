"""The error budgets."""

import sys
from pathlib import Path

import click

from mlvitals.commands.common import load, spec_argument


def _http_url(_ctx: click.Context, _param: click.Parameter, text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise click.BadParameter(f"{text!r} is not a URL such as http://localhost:9090")
    return text


@click.command()
@spec_argument
@click.option(
    "--prometheus", "url", required=True, callback=_http_url, metavar="URL", help="The Prometheus that runs the rules."
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON (schema mlvitals.slo/1).")
def slo(spec_path: Path, url: str, as_json: bool) -> None:
    """Show the error budgets; exit 1 unless they are known and allow a deployment."""
    import msgspec
    from rich.console import Console

    from mlvitals.budget_output import budget_table
    from mlvitals.budgets import prometheus, read_budgets

    budgets = read_budgets(load(spec_path), prometheus(url))
    if as_json:
        click.echo(msgspec.json.encode(budgets))
    else:
        budget_table(budgets, Console(highlight=False))
    sys.exit(0 if budgets.deploy_allowed else 1)
