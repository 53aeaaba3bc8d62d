"""A drill, to see whether a page really reaches the on-call."""

import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from mlvitals.commands.common import duration, http_url, load, spec_argument


@click.command()
@spec_argument
@click.option("--alertmanager", "url", type=http_url, required=True, metavar="URL", help="The Alertmanager that pages.")
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where its webhook opens incidents (mlvitals inbox --incidents): answered once somebody takes the drill's.",
)
@click.option("--wait", type=duration, default="15m", show_default=True, metavar="TIME", help="Give up after this.")
def drill(spec_path: Path, url: str, folder: Path | None, wait: timedelta) -> None:
    """Send an alert marked as a drill to everybody who hears of alerts; exit 1 unless all is heard and answered.

    Warn people first: it pages. The alerts are taken back at the end.
    """
    from mlvitals.incidents.drill.run import run_drill
    from mlvitals.incidents.drill.server import Alertmanager
    from mlvitals.incidents.record.store import Incidents
    from mlvitals.terminal.drill import drill_card

    spec = load(spec_path)
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%S}"
    click.echo(f"drill {name}: waiting up to {wait} until it is heard", err=True)
    incidents = Incidents(folder) if folder else None
    done = run_drill(spec, Alertmanager(url), name, patience=wait, incidents=incidents, sleep=time.sleep)
    drill_card(done, spec)
    sys.exit(0 if done.is_good else 1)
