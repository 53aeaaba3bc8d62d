"""Where the numbers of the serving families are in a tally, so that counting a request looks up nothing twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mlvitals.exporters.serving.tallies import Series, Tally
from mlvitals.generator.contract import TOTAL_STAGE, Contract, Family, MetricType, Producer
from mlvitals.generator.spec.model import Spec


class _Labelled(dict[str, int]):
    """Places of a family's series by their last label; one for a new label is made when it is asked for."""

    def __init__(self, place: Callable[[str], int], known: Iterable[str]) -> None:
        super().__init__()
        self._place = place
        for label in known:
            self[label]  # so that its first count is seen as a rise from 0

    def __missing__(self, label: str) -> int:
        place = self[label] = self._place(label)
        return place


@dataclass(frozen=True, slots=True)
class VersionPlaces:
    """Where a model version's numbers are."""

    predictions: _Labelled
    errors: _Labelled
    latency: _Labelled
    scores: int


class ServingPlaces:
    """Where the numbers of the serving families are in a tally; what is known beforehand begins at 0."""

    def __init__(self, spec: Spec, contract: Contract, tally: Tally) -> None:
        self._serving = spec.serving
        self._contract = contract
        self._tally = tally
        self._versions: dict[str, VersionPlaces] = {}
        self.processor = self._place("process_cpu_seconds_total")
        self.rows = self._place(contract.name("serving_feature_rows_total"))
        nulls = contract.name("serving_feature_null_total")
        self._nulls = tuple((name, self._place(nulls, name)) for name in spec.features)
        own = {family.name: family for family in contract.of(Producer.SERVING)}
        counted = {name: own.get(contract.event(name)) for name in spec.business.events}
        self.events = {name: tally.place(series_of(family)) for name, family in counted.items() if family}
        """By business event that the application counts."""

    def version(self, model_version: str) -> VersionPlaces:
        """The places of a model version."""
        found = self._versions.get(model_version)
        if found is None:
            found = self._versions[model_version] = self._new_version(model_version)
        return found

    def nulls_in(self, features: Mapping[str, Any]) -> list[int]:
        """The places of the spec's features that are null in a row: None, NaN, or not there."""
        value_of = features.get
        try:
            return [
                place
                for name, place in self._nulls
                if (value := value_of(name)) is None or value != value  # noqa: PLR0124  (NaN alone)
            ]
        except (TypeError, ValueError):
            return [place for name, place in self._nulls if _is_null(value_of(name))]

    def _new_version(self, version: str) -> VersionPlaces:
        def labelled(short: str, known: Iterable[str]) -> _Labelled:
            name = self._contract.name(short)
            return _Labelled(lambda label: self._place(name, version, label), known)

        return VersionPlaces(
            labelled("predictions_total", self._serving.endpoints),
            labelled("prediction_errors_total", self._serving.error_types),
            labelled("prediction_latency_seconds", (*self._serving.stages, TOTAL_STAGE)),
            self._place(self._contract.name("prediction_score"), version),
        )

    def _place(self, name: str, *labels: str) -> int:
        return self._tally.place(series_of(self._contract.by_name[name], *labels))


def series_of(family: Family, *labels: str) -> Series:
    """The series of a family with label values; the buckets of a histogram end with the one without bound."""
    width = {MetricType.COUNTER: 1, MetricType.GAUGE: 2, MetricType.HISTOGRAM: len(family.buckets) + 2}[family.type]
    return Series(family.name, labels, family.type, width)


def _is_null(value: Any) -> bool:
    """Of a value that cannot be compared with itself: pandas.NA is null, an array is not."""
    try:
        return value is None or bool(value != value)  # noqa: PLR0124  (what NaN is)
    except TypeError:
        return True
    except ValueError:
        return False
