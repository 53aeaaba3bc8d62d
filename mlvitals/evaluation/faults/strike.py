"""The effects of a fault on a history: rows of the log, outcomes in files of their own, sources, serving metrics."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mlvitals.evaluation.expressions import Floats, Labels, Vector
from mlvitals.evaluation.faults.catalogue import Fault, FaultError
from mlvitals.evaluation.faults.edits import (
    Column,
    Flags,
    nulled,
    relabelled,
    replaced,
    roomy,
    scaled,
    shuffled,
    zeroed,
)
from mlvitals.exporters.reading.columns import ColumnTypeError, comparable
from mlvitals.exporters.reading.ids import hash_ids, hash_rows
from mlvitals.exporters.reading.instants import InstantError, instants
from mlvitals.generator.contract import Contract
from mlvitals.generator.spec.durations import span
from mlvitals.generator.spec.model import FeatureType, OutcomeKind, Spec

Seconds: TypeAlias = NDArray[np.float64]
"""The Unix time of each row."""

_DAY_SECONDS = 86_400
UNSEEN = "never_seen_before"
"""The category that no training data holds."""
_NEXT_VERSION = "-next"


# ---------------------------------------------------------------- rows


@dataclass(frozen=True, slots=True)
class _Struck:
    """Rows, and those of them that a fault hits."""

    spec: Spec
    fault: Fault
    rows: pa.Table
    seconds: Seconds
    hit: Flags
    during: Flags
    """Rows at the time of the fault, hit or not."""

    def edited(self, column: str | None, edit: Callable[[Column], Column]) -> pa.Table:
        """Return the rows with one column edited; unchanged where they lack it.

        Raises:
            FaultError: the column holds what cannot be measured either.
        """
        if column is None or column not in self.rows.column_names:
            return self.rows
        place = self.rows.schema.get_field_index(column)
        try:
            return self.rows.set_column(place, column, edit(self.rows[column].combine_chunks()))
        except (ColumnTypeError, InstantError) as error:
            raise FaultError(f"{self.fault.kind.name} cannot strike column {column!r} of the log: it {error}") from None

    @property
    def column(self) -> str:
        """The column of the feature that the fault strikes."""
        return self.spec.column(self.fault.subject)


def strike_rows(spec: Spec, fault: Fault, rows: pa.Table, seconds: Seconds) -> pa.Table:
    """Return rows of the log, or of outcomes in files of their own, as the fault leaves them.

    Which rows are hit follows from their ids, so that a prediction and its outcome are hit together.
    """
    edit = _EDITS.get(fault.kind.name)
    if edit is None or not rows.num_rows:
        return rows
    during = seconds >= fault.start.timestamp()
    if fault.end is not None:
        during &= seconds < fault.end.timestamp()
    share = fault.strength if fault.kind.strongest == 1 else 1.0
    hit = during & (_places(spec, fault, rows) < share)
    return edit(_Struck(spec, fault, rows, seconds, hit, during)) if during.any() else rows


def _places(spec: Spec, fault: Fault, rows: pa.Table) -> Floats:
    """Place each row evenly in [0, 1): by its user where the fault is one of users, else by its id, else by its number."""
    log = spec.prediction_log
    columns = [log.entity, log.id] if fault.kind.of_users else [log.id]
    known = next((name for name in columns if name and name in rows.column_names), None)
    hashes = hash_rows(0, rows.num_rows) if known is None else hash_ids(rows[known], 0)
    places: Floats = hashes.astype(np.float64) / 2.0**64
    return places


def _march3(of: _Struck) -> pa.Table:
    """A number of days becomes the Unix time from which they count."""

    def edit(column: Column) -> Column:
        wide = roomy(column)
        days = np.nan_to_num(wide.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))
        began = pa.array(np.round(of.seconds - _DAY_SECONDS * np.clip(days, 0, 36_500)).astype(np.int64))
        return replaced(wide, of.hit, began.cast(wide.type, safe=False))

    return of.edited(of.column, edit)


def _lost_reads(of: _Struck) -> pa.Table:
    return of.edited(of.column, lambda column: zeroed(column, of.hit))


def _new_version(of: _Struck) -> pa.Table:
    """A whole deployment: every row of the time gets its score and its version from the new model."""
    rows = of.edited(of.spec.prediction_log.score, lambda column: scaled(column, of.during, of.fault.strength))
    moved = _Struck(of.spec, of.fault, rows, of.seconds, of.hit, of.during)
    version = of.spec.prediction_log.model_version

    def edit(column: Column) -> Column:
        known = comparable(column, FeatureType.CATEGORICAL).drop_null()
        name = known[-1].as_py() if len(known) else "1"
        return relabelled(column, of.during, f"{name}{_NEXT_VERSION}")

    return moved.edited(version, edit)


def _outcome(of: _Struck, edit: Callable[[Column], Column]) -> pa.Table:
    outcome = of.spec.prediction_log.outcome
    return of.edited(outcome.column if outcome else None, edit)


def _fewer_positives(of: _Struck) -> pa.Table:
    """Outcomes that no longer happen; continuous ones shrink by the share."""
    outcome = of.spec.prediction_log.outcome
    if outcome and outcome.kind is OutcomeKind.CONTINUOUS:
        return _outcome(of, lambda column: scaled(column, of.during, 1 - of.fault.strength))
    return _outcome(of, lambda column: zeroed(column, of.hit & ~_is_null(column)))


def _is_null(column: Column) -> Flags:
    missing: Flags = column.is_null().to_numpy(zero_copy_only=False)
    return missing


def _lost_outcomes(of: _Struck) -> pa.Table:
    """An outcome that is a row of its own is lost as a row."""
    if _is_outcomes_alone(of):
        return of.rows.filter(pa.array(~of.hit))
    return _outcome(of, lambda column: nulled(column, of.hit))


def _is_outcomes_alone(of: _Struck) -> bool:
    return not any(of.spec.column(name) in of.rows.column_names for name in of.spec.features)


def _late(of: _Struck) -> pa.Table:
    outcome = of.spec.prediction_log.outcome
    if outcome is None or outcome.timestamp is None:
        return _lost_outcomes(of)
    delay = span(outcome.max_delay)

    def edit(column: Column) -> Column:
        times = instants(column)
        return replaced(times, of.hit, pc.add(times, pa.scalar(delay, pa.duration("us"))))

    return of.edited(outcome.timestamp, edit)


_EDITS: Mapping[str, Callable[[_Struck], pa.Table]] = {
    "march3": _march3,
    "rescaled": lambda of: of.edited(of.column, lambda column: scaled(column, of.hit, 1000.0)),
    "lost_reads": _lost_reads,
    "upstream_nulls": lambda of: of.edited(of.column, lambda column: nulled(column, of.hit)),
    "new_category": lambda of: of.edited(of.column, lambda column: relabelled(column, of.hit, UNSEEN)),
    "new_country": lambda of: of.edited(of.column, lambda column: relabelled(column, of.hit, UNSEEN)),
    "missing_rows": lambda of: of.rows.filter(pa.array(~of.hit)),
    "misscaled_model": _new_version,
    "concept_drift": lambda of: _outcome(of, lambda column: shuffled(column, of.hit, 1)),
    "label_drift": _fewer_positives,
    "click_drop": _fewer_positives,
    "feedback_loss": _lost_outcomes,
    "late_outcomes": _late,
}
"""The effect of each fault on rows; the others leave them alone."""


# ---------------------------------------------------------------- sources


def strike_sources(fault: Fault, updates: pa.Table) -> pa.Table:
    """Return the updates of sources without those that the fault prevents."""
    if fault.kind.name != "stale_source":
        return updates
    seconds = updates["updated"].cast(pa.timestamp("ms", tz="UTC")).cast(pa.int64()).to_numpy() / 1000
    during = (seconds >= fault.start.timestamp()) & ((fault.end is None) | (seconds < _end(fault)))
    of_source: Any = pc.equal(updates["feature_source"].cast(pa.string()), pa.scalar(fault.subject))
    return updates.filter(pa.array(~(during & of_source.to_numpy(zero_copy_only=False))))


def _end(fault: Fault) -> float:
    return float("inf") if fault.end is None else fault.end.timestamp()


# ---------------------------------------------------------------- serving metrics


def strike_series(contract: Contract, fault: Fault, times: Floats, series: Mapping[str, Vector]) -> dict[str, Vector]:
    """Return the series of the serving application as the fault leaves them; the exporter's follow from the rows."""
    edit = _SERIES.get(fault.kind.name)
    during = (times > fault.start.timestamp()) & (times <= _end(fault))
    return dict(series) if edit is None else {**series, **edit(contract, fault, during, series)}


Series: TypeAlias = Mapping[str, Vector]


def _failing(contract: Contract, fault: Fault, during: Flags, series: Series) -> dict[str, Vector]:
    """A share of the requests fails: each version's errors grow by it."""
    name = contract.name("prediction_errors_total")
    asked: dict[str, Floats] = {}
    for labels, values in series.get(contract.name("predictions_total"), {}).items():
        version = dict(labels).get("model_version", "")
        asked[version] = asked.get(version, np.zeros(len(values))) + grown(values)
    errors = dict(series.get(name, {}))
    done: set[str] = set()
    for labels, values in series.get(name, {}).items():
        version = dict(labels).get("model_version", "")
        if version in asked and version not in done:
            done.add(version)
            errors[labels] = values + np.cumsum(np.where(during, fault.strength * asked[version], 0.0))
    return {name: errors}


def grown(values: Floats) -> Floats:
    """Return by how much a counter grew at each step; nothing where it has no value or started again."""
    steps = np.diff(values, prepend=values[:1])
    return np.where(np.isnan(steps) | (steps < 0), 0.0, steps)


def _slow(contract: Contract, fault: Fault, during: Flags, series: Series) -> dict[str, Vector]:
    """Every latency is multiplied: what was below a bound is now below a larger one, evenly within buckets."""
    name = contract.name("prediction_latency_seconds_bucket")
    groups: dict[Labels, dict[float, Labels]] = {}
    for labels in series.get(name, {}):
        bound = float(dict(labels)["le"])
        groups.setdefault(frozenset(item for item in labels if item[0] != "le"), {})[bound] = labels
    slowed = dict(series.get(name, {}))
    for by_bound in groups.values():
        bounds = np.array(sorted(by_bound))
        counts = np.array([grown(series[name][by_bound[bound]]) for bound in bounds])
        for bound in bounds:
            before = np.interp(bound / fault.strength, [0.0, *bounds[:-1]], np.arange(len(bounds)))
            below = counts[-1] if np.isinf(bound) else _between(counts, float(before))
            change = np.where(during, below - counts[list(bounds).index(bound)], 0.0)
            slowed[by_bound[bound]] = series[name][by_bound[bound]] + np.cumsum(change)
    return {name: slowed}


def _between(counts: Floats, place: float) -> Floats:
    """Return the count at a place among the bounds: 0 is none, 1 the first bound."""
    lower, part = int(place), place - int(place)
    ends = np.vstack([np.zeros(counts.shape[1]), counts])
    upper = min(lower + 1, len(ends) - 1)
    found: Floats = (1 - part) * ends[lower] + part * ends[upper]
    return found


def _disengaged(contract: Contract, fault: Fault, during: Flags, series: Series) -> dict[str, Vector]:
    """The events that KPIs count as gains come in smaller numbers."""
    business = contract.spec.business
    struck = {kpi.numerator for kpi in business.kpis.values()} - business.unique - business.logged.keys()
    struck -= {kpi.denominator for kpi in business.kpis.values()}
    return {
        name: {
            labels: values - np.cumsum(np.where(during, fault.strength * grown(values), 0.0))
            for labels, values in series[name].items()
        }
        for name in map(contract.event, sorted(struck))
        if name in series
    }


_SERIES: Mapping[str, Callable[[Contract, Fault, Flags, Series], dict[str, Vector]]] = {
    "error_burst": _failing,
    "latency_regression": _slow,
    "click_drop": _disengaged,
}
