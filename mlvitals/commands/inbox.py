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
def inbox(listen: str, keep: Path | None) -> None:
    """Emulate Slack, PagerDuty and a webhook for a local Alertmanager, and show the messages that arrive."""
    import signal

    from mlvitals.incidents.inbox.mailbox import Mailbox
    from mlvitals.incidents.inbox.server import PAGERDUTY, SLACK, WEBHOOK, Inbox

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with Inbox(listen, Mailbox(keep)) as server, suppress(KeyboardInterrupt):
        click.echo(f"{server.url}: Slack at {SLACK}, PagerDuty at {PAGERDUTY}, webhooks at {WEBHOOK}", err=True)
        threading.Event().wait()
