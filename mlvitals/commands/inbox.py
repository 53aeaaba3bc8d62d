"""A stand-in for Slack, PagerDuty and a webhook."""

import threading
from contextlib import suppress
from pathlib import Path

import click

from mlvitals.commands.common import OUTPUT


@click.command()
@click.option(
    "--listen", default="127.0.0.1:9110", show_default=True, metavar="HOST:PORT", help="The address to listen on."
)
@click.option(
    "--keep", type=OUTPUT, metavar="FILE", help="Keep the messages in this file across restarts, as JSON lines."
)
@click.option(
    "--incidents",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Open an incident in this folder for each group of alerts that reaches the webhook, and resolve it with them.",
)
def inbox(listen: str, keep: Path | None, folder: Path | None) -> None:
    """Emulate Slack, PagerDuty and a webhook for a local Alertmanager, and show the messages that arrive."""
    import signal

    from mlvitals.incidents.inbox.mailbox import Mailbox
    from mlvitals.incidents.inbox.server import PAGERDUTY, SLACK, WEBHOOK, Inbox
    from mlvitals.incidents.record.webhook import incident_keeper

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with (
        Inbox(listen, Mailbox(keep, incident_keeper(folder) if folder else None)) as server,
        suppress(KeyboardInterrupt),
    ):
        click.echo(f"{server.url}: Slack at {SLACK}, PagerDuty at {PAGERDUTY}, webhooks at {WEBHOOK}", err=True)
        threading.Event().wait()
