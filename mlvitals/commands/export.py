"""The exporter."""

import sys
import threading
from pathlib import Path

import click

from mlvitals.commands.common import OUTPUT, compress_option, load, spec_argument


@click.command()
@spec_argument
@click.option("--listen", metavar="HOST:PORT", help="Where to serve /metrics. Default: the spec's exporter.listen.")
@click.option("--log-file", type=OUTPUT, metavar="FILE", help="Write the log there too; at 5 MB it becomes FILE.1.")
@compress_option
def export(spec_path: Path, listen: str | None, log_file: Path | None, compress_time: float) -> None:
    """Measure every window as it ends, and serve the figures to Prometheus."""
    from mlvitals.exporters.process.exporter import run_exporter

    spec = load(spec_path, compress_time)
    run_exporter(spec, spec_path.parent, stop=threading.Event(), log_to=sys.stderr, listen=listen, log_file=log_file)
