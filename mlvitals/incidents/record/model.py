"""An incident: what happened and what was done, as entries that are only ever added.

Everything else that is known of an incident (its state, severity, owner, alerts) is computed from its entries. So two
people may add entries on two branches: a merge that keeps the lines of both sides is right, in whatever order.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Meta

ID_PATTERN = r"^[a-z0-9][a-z0-9-]{0,99}$(?!\n)"
MAX_TEXT = 20_000
"""Characters of a note: a page of a log, not the log."""

Id = Annotated[str, Meta(pattern=ID_PATTERN)]
Moment = Annotated[datetime, Meta(tz=True)]
ShortText = Annotated[str, Meta(min_length=1, max_length=200)]
LongText = Annotated[str, Meta(max_length=MAX_TEXT)]


class SevLevel(StrEnum):
    """Severity of an incident; 1 is the worst."""

    SEV1 = "SEV-1"
    SEV2 = "SEV-2"
    SEV3 = "SEV-3"
    SEV4 = "SEV-4"


class IncidentType(StrEnum):
    """The part that is broken."""

    SYSTEM = "system"
    DATA = "data"
    MODEL = "model"
    INTEGRATION = "integration"


class Action(StrEnum):
    """Actions that mitigate an incident of a model."""

    ROLLBACK = "rollback"
    FALLBACK = "feature-fallback"
    TRAFFIC_SHIFT = "traffic-shift"
    RETRAINING = "retraining"
    PIPELINE_FIX = "pipeline-fix"
    OTHER = "other"


class State(StrEnum):
    """Stages of an incident, from open to closed."""

    OPEN = "open"
    MITIGATED = "mitigated"
    RESOLVED = "resolved"
    CLOSED = "closed"


# ---------------------------------------------------------------- entries


class _Entry(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="kind"
):
    """Something that happened at a moment, and who says so."""

    at: Moment
    actor: ShortText


class Opened(_Entry, tag="opened", frozen=True, kw_only=True):
    """The incident was declared."""

    text: LongText = ""


class Reopened(_Entry, tag="reopened", frozen=True, kw_only=True):
    """It was over, and is not."""

    text: LongText = ""


class AlertFired(_Entry, tag="alert-fired", frozen=True, kw_only=True):
    """An alert of the incident's group was notified."""

    fingerprint: ShortText
    starts_at: Moment
    name: ShortText
    severity: str = ""
    labels: dict[str, str] = {}
    text: LongText = ""
    """Its description, as the on-call read it."""


class AlertEnded(_Entry, tag="alert-ended", frozen=True, kw_only=True):
    """An alert of the incident's group no longer fires."""

    fingerprint: ShortText
    starts_at: Moment
    ended_at: Moment
    name: ShortText


class Note(_Entry, tag="note", frozen=True, kw_only=True):
    """Whatever somebody found worth writing down."""

    text: LongText


class Assigned(_Entry, tag="assigned", frozen=True, kw_only=True):
    """Somebody takes the incident, in a role."""

    to: ShortText
    role: ShortText = "incident lead"


class Classified(_Entry, tag="classified", frozen=True, kw_only=True):
    """The severity and type that a person gives it."""

    severity: SevLevel
    type: IncidentType | None = None
    text: LongText = ""


class Mitigated(_Entry, tag="mitigated", frozen=True, kw_only=True):
    """Something was done so that users no longer feel it."""

    action: Action
    text: LongText = ""


class Resolved(_Entry, tag="resolved", frozen=True, kw_only=True):
    """The cause is gone, or its alerts are."""

    text: LongText = ""


class Closed(_Entry, tag="closed", frozen=True, kw_only=True):
    """The post-mortem is done; nothing is added any more."""

    text: LongText = ""


Entry: TypeAlias = (
    Opened | Reopened | AlertFired | AlertEnded | Note | Assigned | Classified | Mitigated | Resolved | Closed
)
_E = TypeVar("_E", bound=_Entry)


# ---------------------------------------------------------------- the incident


class Incident(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One incident, as its file holds it. `entries` is the last key, so that a new entry is appended to the file."""

    version: Literal[1]
    id: Id
    title: ShortText
    system: ShortText
    group_key: str = ""
    """Alertmanager's group, where its webhook opened the incident."""
    entries: Annotated[tuple[Entry, ...], Meta(min_length=1)]

    @property
    def in_order(self) -> tuple[Entry, ...]:
        """The entries by time; of one moment, in the order of the file."""
        return tuple(sorted(self.entries, key=lambda entry: entry.at))

    @property
    def opened_at(self) -> datetime:
        """When it was declared: the time of the first entry that says so, else of the first."""
        opened = [entry.at for entry in self.in_order if isinstance(entry, Opened)]
        return opened[0] if opened else self.in_order[0].at

    @property
    def state(self) -> State:
        """The stage that its entries have reached."""
        state = State.OPEN
        for entry in self.in_order:
            if isinstance(entry, Closed):
                return State.CLOSED
            if isinstance(entry, Resolved):
                state = State.RESOLVED
            elif isinstance(entry, Reopened):
                state = State.OPEN
            elif isinstance(entry, Mitigated) and state is State.OPEN:
                state = State.MITIGATED
        return state

    @property
    def classified(self) -> Classified | None:
        """The last classification by a person."""
        return self._last(Classified)

    @property
    def severity(self) -> SevLevel | None:
        """Its severity; None until a person has given one."""
        return self.classified.severity if self.classified else None

    @property
    def incident_type(self) -> IncidentType | None:
        """Its type; None until a person has given one."""
        return next((entry.type for entry in reversed(self._all(Classified)) if entry.type), None)

    @property
    def owner(self) -> str:
        """Who took it last; empty where nobody has."""
        assigned = self._last(Assigned)
        return assigned.to if assigned else ""

    @property
    def resolved_at(self) -> datetime | None:
        """When it was over for the last time; None while it is not."""
        if self.state not in {State.RESOLVED, State.CLOSED}:
            return None
        resolved = self._last(Resolved)
        return resolved.at if resolved else None

    @property
    def alerts(self) -> tuple[AlertFired, ...]:
        """Every alert that was notified, each start once, by time."""
        first = {(entry.fingerprint, entry.starts_at): entry for entry in reversed(self._all(AlertFired))}
        return tuple(sorted(first.values(), key=lambda entry: (entry.starts_at, entry.fingerprint)))

    @property
    def ended(self) -> frozenset[tuple[str, datetime]]:
        """Fingerprint and start of the alerts that are over."""
        return frozenset((entry.fingerprint, entry.starts_at) for entry in self._all(AlertEnded))

    def roles(self) -> dict[str, str]:
        """The role of each person who was given one; the last one counts."""
        return {entry.to: entry.role for entry in self._all(Assigned)}

    def with_entries(self, added: Iterable[Entry]) -> "Incident":
        """The incident with entries added."""
        return msgspec.structs.replace(self, entries=(*self.entries, *added))

    def _last(self, kind: type[_E]) -> _E | None:
        found = self._all(kind)
        return found[-1] if found else None

    def _all(self, kind: type[_E]) -> list[_E]:
        return [entry for entry in self.in_order if isinstance(entry, kind)]


def text_of(entry: Entry) -> str:
    """Write an entry in words that need no label before them."""
    return " ".join(filter(None, _words(entry)))


def _words(entry: Entry) -> Iterator[str]:
    match entry:
        case AlertFired():
            severity = f"{entry.severity} " if entry.severity else ""
            yield f"Notified of the {severity}alert {entry.name}."
            yield entry.text
        case AlertEnded():
            yield f"The alert {entry.name} is over."
        case Assigned():
            yield f"Assigned to {entry.to}, {entry.role}."
        case Classified():
            yield f"Classified as {entry.severity}{f', {entry.type}' if entry.type else ''}."
            yield entry.text
        case Mitigated():
            yield f"Mitigation: {entry.action.replace('-', ' ')}."
            yield entry.text
        case Note():
            yield entry.text
        case Opened() | Reopened() | Resolved() | Closed():
            yield f"{type(entry).__name__}."
            yield entry.text
