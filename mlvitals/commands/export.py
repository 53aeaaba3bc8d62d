"""The exporter."""

import sys
import threading
from pathlib import Path

import click

from mlvitals.commands.common import compress_option, load, spec_argument


@click.command()
@spec_argument
@click.option("--listen", metavar="HOST:PORT", help="Where to serve /metrics. Default: the spec's exporter.listen.")
@compress_option
def export(spec_path: Path, listen: str | None, compress_time: float) -> None:
    """Measure every window as it ends, and serve the figures to Prometheus."""
    from exporters.exporter import run_exporter

    spec = load(spec_path, compress_time)
    run_exporter(spec, spec_path.parent, stop=threading.Event(), log_to=sys.stderr, listen=listen)
