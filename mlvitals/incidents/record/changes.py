"""Changes that an incident allows: each gives the entry to add, or refuses with a sentence. Pure."""

import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from hashlib import sha256

from mlvitals.generator.errors import UserError
from mlvitals.incidents.record.model import Closed, Entry, Incident, Reopened, Resolved, State

CLOCK_TOLERANCE = timedelta(minutes=5)
"""The most by which another machine's clock may be ahead of ours."""
_SLUG_CHARACTERS = 60


class IncidentError(UserError):
    """An incident that is unknown, or cannot be changed so."""


Amendment = Callable[[Incident], Sequence[Entry]]
"""The entries that are to be added to an incident as it is now."""


def adding(*entries: Entry) -> Amendment:
    """Add entries to an incident that is not closed.

    Raises:
        IncidentError: on use, where the incident is closed or is not in a state that the entry can follow.
    """

    def change(incident: Incident) -> Sequence[Entry]:
        for entry in entries:
            _refuse(incident, entry)
        return entries

    return change


def _refuse(incident: Incident, entry: Entry) -> None:
    state = incident.state
    if state is State.CLOSED:
        closed = next(found for found in incident.in_order if isinstance(found, Closed))
        raise IncidentError(
            f"incident {incident.id} was closed on {closed.at:%Y-%m-%d %H:%M} UTC and is not changed any more; "
            "open a new one that refers to it"
        )
    if isinstance(entry, Resolved) and state is State.RESOLVED:
        raise IncidentError(f"incident {incident.id} is resolved since {incident.resolved_at:%Y-%m-%d %H:%M} UTC")
    if isinstance(entry, Closed) and state is not State.RESOLVED:
        raise IncidentError(f"incident {incident.id} is {state}: resolve it before you close it")
    if isinstance(entry, Reopened) and state is not State.RESOLVED:
        raise IncidentError(f"incident {incident.id} is {state}: only a resolved one is reopened")


def not_ahead(moment: datetime, now: datetime) -> datetime:
    """A moment that has come, give or take what clocks differ by.

    Raises:
        IncidentError: it lies in the future.
    """
    if moment > now + CLOCK_TOLERANCE:
        raise IncidentError(f"{moment:%Y-%m-%d %H:%M:%S} UTC has not come yet; what happened has a time in the past")
    return moment


def new_id(title: str, moment: datetime, group_key: str = "") -> str:
    """An id that sorts by day, says what it is about, and has a mark of Alertmanager's group where there is one."""
    slug = re.sub(r"[^a-z0-9]+", "-", title.lower())[:_SLUG_CHARACTERS].strip("-") or "incident"
    parts = [f"{moment:%Y-%m-%d}", slug, *([group_mark(group_key)] if group_key else [])]
    return "-".join(parts)


def group_mark(group_key: str) -> str:
    """Return the part of the id that all incidents of a group share: their files are found without opening the others."""
    return sha256(group_key.encode("utf-8", errors="surrogatepass")).hexdigest()[:10]
