"""Training-serving skew: a feature as it was logged at serving against the same feature recomputed offline.

Where predictions and offline rows are matched, each pair of values is compared; the distributions of both sides are
compared always, on the cells of the training reference, which serve here as a ruler and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from msgspec.structs import replace
from numpy.typing import NDArray

from mlvitals.exporters.parts import Measure
from mlvitals.exporters.reading.columns import Chunk
from mlvitals.exporters.sections.skew.report import FeatureSkew, Offender
from mlvitals.exporters.statistics.cells import Cells
from mlvitals.exporters.statistics.distances import STATISTICS, Sides
from mlvitals.exporters.statistics.judging import MINIMUM_VALUES, level_limits, measure, worst
from mlvitals.exporters.statistics.profile import FeatureProfile
from mlvitals.generator.contract import SkewStatus
from mlvitals.generator.contract.statistics import SKEW_MEASURES
from mlvitals.generator.spec.model import AlertPolicy, Alerts, Feature, FeatureType, Severity, SkewJoin

OFFENDERS = 5
"""Differing predictions named for each feature."""

_STATUS = {
    None: SkewStatus.OK,
    Severity.INFO: SkewStatus.OK,
    Severity.WARNING: SkewStatus.INVESTIGATE,
    Severity.CRITICAL: SkewStatus.ALERT,
}


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Row numbers of predictions and of the offline rows they are compared with, side by side."""

    serving: NDArray[np.intp]
    offline: NDArray[np.intp]


def matched(keys: tuple[Chunk, Chunk], times: tuple[Chunk, Chunk], join: SkewJoin, max_age: timedelta) -> Pairs:
    """Match predictions with offline rows: by id, or with the entity's latest row at or before the prediction.

    Of several rows with the same id, or the same entity and time, the last one counts.

    Args:
        keys: ids or entities as text, of predictions and of offline rows; a null matches nothing.
        times: of both, in UTC, without nulls.
        join: by id or by entity.
        max_age: with entity, how old a row may be when the prediction is made.
    """
    serving, offline = _codes(*keys)
    when, since = (_microseconds(moments) for moments in times)
    order = np.lexsort((since, offline))
    wanted, line = (serving, offline) if join is SkewJoin.ID else _on_one_line((serving, when), (offline, since))
    last = np.searchsorted(line[order], wanted, side="right") - 1
    rows = np.flatnonzero((serving >= 0) & (last >= 0))
    place = order[last[rows]]
    fits = offline[place] == serving[rows]
    if join is SkewJoin.ENTITY:
        fits &= when[rows] - since[place] <= max_age // timedelta(microseconds=1)
    return Pairs(rows[fits], place[fits])


def superseded(keys: Chunk, times: Chunk, before: datetime) -> NDArray[np.bool_]:
    """Mark offline rows that no prediction from `before` on is compared with, because a later one precedes it too."""
    codes, since = _codes(keys, keys.slice(0, 0))[0], _microseconds(times)
    order = np.lexsort((since, codes))
    early = since <= before.timestamp() * 1e6
    marks = np.zeros(len(codes), bool)
    marks[order[:-1]] = (codes[order[:-1]] == codes[order[1:]]) & early[order[1:]]
    return marks


def _codes(keys: Chunk, others: Chunk) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number the distinct keys of both sides; -1 for a null."""
    encoded: Any = pa.concat_arrays([keys, others]).dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return codes[: len(keys)], codes[len(keys) :]


def _on_one_line(
    wanted: tuple[NDArray[np.int64], NDArray[np.int64]], offered: tuple[NDArray[np.int64], NDArray[np.int64]]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return numbers that sort by key, then by time."""
    moments = np.unique(np.concatenate([wanted[1], offered[1]]))
    first, second = (codes * (len(moments) + 1) + np.searchsorted(moments, at) for codes, at in (wanted, offered))
    return first, second


def _microseconds(times: Chunk) -> NDArray[np.int64]:
    microseconds: NDArray[np.int64] = times.cast(pa.int64()).to_numpy(zero_copy_only=False)
    return microseconds


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """The matched predictions of one feature: key, time, and both values as `columns.comparable` gives them."""

    keys: Chunk
    times: Chunk
    serving: Chunk
    offline: Chunk


class Counted(NamedTuple):
    """Both sides counted on the same cells."""

    serving: FeatureProfile
    offline: FeatureProfile


def compare_feature(
    feature: Feature,
    alerts: Alerts,
    *,
    cells: Cells | None,
    counted: Counted | None,
    matches: Matches | None,
    tolerance: float,
) -> FeatureSkew:
    """Compare one feature at serving with the same feature recomputed offline.

    Args:
        feature: the feature.
        alerts: from where skew is worth investigating, and from where it alerts.
        cells: the cells of its reference; None where the reference does not have it.
        counted: both sides counted on these cells; None without cells.
        matches: the values side by side; None where predictions are not matched.
        tolerance: relative difference of floats that still counts as equal.
    """
    found = FeatureSkew(status=SkewStatus.INSUFFICIENT_DATA, measure=feature.skew)
    if counted is None or cells is None:
        reason = "the reference does not have it, so there are no cells to compare distributions on"
    else:
        found = replace(found, serving_values=counted.serving.values, offline_values=counted.offline.values)
        reason = _shortage(counted, cells)
        if not reason:
            found = replace(found, distance=_distance(feature, alerts, cells, counted))
    severities = [found.distance.severity] if found.distance else []
    if matches is not None and len(matches.keys) >= MINIMUM_VALUES:
        found = _with_mismatches(found, matches, feature.type, tolerance)
        severities.append(_mismatch_severity(found, alerts.skew_mismatch))
    status = _STATUS[worst(severities)] if severities else SkewStatus.INSUFFICIENT_DATA
    return replace(found, status=status, reason=reason)


def _shortage(counted: Counted, cells: Cells) -> str:
    """Return why distributions cannot be compared, or nothing."""
    for side, profile in zip(("at serving", "offline"), counted, strict=True):
        if profile.values < MINIMUM_VALUES:
            return f"{profile.values} values {side}; at least {MINIMUM_VALUES} are needed"
    return "" if len(cells.labels) > 1 else "the reference holds no finite value"


def _distance(feature: Feature, alerts: Alerts, cells: Cells, counted: Counted) -> Measure:
    """Return the distance of both sides by the feature's own measure."""
    sides = Sides(cells, counted.offline.counts, counted.serving.counts, symmetric=True)
    found = STATISTICS[feature.skew](sides)
    assert found is not None  # the spec refuses a statistic that does not suit the feature's type
    limits = level_limits(SKEW_MEASURES[feature.skew].policy_in(alerts), None)
    return measure(found.value, found.critical_value, limits)


def _with_mismatches(found: FeatureSkew, matches: Matches, kind: FeatureType, tolerance: float) -> FeatureSkew:
    apart = differences(matches.serving, matches.offline, kind)
    differing = np.flatnonzero(apart > (tolerance if kind is FeatureType.FLOAT else 0))
    largest = differing[np.argsort(-apart[differing], kind="stable")][:OFFENDERS]
    return replace(
        found,
        mismatches=len(differing),
        mismatch_ratio=len(differing) / len(apart),
        offenders=tuple(_offender(matches, row, kind) for row in largest.tolist()),
    )


def _mismatch_severity(found: FeatureSkew, policy: AlertPolicy) -> Severity | None:
    ratio = found.mismatch_ratio or 0.0
    return worst(severity for severity, limit in level_limits(policy, None).items() if ratio > limit)


def differences(serving: Chunk, offline: Chunk, kind: FeatureType) -> NDArray[np.float64]:
    """Return the difference of the two values of each pair.

    0 where they are equal or both null; relative to the larger one for numbers and times; infinite where one is null,
    where categories differ, and where one is infinite. Values are equal where they are in the coarser of the two ways in
    which they are written: single precision, or whole milliseconds or seconds.
    """
    if kind is FeatureType.CATEGORICAL:
        codes, others = _codes(serving, offline)
        return np.where(codes == others, 0.0, np.inf)
    x, y = _numbers(serving), _numbers(offline)
    with np.errstate(all="ignore"):
        apart = np.abs(x - y) / np.maximum(np.abs(x), np.abs(y))
        equal = (np.abs(x - y) < _resolution(x, y, serving.type)) | (x == y) | (np.isnan(x) & np.isnan(y))
    return np.where(equal, 0.0, np.where(np.isnan(apart), np.inf, apart))


_TIME_UNITS = (1_000_000.0, 1_000.0)
"""A second and a millisecond, in microseconds."""
_ROUNDED = 2.0
"""Microseconds that two times of the finest unit differ by at most: one may be rounded where the other is cut."""


def _resolution(x: NDArray[np.float64], y: NDArray[np.float64], kind: pa.DataType) -> NDArray[np.float64] | float:
    """Return the difference from which on two values are different ones.

    Of times, the coarsest unit in which one of the sides is written. Of single precision, the distance to the next
    number: the offline side may have computed in double precision what the serving side computed in single.
    """
    if pa.types.is_timestamp(kind):
        return max(_unit(x), _unit(y), _ROUNDED)
    if pa.types.is_float32(kind):
        return np.spacing(np.maximum(np.abs(x), np.abs(y)).astype(np.float32)).astype(np.float64) * 1.5
    return 0.0


def _unit(times: NDArray[np.float64]) -> float:
    known = times[~np.isnan(times)]
    return next((unit for unit in _TIME_UNITS if known.size and not (known % unit).any()), 0.0)


def in_same_precision(serving: Chunk, offline: Chunk, *, single: bool = False) -> tuple[Chunk, Chunk]:
    """Return two columns of `columns.comparable`, both in single precision where some of their values have no more."""
    types = {serving.type, offline.type}
    if not types <= {pa.float32(), pa.float64()} or not (single or pa.float32() in types):
        return serving, offline
    return serving.cast(pa.float32(), safe=False), offline.cast(pa.float32(), safe=False)


def _numbers(values: Chunk) -> NDArray[np.float64]:
    """Return numbers or times as float64, NaN for null."""
    if pa.types.is_timestamp(values.type):
        values = values.cast(pa.int64())
    numbers: NDArray[np.float64] = values.to_numpy(zero_copy_only=False).astype(np.float64)
    return numbers


def _offender(matches: Matches, row: int, kind: FeatureType) -> Offender:
    return Offender(
        key=str(matches.keys[row].as_py()),
        time=matches.times[row].as_py(),
        serving=_written(matches.serving[row].as_py(), kind),
        offline=_written(matches.offline[row].as_py(), kind),
    )


def _written(value: object, kind: FeatureType) -> str | None:
    """Return a value as people read it."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float):
        return str(bool(value)).lower() if kind is FeatureType.BOOLEAN else f"{value:.15g}"
    return None if value is None else str(value)
