"""The places of the serving families' numbers in a tally, so that counting a request looks up nothing twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from mlvitals.exporters.serving.labels import ANNOUNCED, LabelValues
from mlvitals.exporters.serving.tallies import Series, Tally
from mlvitals.generator.contract import (
    OPEN_LABELS,
    TOTAL_STAGE,
    Contract,
    Family,
    MetricType,
    Producer,
    TelemetryFailure,
)
from mlvitals.generator.spec.model import Spec

_T = TypeVar("_T")


class _ByLabel(dict[str, _T]):
    """Places by a label whose values the application chooses; those for a new value are made when it is asked for."""

    def __init__(self, make: Callable[[str], _T], values: LabelValues, known: Iterable[str] = ()) -> None:
        super().__init__()
        self._make = make
        self._values = values
        for value in known:
            self[value] = make(value)  # so that its first count is seen as a rise from 0

    def __missing__(self, label: str) -> _T:
        return self.of(self._values.admit(label))

    def of(self, value: str) -> _T:
        """Return the places for a value that is admitted."""
        if value not in self:
            self[value] = self._make(value)
        return self[value]


@dataclass(frozen=True, slots=True)
class VersionPlaces:
    """The places of a model version's numbers."""

    predictions: _ByLabel[int]
    errors: _ByLabel[int]
    latency: Mapping[str, int]
    scores: int


class ServingPlaces:
    """The places of the serving families' numbers in a tally; what is known beforehand starts at 0."""

    def __init__(self, spec: Spec, contract: Contract, tally: Tally) -> None:
        self._serving = spec.serving
        self._contract = contract
        self._tally = tally
        self.processor = self._place("process_cpu_seconds_total")
        self.rows = self._place(contract.name("serving_feature_rows_total"))
        nulls = contract.name("serving_feature_null_total")
        self.nulls = {name: self._place(nulls, name) for name in spec.features}
        self._families = {family.name: family for family in contract.of(Producer.SERVING)}
        counted = {name: self._families.get(contract.event(name)) for name in spec.business.events}
        self.events = {name: tally.place(series_of(family)) for name, family in counted.items() if family}
        """By business event that the application counts."""
        failures = contract.name("serving_telemetry_failures_total")
        self.failures = {failure: self._place(failures, failure) for failure in TelemetryFailure}
        named = {"endpoint": spec.serving.endpoints, "error_type": spec.serving.error_types}
        self.values = {label: self._label_values(label, named.get(label, ())) for label in OPEN_LABELS}
        """By label whose values are for the application to choose."""
        self.versions = _ByLabel(self._new_version, self.values["model_version"])

    def announce(self, model_version: str) -> str:
        """Make room for a version that is going to answer; return the value of its label."""
        value = self.values["model_version"].admit(model_version, ANNOUNCED)
        self.versions.of(value)
        return value

    def _new_version(self, version: str) -> VersionPlaces:
        def place(short: str) -> Callable[[str], int]:
            name = self._contract.name(short)
            return lambda label: self._place(name, version, label)

        latency = place("prediction_latency_seconds")
        return VersionPlaces(
            _ByLabel(place("predictions_total"), self.values["endpoint"], self._serving.endpoints),
            _ByLabel(place("prediction_errors_total"), self.values["error_type"], self._serving.error_types),
            {stage: latency(stage) for stage in (*self._serving.stages, TOTAL_STAGE)},
            self._place(self._contract.name("prediction_score"), version),
        )

    def _label_values(self, label: str, named: Iterable[str]) -> LabelValues:
        overflow = self._place(self._contract.name("serving_label_overflow_total"), label)

        def count() -> None:
            self._tally.values[overflow] += 1

        return LabelValues(named, lambda: self._in_use(label), count)

    def _in_use(self, label: str) -> Iterator[str]:
        at = {name: family.labels.index(label) for name, family in self._families.items() if label in family.labels}
        return (series.labels[at[series.family]] for series in self._tally.all_series() if series.family in at)

    def _place(self, name: str, *labels: str) -> int:
        return self._tally.place(series_of(self._contract.by_name[name], *labels))


def series_of(family: Family, *labels: str) -> Series:
    """Return the series of a family with label values; the buckets of a histogram end with the one without bound."""
    width = {MetricType.COUNTER: 1, MetricType.GAUGE: 2, MetricType.HISTOGRAM: len(family.buckets) + 2}[family.type]
    return Series(family.name, labels, family.type, width)


def nulls_in(names: Iterable[str], features: Mapping[str, Any]) -> list[str]:
    """Return the names that are null in a row: None, NaN, or not there."""
    value_of = features.get
    try:
        return [
            name
            for name in names
            if (value := value_of(name)) is None or value != value  # noqa: PLR0124  (NaN alone)
        ]
    except (TypeError, ValueError):
        return [name for name in names if _is_null(value_of(name))]


def _is_null(value: Any) -> bool:
    """True if a value counts as null. Where it cannot be compared with itself: pandas.NA is null, an array is not."""
    try:
        return value is None or bool(value != value)  # noqa: PLR0124  (what NaN is)
    except TypeError:
        return True
    except ValueError:
        return False
