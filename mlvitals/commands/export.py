"""The exporter."""

import os
import signal
import sys
import threading
from pathlib import Path

import click

from mlvitals.commands.common import OUTPUT, compress_option, load, spec_argument


@click.command()
@spec_argument
@click.option(
    "--listen", metavar="HOST:PORT", help="The address to serve /metrics on. Default: the spec's exporter.listen."
)
@click.option(
    "--log-file", type=OUTPUT, metavar="FILE", help="Write the log to this file too; at 5 MB it is renamed to FILE.1."
)
@compress_option
def export(spec_path: Path, listen: str | None, log_file: Path | None, compress_time: float) -> None:
    """Measure every window when it ends, and serve the metrics to Prometheus."""
    if threading.current_thread() is threading.main_thread():
        # What follows takes seconds to load, and there is nothing yet to be brought to an end.
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    from mlvitals.exporters.process.exporter import run_exporter
    from mlvitals.incidents.gauges import IncidentGauges

    spec = load(spec_path, compress_time)
    folder = spec.incidents.path
    run_exporter(
        spec,
        spec_path.parent,
        stop=threading.Event(),
        log_to=sys.stderr,
        listen=listen,
        log_file=log_file,
        more=IncidentGauges(spec_path.parent / folder, spec.system.name) if folder else None,
    )
