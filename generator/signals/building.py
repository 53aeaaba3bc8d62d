"""Shared builders of signals: queries over features, alerts at levels and beyond noise, test inputs."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from mlvitals.generator.contract import Contract, DriftKind
from mlvitals.generator.promql import matching, one_of
from mlvitals.generator.signals.signal import THINNED, Alert, Comparison, Input, Level, Query, Record, Scenario, levels
from mlvitals.generator.signals.text import (
    Format,
    Found,
    FoundLabel,
    FoundValue,
    IfLabel,
    LabelOf,
    Literal,
    Piece,
    text,
    threshold,
)
from mlvitals.generator.spec.levels import ALERTING, level_in_force
from mlvitals.generator.spec.model import AlertPolicy, Feature, Levels, Severity, Spec, Timing

FEATURE = "feature_name"
SOURCE = "feature_source"
OPPOSITE, RECIPROCAL = "-{value}", "1 / {value}"
"""The value that is as far off on the other side of 0, and of 1."""


# ---------------------------------------------------------------- features and their thresholds


@dataclass(frozen=True, slots=True)
class FeatureThreshold:
    """A threshold and the features it applies to."""

    severity: Severity
    value: float
    names: tuple[str, ...]
    matcher: str
    """Selects these features; empty if they are all features of the system."""


def feature_thresholds(
    spec: Spec, policy: AlertPolicy, own: Callable[[Feature], Levels | None], names: Iterable[str]
) -> Iterator[FeatureThreshold]:
    """Group features by their threshold: their own if the spec gives one, otherwise the policy's."""
    names = tuple(names)
    for severity in ALERTING:
        groups: dict[float, list[str]] = {}
        for name in names:
            value = level_in_force(policy, own(spec.features[name]), severity)
            if value is not None:
                groups.setdefault(value, []).append(name)
        # In order of the features: the order, and with it an alert's identity, survives a changed threshold.
        for value, members in groups.items():
            matcher = "" if len(members) == len(spec.features) else one_of(FEATURE, members)
            yield FeatureThreshold(severity, value, tuple(members), matcher)


def same_for_all(policy: AlertPolicy, example: str) -> Iterator[FeatureThreshold]:
    """Yield the levels of a policy for all features; tests use the example."""
    for level in levels(policy):
        yield FeatureThreshold(level.severity, level.value, (example,), "")


def by_feature(metric: str, *matchers: str, lowest: bool = False) -> str:
    """Return PromQL for one series per feature, the highest or lowest that any instance of the exporter reports."""
    return f"{'min' if lowest else 'max'} by ({FEATURE}) ({matching(metric, *filter(None, matchers))})"


def thinned_by_feature(metric: str) -> Record:
    """Return a record of a feature metric, one series per feature, thinned for panels."""
    return Record(f"{FEATURE}:{metric}:max", by_feature(metric), every=THINNED)


def thinned_farthest(metric: str, *, mirrored: str) -> Record:
    """Return a record of the value that is farthest off on either side, of all instances, thinned for panels.

    `mirrored` gives the value that is as far off on the other side, such as ``-{value}``.
    """
    return Record(f"{FEATURE}:{metric}:farthest", farthest(metric, mirrored, f" by ({FEATURE}) "), every=THINNED)


def farthest(metric: str, mirrored: str, by: str = "") -> str:
    """Return PromQL for the value that is farthest off on either side, of all instances."""
    highest, lowest = (f"{extreme}{by}({metric})" for extreme in ("max", "min"))
    return f"{highest} > {mirrored.format(value=lowest)} or {lowest}"


def thinned_highest(metric: str) -> Record:
    """Return a record of the highest value of all features, thinned for panels."""
    return Record(f"system:{metric}:max", f"max({metric})", every=THINNED)


def with_noise(metric: str, legend: str) -> tuple[Query, Query]:
    """Return queries of a metric of the whole system and of its noise floor."""
    return Query(f"max({metric})", legend), Query(f"max({metric}_critical_value)", "Noise floor", dimmed=True)


@dataclass(frozen=True, slots=True)
class Ranking:
    """The features, or other series, that were worst in the displayed range: the same ones over all of it.

    A month of a thinned record of 1000 features takes Prometheus half a second to read. To rank them too by reading it
    would take the same time again, so each hour's worst is recorded too.
    """

    record: Record
    """The ranked metric, one series for each."""
    distance: str = "{series}"
    """The expression to rank by, such as ``abs({series})``."""
    by: str = FEATURE
    """The labels by which its series differ."""
    count: int = 10
    """Number of series shown."""

    @property
    def records(self) -> tuple[Record, Record]:
        """The records that the panel reads."""
        return self.record, self._hourly

    @property
    def _hourly(self) -> Record:
        return Record(f"{self.record.name}_{_PEAKS}", self._peak(_PEAKS), every=_PEAKS)

    def _peak(self, span: str, at: str = "") -> str:
        figure = self.distance.format(series=self.record.name)
        # Anything but a plain series has to be evaluated step by step.
        steps = "" if figure == self.record.name else f":{THINNED}"
        return f"max_over_time({figure}[{span}{steps}]{at})"

    @property
    def worst(self) -> str:
        """PromQL for the series that rank highest; the hour that is not recorded yet is evaluated directly."""
        recorded = f"max_over_time({self._hourly.name}[$__range] @ end())"
        newest = f'label_replace({self._peak(_PEAKS, " @ end()")}, "newest", "yes", "", "")'
        highest = f"topk({self.count}, max by ({self.by}) ({recorded} or {newest}))"
        return f"{self.record.name} and on ({self.by}) {highest}"

    @property
    def query(self) -> Query:
        """The query of a panel that shows them."""
        return Query(self.worst, " ".join(f"{{{{{label}}}}}" for label in self.by.split(", ")))


_PEAKS = "1h"
"""Longer than any lookback: these records are read only over ranges."""


# ---------------------------------------------------------------- alerts


Describe = Callable[[str], tuple[Piece | str, ...]]
"""Builds a description from the phrase for an exceeded level: ``above the warning threshold 0.1``."""
_QUIET = 0.001
_OF_THE_SYSTEM: Mapping[str, str] = MappingProxyType({})
"""The noise floor in a test in which it must not suppress the alert."""


def exceeds(level: Level | FeatureThreshold, form: Format, side: str = "above") -> str:
    """Return the phrase for a value beyond a level: ``above the warning threshold 0.1``."""
    return f"{side} the {level.severity} threshold {threshold(level.value, form)}"


def at_levels(
    policy: AlertPolicy,
    *,
    name: str,
    expression: str,
    summary: str,
    describe: Describe,
    scenario: Callable[[float], Scenario],
    form: Format = Format.NUMBER,
    gate: str = "",
    gated: Callable[[float], Scenario] | None = None,
    resolution: float = 0.001,
    labels: tuple[tuple[str, str], ...] = (),
    policy_name: str = "",
) -> tuple[Alert, ...]:
    """Return an alert at each level of a policy; give its name if it is a copy of one of the spec's."""
    return tuple(
        Alert(
            name=name,
            severity=level.severity,
            expression=expression,
            threshold=level.value,
            gate=gate,
            gated=gated,
            summary=summary,
            description=text(*describe(exceeds(level, form))),
            timing=policy,
            scenario=scenario,
            format=form,
            resolution=resolution,
            labels=labels,
            policy=policy_name,
        )
        for level in levels(policy)
    )


def beyond_noise(
    policy: AlertPolicy,
    metric: str,
    *,
    name: str,
    summary: str,
    describe: Describe,
    expression: str = "",
    form: Format = Format.NUMBER,
    context: tuple[Input, ...] = (),
    by: Mapping[str, str] = _OF_THE_SYSTEM,
) -> tuple[Alert, ...]:
    """Return alerts on a metric that must exceed both a level and its own noise.

    Args:
        policy: the levels.
        metric: the metric; its noise floor is published as a second metric.
        name: of the alert.
        summary: of the alert.
        describe: its description.
        expression: the compared expression, if it is not the highest value of any instance.
        form: the format of the value.
        context: series that the description looks up, for tests.
        by: the labels of what the metric is about, with example values; none if it is about the whole system.
    """
    labels = ", ".join(by)
    highest, on = (f"max by ({labels}) ", f" on ({labels})") if by else ("max", "")
    noise, compared = f"{metric}_critical_value", expression or f"{highest}({metric})"

    def scenario(value: float, quiet: float = _QUIET) -> Scenario:
        return Scenario((Input(metric, by, value), Input(noise, by, quiet), *context), by)

    return at_levels(
        policy,
        name=name,
        expression=compared,
        summary=summary,
        describe=describe,
        scenario=scenario,
        form=form,
        gate=f"and{on} {compared} >{on} {highest}({noise})",
        gated=lambda value: scenario(value, quiet=2 * value),
    )


def unreadable(metric: str, name: str, timing: Timing, summary: str, *description: Piece | str) -> Alert:
    """Return the alert on a number of files that cannot be read."""
    return Alert(
        name=name,
        severity=Severity.WARNING,
        expression=f"max({metric})",
        threshold=0,
        resolution=1,
        summary=summary,
        description=text(*description),
        timing=timing,
        scenario=lambda value: Scenario((Input(metric, {}, value),)),
    )


@dataclass(frozen=True, slots=True)
class FeatureFigure:
    """A metric of each feature: the same series for its panel, its alerts and their tests."""

    contract: Contract
    family: str
    """The short name."""
    form: Format = Format.NUMBER
    noisy: bool = False
    """True if the exporter also publishes its noise floor."""
    signed: bool = False
    """True if it is equally bad on either side of 0: the alert then says on which side it is."""
    mirror: str = ""
    """The value that is as bad on the other side as ``{value}`` is; for a signed metric, its opposite."""
    resolution: float = 0.001
    context: Callable[[str], tuple[Input, ...]] = lambda _: ()
    """Series of a feature that the description looks up, for tests."""

    @property
    def metric(self) -> str:
        """Its full name."""
        return self.contract.name(self.family)

    @property
    def noise(self) -> str:
        """The full name of its noise floor."""
        return f"{self.metric}_critical_value"

    @property
    def mirrored(self) -> str:
        """The value that is as bad on the other side; empty if there is only one side."""
        return self.mirror or OPPOSITE * self.signed

    def ranking(self, distance: str = "{series}") -> Ranking:
        """Return the ranking of the worst features by it."""
        if self.mirrored:
            return Ranking(thinned_farthest(self.metric, mirrored=self.mirrored), distance)
        return Ranking(thinned_by_feature(self.metric), distance)

    def alerts(
        self,
        policy: AlertPolicy,
        groups: Iterable[FeatureThreshold],
        *,
        name: str,
        summary: str,
        describe: Describe,
        after: tuple[Piece, ...] = (),
        labels: tuple[tuple[str, str], ...] = (),
    ) -> tuple[Alert, ...]:
        """Return an alert at the threshold of each group of features; the value must also exceed the noise floor, if any.

        Args:
            policy: the timing.
            groups: features by their thresholds.
            name: of the alert.
            summary: of the alert.
            describe: the text between the feature and its source.
            after: the text after the source.
            labels: fixed labels of the alert.
        """
        size = f"abs({self.metric})" if self.signed else self.metric
        return tuple(
            self.alert(
                group,
                policy,
                expression=self._shown(group),
                gate=f"and on ({FEATURE}) ({size} > {self.noise})" if self.noisy else "",
                name=name,
                summary=summary,
                describe=describe,
                after=after,
                labels=labels,
            )
            for group in groups
        )

    def _shown(self, group: FeatureThreshold) -> str:
        selected = matching(self.metric, *filter(None, (group.matcher,)))
        # The farthest of all instances, on whichever side.
        return f"max by ({FEATURE}) ({f'abs({selected})' if self.signed else selected})"

    def _side(self, limit: float) -> Iterator[Piece]:
        """Yield the texts for a signed metric beyond its limit on either side, of which exporters may disagree."""
        if self.signed:
            value = FoundValue(self.form)
            yield Found(self.metric, (FEATURE,), {}, (Literal(" It rose: "), value, Literal(".")), above=limit)
            yield Found(self.metric, (FEATURE,), {}, (Literal(" It fell: "), value, Literal(".")), below=-limit)

    def alert(
        self,
        group: FeatureThreshold,
        policy: AlertPolicy,
        *,
        expression: str,
        gate: str,
        name: str,
        summary: str,
        describe: Describe,
        comparison: Comparison = ">",
        quiet: float = _QUIET,
        loud: Callable[[float], float] = lambda value: 2 * value,
        after: tuple[Piece, ...] = (),
        labels: tuple[tuple[str, str], ...] = (),
        policy_name: str = "",
    ) -> Alert:
        """Return one alert. In its tests the noise floor is `quiet`, or `loud` where it suppresses the alert."""
        spec, example = self.contract.spec, group.names[0]

        def scenario(value: float, noise: float = quiet) -> Scenario:
            noises = (Input(self.noise, {FEATURE: example}, noise),) if self.noisy else ()
            figure, info = Input(self.metric, {FEATURE: example}, value), feature_info_input(self.contract, example)
            return Scenario((figure, *noises, *self.context(example), info), feature_labels(spec, example))

        beyond = exceeds(group, self.form, "below" if comparison == "<" else "above")
        described = ("Feature ", LabelOf(FEATURE), f" of {spec.title}", *describe(beyond))
        return Alert(
            name=name,
            severity=group.severity,
            expression=expression,
            comparison=comparison,
            threshold=group.value,
            gate=gate,
            gated=(lambda value: scenario(value, noise=loud(value))) if self.noisy else None,
            enrich=with_source(self.contract),
            summary=summary,
            description=text(*described, *self._side(group.value), IfLabel(SOURCE, " Source: ", "."), *after),
            timing=policy,
            scenario=scenario,
            format=self.form,
            resolution=self.resolution,
            url_labels=(FEATURE,),
            labels=labels,
            policy=policy_name,
        )


# ---------------------------------------------------------------- labels and texts of alerts


def with_source(contract: Contract) -> str:
    """Return the suffix that gives a feature's alert the label of its source."""
    info = contract.name("feature_info")
    sources = f"max by ({FEATURE}, {SOURCE}) ({info})"
    # Exporters of two specs may name two sources, as in a rolling change: then the feature has none, rather than no alert.
    agreed = f"{sources} and on ({FEATURE}) count by ({FEATURE}) ({sources}) == 1"
    return f"* on ({FEATURE}) group_left ({SOURCE}) ({agreed} or on ({FEATURE}) max by ({FEATURE}) ({info}))"


def feature_labels(spec: Spec, name: str) -> dict[str, str]:
    """Return the labels that remain on a feature's alert."""
    source = spec.features[name].source
    return {FEATURE: name, **({SOURCE: source} if source else {})}


def feature_info_input(contract: Contract, name: str) -> Input:
    """Return the info series that a feature's alert is joined with."""
    spec = contract.spec
    labels = {**feature_labels(spec, name), "feature_type": spec.features[name].type.value}
    return Input(contract.name("feature_info"), labels, 1)


def top_bin_text(prefix: str, by: tuple[str, ...]) -> Piece:
    """Return the sentence about the bin that changed most: its range and both its shares."""
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
    """Return the sentence about the drift type of the last window."""
    return Found(
        contract.name("drift_type"), (), {}, (Literal(" Kind: "), FoundLabel("type"), Literal(" drift.")), above=0
    )


def drift_kind_input(contract: Contract, kind: DriftKind) -> Input:
    """Return the input of a window with a drift type."""
    return Input(contract.name("drift_type"), {"type": kind.value}, 1)


def top_bin_inputs(prefix: str, labels: Mapping[str, str]) -> tuple[Input, ...]:
    """Return the inputs of a top bin that went from 15% to 35%."""
    marked = {**labels, "rank": "1", "bin": "> 365"}
    return (
        Input(f"{prefix}_top_bin_reference_ratio", marked, 0.15),
        Input(f"{prefix}_top_bin_current_ratio", marked, 0.35),
    )
