"""The messages as a page: newest first, no scripts, readable on a phone, light or dark by the reader's setting."""

from collections.abc import Sequence
from datetime import datetime
from html import escape

from mlvitals.incidents.inbox.messages import Link, Message, Service

SHOWN = 200
_REFRESH_SECONDS = 15
_STATUSES = ("trigger", "acknowledge", "resolve", "firing", "resolved")
_NAMES = {Service.SLACK: "Slack", Service.PAGERDUTY: "PagerDuty", Service.WEBHOOK: "Webhook"}

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --dim: #777; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 0 auto; padding: 1rem; }
article { border: 1px solid var(--line); border-left: .35rem solid #888; border-radius: .4rem; padding: .6rem .9rem;
  margin: .8rem 0; }
article.slack { border-left-color: #b8860b; } article.pagerduty, article.firing { border-left-color: #c0392b; }
article.resolve, article.resolved { border-left-color: #2e8b57; }
h1 { font-size: 1.3rem; } h2 { font-size: 1rem; margin: .1rem 0; overflow-wrap: anywhere; }
p { margin: .3rem 0; white-space: pre-wrap; overflow-wrap: anywhere; }
.dim { color: var(--dim); font-size: .85rem; } a { display: inline-block; padding: .3rem .8rem .3rem 0; }
"""


def inbox_page(messages: Sequence[Message], now: datetime) -> str:
    """Render all messages, given oldest first. The watchdog's heartbeats are summed up in one line."""
    shown = [message for message in messages if not message.is_heartbeat][::-1]
    body = "".join(map(_article, shown[:SHOWN])) or "<p>Nothing has arrived yet.</p>"
    more = f'<p class="dim">The newest {SHOWN} of {len(shown)}.</p>' if len(shown) > SHOWN else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Inbox of alerts</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="refresh" content="{_REFRESH_SECONDS}">\n<style>{_STYLE}</style></head>\n'
        f'<body><h1>Inbox of alerts</h1>\n<p class="dim">{_heartbeat(messages, now)}</p>\n{body}{more}</body></html>\n'
    )


def _heartbeat(messages: Sequence[Message], now: datetime) -> str:
    beats = [message for message in messages if message.is_heartbeat]
    if not beats:
        return "No heartbeat of the watchdog has arrived yet."
    age = round((now - beats[-1].received_at).total_seconds())
    return f"Last heartbeat of the watchdog: {age} s ago, {_time(beats[-1].received_at)}."


def _article(message: Message) -> str:
    status = f" · {escape(message.status)}" if message.status else ""
    to = f" · {escape(message.to)}" if message.to else ""
    links = f"<p>{''.join(map(_link, message.links))}</p>" if message.links else ""
    # Only these words become a class: a webhook's sender chooses its status.
    kind = f"{message.service} {message.status}" if message.status in _STATUSES else message.service
    return (
        f'<article class="{kind}"><div class="dim">{_time(message.received_at)} · {_NAMES[message.service]}{to}{status}'
        f"</div>\n<h2>{escape(_plain(message, message.title))}</h2>\n<p>{escape(_plain(message, message.text))}</p>"
        f"{links}</article>\n"
    )


def _plain(message: Message, text: str) -> str:
    """Undo Slack's escapes of three characters."""
    if message.service is not Service.SLACK:
        return text
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _link(link: Link) -> str:
    return f'<a href="{escape(link.url)}" rel="noreferrer">{escape(link.text)}</a>'


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
