"""What the five layers share in making signals: queries over features, thresholds of features, test inputs."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from mlvitals.generator.contract import Contract, DriftKind
from mlvitals.generator.promql import matching, one_of
from mlvitals.generator.signals.signal import THINNED, Input, Query, Record
from mlvitals.generator.signals.text import Format, Found, FoundLabel, FoundValue, Literal, Piece
from mlvitals.generator.spec.levels import ALERTING, level_in_force
from mlvitals.generator.spec.model import AlertPolicy, Feature, Levels, Severity, Spec

FEATURE = "feature_name"
SOURCE = "feature_source"


@dataclass(frozen=True, slots=True)
class FeatureThreshold:
    """A threshold, and the features it is for."""

    severity: Severity
    value: float
    names: tuple[str, ...]
    matcher: str
    """Selects these features; empty where they are all features of the system."""


def feature_thresholds(
    spec: Spec, policy: AlertPolicy, own: Callable[[Feature], Levels | None], names: Iterable[str]
) -> Iterator[FeatureThreshold]:
    """Group features by the threshold that holds for each: its own where the spec gives one, else the policy's."""
    names = tuple(names)
    for severity in ALERTING:
        groups: dict[float, list[str]] = {}
        for name in names:
            value = level_in_force(policy, own(spec.features[name]), severity)
            if value is not None:
                groups.setdefault(value, []).append(name)
        for value, members in sorted(groups.items()):
            matcher = "" if len(members) == len(spec.features) else one_of(FEATURE, members)
            yield FeatureThreshold(severity, value, tuple(members), matcher)


def by_feature(metric: str, *matchers: str) -> str:
    """One series a feature, whichever instance of the exporter reported it."""
    return f"max by ({FEATURE}) ({matching(metric, *filter(None, matchers))})"


def thinned_by_feature(metric: str) -> Record:
    """A feature's figure, one series whichever instance reported it, thinned for panels."""
    return Record(f"{FEATURE}:{metric}:max", by_feature(metric), every=THINNED)


def thinned_highest(metric: str) -> Record:
    """The highest figure of all features, thinned for panels."""
    return Record(f"system:{metric}:max", f"max({metric})", every=THINNED)


@dataclass(frozen=True, slots=True)
class Ranking:
    """The features, or whatever has a figure each, that were worst in the shown range: the same ones over all of it.

    A month of a thinned record of 1000 features takes Prometheus half a second to read. To rank them too by reading it
    would take as much again, so each hour's worst is recorded beside it.
    """

    record: Record
    """A figure, one series for each."""
    distance: str = "{series}"
    """By what it is ranked, such as ``abs({series})``."""
    by: str = FEATURE
    """The labels by which its series differ."""
    count: int = 10
    """How many are shown."""

    @property
    def records(self) -> tuple[Record, Record]:
        """What the panel reads."""
        return self.record, self._hourly

    @property
    def _hourly(self) -> Record:
        return Record(f"{self.record.name}_{_PEAKS}", self._peak(_PEAKS), every=_PEAKS)

    def _peak(self, span: str, at: str = "") -> str:
        figure = self.distance.format(series=self.record.name)
        # Anything but a bare series has to be evaluated step by step.
        steps = "" if figure == self.record.name else f":{THINNED}"
        return f"max_over_time({figure}[{span}{steps}]{at})"

    @property
    def worst(self) -> str:
        """The figure of those that rank highest; the hour that is not recorded yet is looked at itself."""
        recorded = f"max_over_time({self._hourly.name}[$__range] @ end())"
        newest = f'label_replace({self._peak(_PEAKS, " @ end()")}, "newest", "yes", "", "")'
        highest = f"topk({self.count}, max by ({self.by}) ({recorded} or {newest}))"
        return f"{self.record.name} and on ({self.by}) {highest}"

    @property
    def query(self) -> Query:
        """The query of a panel that shows them."""
        return Query(self.worst, " ".join(f"{{{{{label}}}}}" for label in self.by.split(", ")))


_PEAKS = "1h"
"""Longer than any lookback: these records are read over ranges alone."""


def with_source(contract: Contract) -> str:
    """The suffix that gives a feature's alert the label of its source."""
    info = contract.name("feature_info")
    return f"* on ({FEATURE}) group_left ({SOURCE}) max by ({FEATURE}, {SOURCE}) ({info})"


def feature_labels(spec: Spec, name: str) -> dict[str, str]:
    """The labels that survive on a feature's alert."""
    source = spec.features[name].source
    return {FEATURE: name, **({SOURCE: source} if source else {})}


def feature_info_input(spec: Spec, contract: Contract, name: str) -> Input:
    """The info series that a feature's alert is joined with."""
    labels = {**feature_labels(spec, name), "feature_type": spec.features[name].type.value}
    return Input(contract.name("feature_info"), labels, 1)


def top_bin_text(prefix: str, by: tuple[str, ...]) -> Piece:
    """The sentence about the bin that moved most: its range and both its shares."""
    first = {"rank": "1"}
    current = Found(
        f"{prefix}_top_bin_current_ratio", by, first, (Literal(" to "), FoundValue(Format.PERCENT), Literal(" now."))
    )
    return Found(
        f"{prefix}_top_bin_reference_ratio",
        by,
        first,
        (
            Literal(" Top bin "),
            FoundLabel("bin"),
            Literal(": from "),
            FoundValue(Format.PERCENT),
            Literal(" of the reference"),
            current,
        ),
    )


def drift_kind_text(contract: Contract) -> Piece:
    """The sentence about the kind of drift of the last window."""
    return Found(
        contract.name("drift_type"), (), {}, (Literal(" Kind: "), FoundLabel("type"), Literal(" drift.")), above=0
    )


def drift_kind_input(contract: Contract, kind: DriftKind) -> Input:
    """A window that shows a kind of drift."""
    return Input(contract.name("drift_type"), {"type": kind.value}, 1)


def top_bin_inputs(prefix: str, labels: Mapping[str, str]) -> tuple[Input, ...]:
    """A top bin that went from 15 % to 35 %."""
    marked = {**labels, "rank": "1", "bin": "> 365"}
    return (
        Input(f"{prefix}_top_bin_reference_ratio", marked, 0.15),
        Input(f"{prefix}_top_bin_current_ratio", marked, 0.35),
    )
