"""Who hears of what."""

from pathlib import Path

import click

from mlvitals.commands.common import load, spec_argument


@click.command()
@spec_argument
@click.option("--json", "as_json", is_flag=True, help="Print as JSON (schema mlvitals.routes/1).")
def routes(spec_path: Path, as_json: bool) -> None:
    """Show who hears of each alert: receiver, delay, silent times, cooldown and escalation."""
    import msgspec

    from mlvitals.generator.routing.hearing import hearings
    from mlvitals.generator.signals import signals
    from mlvitals.terminal.console import console
    from mlvitals.terminal.routes import routes_table

    spec = load(spec_path)
    found = hearings(spec, signals(spec))
    if as_json:
        click.echo(msgspec.json.encode(found))
    else:
        routes_table(found, console())
