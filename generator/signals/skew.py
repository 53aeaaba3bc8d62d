"""Training-serving skew: what the model was given at serving against what is recomputed offline."""

from collections.abc import Iterator
from dataclasses import dataclass

from mlvitals.generator.contract import SKEW_ROWS, STATISTICS, Contract, SkewStatus
from mlvitals.generator.promql import matching, one_of
from mlvitals.generator.signals.building import (
    FEATURE,
    SOURCE,
    Ranking,
    by_feature,
    feature_info_input,
    feature_labels,
    thinned_by_feature,
    thinned_highest,
    with_source,
)
from mlvitals.generator.signals.signal import (
    Alert,
    Incident,
    Input,
    Layer,
    Level,
    Place,
    Query,
    Scenario,
    Signal,
    View,
    levels,
)
from mlvitals.generator.signals.text import Format, LabelOf, Value, text, threshold
from mlvitals.generator.spec.model import AlertPolicy, Severity, SkewJoin, Spec

_FINE = (SkewStatus.OK, SkewStatus.NOT_RECOMPUTED)


def skew_signals(spec: Spec, contract: Contract) -> Iterator[Signal]:
    """The signals of training-serving skew, for a spec that has a skew.path."""
    for measure in _measures(spec):
        yield _distribution(spec, contract, measure)
    if spec.skew_join is not SkewJoin.WINDOW:
        yield _mismatches(spec, contract)
    yield _status(contract)
    yield _offline_rows(spec, contract)


@dataclass(frozen=True, slots=True)
class _Measure:
    """A measure of distance, its policy, and a feature that is compared by it."""

    key: str
    title: str
    policy: AlertPolicy
    example: str


def _measures(spec: Spec) -> Iterator[_Measure]:
    """The measures in use."""
    for statistic in STATISTICS:
        example = next((name for name, feature in spec.features.items() if feature.skew == statistic.name), None)
        if statistic.skew and example is not None:
            yield _Measure(statistic.name, statistic.title, statistic.skew.policy_in(spec.alerts), example)


def _distribution(spec: Spec, contract: Contract, measure: _Measure) -> Signal:
    metric = contract.name(f"skew_{measure.key}")
    floor, of_example = f"{metric}_critical_value", {FEATURE: measure.example}
    ranking, highest = Ranking(thinned_by_feature(metric)), thinned_highest(floor)

    def scenario(value: float, noise: float = 0.001) -> Scenario:
        info = feature_info_input(spec, contract, measure.example)
        inputs = (Input(metric, of_example, value), Input(floor, of_example, noise), info)
        return Scenario(inputs, feature_labels(spec, measure.example))

    def alert(level: Level) -> Alert:
        return Alert(
            name="MLTrainingServingSkew",
            severity=level.severity,
            expression=by_feature(metric),
            comparison=">",
            threshold=level.value,
            gate=f"and on ({FEATURE}) ({metric} > {floor})",
            gated=lambda value: scenario(value, noise=2 * value),
            enrich=with_source(contract),
            summary="A feature is distributed differently at serving than when it is recomputed offline.",
            description=text(
                "Feature ",
                LabelOf(FEATURE),
                f" of {spec.title} differs between serving and offline: {measure.title} ",
                Value(Format.NUMBER),
                f" is above the {level.severity} threshold {threshold(level.value, Format.NUMBER)}. Source: ",
                LabelOf(SOURCE),
                ".",
            ),
            timing=measure.policy,
            scenario=scenario,
            url_labels=(FEATURE,),
            labels=(("measure", measure.key),),
        )

    return Signal(
        id=f"skew_{measure.key}",
        layer=Layer.DATA,
        title=f"Training-serving skew ({measure.title}), ten worst",
        description="How far a feature's values at serving are from those recomputed offline, with the highest noise "
        "floor. Normal: near 0. Unlike drift this is never the world: two pipelines compute one feature in two ways.",
        unit="none",
        decimals=3,
        queries=(ranking.query, Query(highest.name, "Noise floor", dimmed=True)),
        incident=Incident.FEATURE_DRIFT,
        place=Place.DETAIL,
        view=View.STEPS,
        width=8,
        levels=levels(measure.policy),
        records=(*ranking.records, highest),
        alerts=tuple(alert(level) for level in levels(measure.policy)),
    )


def _mismatches(spec: Spec, contract: Contract) -> Signal:
    metric = contract.name("skew_mismatch_ratio")
    policy, example = spec.alerts.skew_mismatch, next(iter(spec.features))
    ranking = Ranking(thinned_by_feature(metric))

    def scenario(value: float) -> Scenario:
        inputs = (Input(metric, {FEATURE: example}, value), feature_info_input(spec, contract, example))
        return Scenario(inputs, feature_labels(spec, example))

    def alert(level: Level) -> Alert:
        return Alert(
            name="MLTrainingServingMismatch",
            severity=level.severity,
            expression=by_feature(metric),
            comparison=">",
            threshold=level.value,
            enrich=with_source(contract),
            summary="Predictions were made from other values of a feature than are recomputed offline.",
            description=text(
                "Feature ",
                LabelOf(FEATURE),
                f" of {spec.title}: in ",
                Value(Format.PERCENT),
                " of the predictions the value at serving is not the one recomputed offline, above the "
                f"{level.severity} threshold {threshold(level.value, Format.PERCENT)}. The window's report names the "
                "largest differences. Source: ",
                LabelOf(SOURCE),
                ".",
            ),
            timing=policy,
            scenario=scenario,
            format=Format.PERCENT,
            url_labels=(FEATURE,),
        )

    return Signal(
        id="skew_mismatches",
        layer=Layer.DATA,
        title="Serving differs from offline, ten worst",
        description="Share of the predictions whose feature had another value at serving than is recomputed offline. "
        "Normal: near 0, even where the distributions agree. Defaults after a timeout, stale caches and time travel in "
        "the training data show here first; the window's JSON report names the largest differences.",
        unit="percentunit",
        queries=(ranking.query,),
        incident=Incident.FEATURE_DRIFT,
        place=Place.DETAIL,
        view=View.STEPS,
        width=8,
        levels=levels(policy),
        records=ranking.records,
        alerts=tuple(alert(level) for level in levels(policy)),
    )


def _status(contract: Contract) -> Signal:
    metric = contract.name("skew_status")
    strange = matching(metric, one_of("status", _FINE, negate=True))
    return Signal(
        id="skew_status",
        layer=Layer.DATA,
        title="Features with skew",
        description="Features whose values at serving and offline do not agree, or could not be compared, and why. "
        "Normal: empty. Features that are not recomputed offline are left out.",
        unit="none",
        queries=(Query(f"max by ({FEATURE}, status) ({strange}) == 1", instant=True),),
        incident=Incident.FEATURE_DRIFT,
        view=View.TABLE,
        width=6,
        height=7,
        empty="Serving agrees with offline, unless nothing was compared.",
    )


def _offline_rows(spec: Spec, contract: Contract) -> Signal:
    metric, rows = contract.name("skew_offline_rows"), contract.name("window_rows")
    alert = Alert(
        name="MLSkewUnmeasured",
        severity=Severity.WARNING,
        expression=f"max({metric})",
        comparison="<",
        threshold=1,
        resolution=1,
        gate=f"and max({rows}) >= {SKEW_ROWS}",
        gated=lambda value: Scenario((Input(metric, {}, value), Input(rows, {}, 0))),
        summary="No offline row was found to compare the predictions with, so skew goes unseen.",
        description=text(
            f"The last window of {spec.title} has predictions, and none of them has features recomputed offline at "
            "skew.path. The exporter's JSON report says why."
        ),
        timing=spec.alerts.monitoring,
        scenario=lambda value: Scenario((Input(metric, {}, value), Input(rows, {}, 1000))),
    )
    return Signal(
        id="skew_rows",
        layer=Layer.DATA,
        title="Rows compared with offline",
        description="Offline rows that the predictions of the last window were compared with. Normal: follows the rows "
        "measured. Zero is an offline recomputation that did not run.",
        unit="short",
        queries=(Query(f"max({metric})", "Offline rows"),),
        incident=Incident.FEATURE_DRIFT,
        place=Place.DETAIL,
        view=View.STEPS,
        width=8,
        height=7,
        alerts=(alert,),
    )
