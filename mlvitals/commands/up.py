"""A stack without Docker."""

import signal
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlvitals.commands.common import compress_option, load, spec_argument

if TYPE_CHECKING:
    from collections.abc import Mapping

_LOOK_SECONDS = 0.5
_PURPOSES = {
    "exporter": "what was measured, at / and /metrics",
    "prometheus": "metrics, rules and alerts",
    "alertmanager": "notifications",
    "inbox": "the messages that arrive",
}


@click.command()
@spec_argument
@click.option(
    "--keep",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Keep logs, configuration and data in this folder. Default: a temporary one, which is removed at the end.",
)
@compress_option
def up(spec_path: Path, keep: Path | None, compress_time: float) -> None:
    """Run the stack of a spec here, without Docker: exporter, Prometheus, Alertmanager and an inbox, until Ctrl-C.

    Prometheus and Alertmanager are taken from PATH or .cache/servers; without them the exporter's own pages are shown. All
    messages go to the inbox, whomever the spec names.
    """
    from mlvitals.local.stack import local_stack

    spec = load(spec_path)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with ExitStack() as ends, suppress(KeyboardInterrupt):
        folder = keep or Path(ends.enter_context(tempfile.TemporaryDirectory(prefix="mlvitals-")))
        folder.mkdir(parents=True, exist_ok=True)
        click.echo("starting; Ctrl-C ends everything", err=True)
        stack = ends.enter_context(local_stack(spec, spec_path, folder.absolute(), compress_time))
        for name, url in stack.addresses.items():
            click.echo(f"{name:<13}{url}  {_PURPOSES[name]}")
        for name in stack.missing:
            click.echo(f"{name:<13}not found: put it on PATH to see {_PURPOSES[name]}")
        while True:
            for event in stack.events():
                click.echo(_line(event), err=True)
            time.sleep(_LOOK_SECONDS)


def _line(event: "Mapping[str, object]") -> str:
    hidden = ("time", "level", "system", "service", "event")
    details = ", ".join(f"{name} {value}" for name, value in event.items() if name not in hidden)
    return f"{str(event.get('time', ''))[11:19]}  {event.get('event')}: {details}"
