"""The ground truth of an evaluation: the faults of a history, their times, and the alerts that should notice them."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from mlvitals.generator.atomic import replacing
from mlvitals.generator.errors import UserError
from mlvitals.generator.signals.signal import Layer

TRUTH_SCHEMA = "mlvitals.truth/1"
"""Name and version of the file; a change that breaks a reader raises the number."""


class TruthError(UserError):
    """A file of ground truth that cannot be used."""


class FaultRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One fault, and the alerts that should notice it."""

    name: Annotated[str, Meta(min_length=1, max_length=200)]
    kind: Annotated[str, Meta(min_length=1, max_length=200)]
    layer: Layer
    """The layer at which it must be caught."""
    start: datetime
    end: datetime
    settled: datetime
    """The time from which no metric shows it any more: windows, delays of outcomes and averages reach past its end."""
    strength: float
    signals: tuple[str, ...] = ()
    """Alerts, at least one of which is expected."""
    drift_types: tuple[str, ...] = ()
    """Drift types, any of which is a right answer; empty if none is required."""
    pages: bool = True
    """True if somebody should be woken. A page during a fault that should not page is false."""


class Truth(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The faults of a history from `start` to `end`, in order of time."""

    schema: Literal["mlvitals.truth/1"] = "mlvitals.truth/1"
    system: str
    start: datetime
    end: datetime
    faults: tuple[FaultRecord, ...] = ()


def read_truth(path: Path) -> Truth:
    """Read the truth in a file.

    Raises:
        TruthError: it cannot be read, or is not valid; says what is wrong and where.
    """
    try:
        truth = msgspec.json.decode(path.read_bytes(), type=Truth)
    except OSError as error:
        raise TruthError(f"{path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:  # a ValidationError is one
        raise TruthError(f"{path} is not a ground truth ({TRUTH_SCHEMA}): {error}") from error
    moments = [truth.start, truth.end, *(time for fault in truth.faults for time in _times(fault))]
    if any(moment.tzinfo is None for moment in moments):
        raise TruthError(f"{path}: every time needs a time zone, such as 2026-03-03T08:00:00Z")
    if truth.end <= truth.start:
        raise TruthError(f"{path}: the end {truth.end} is not after the start {truth.start}")
    for number, fault in enumerate(truth.faults):
        if not fault.start < fault.end <= fault.settled:
            raise TruthError(f"{path}: faults[{number}] {fault.name!r} must have start < end <= settled")
    repeated = {fault.name for fault in truth.faults if [other.name for other in truth.faults].count(fault.name) > 1}
    if repeated:
        raise TruthError(f"{path}: two faults are named {min(repeated)!r}; give each a unique name")
    return truth


def write_truth(truth: Truth, path: Path) -> None:
    """Write a truth in a readable form, atomically."""
    with replacing(path) as file:
        file.write(msgspec.json.format(msgspec.json.encode(truth), indent=2) + b"\n")


def _times(fault: FaultRecord) -> tuple[datetime, ...]:
    return (fault.start, fault.end, fault.settled)
