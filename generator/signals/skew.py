"""Training-serving skew: the model's inputs at serving compared with those recomputed offline."""

from collections.abc import Iterator
from functools import partial

from mlvitals.generator.contract import SKEW_ROWS, STATISTICS, Contract, SkewStatus, Statistic
from mlvitals.generator.promql import matching, one_of
from mlvitals.generator.signals.building import FEATURE, FeatureFigure, same_for_all, thinned_highest
from mlvitals.generator.signals.signal import (
    Alert,
    Incident,
    Input,
    Layer,
    Place,
    Query,
    Scenario,
    Signal,
    View,
    levels,
)
from mlvitals.generator.signals.text import Format, Value, text
from mlvitals.generator.spec.model import AlertPolicy, Severity, SkewJoin, Spec

_FINE = (SkewStatus.OK, SkewStatus.NOT_RECOMPUTED)
_panel = partial(
    Signal, layer=Layer.DATA, incident=Incident.FEATURE_DRIFT, place=Place.DETAIL, view=View.STEPS, width=8
)


def skew_signals(spec: Spec, contract: Contract) -> Iterator[Signal]:
    """Yield the signals of training-serving skew, for a spec that has a skew.path."""
    for statistic in STATISTICS:
        example = next((name for name, feature in spec.features.items() if feature.skew == statistic.name), None)
        if statistic.skew and example is not None:
            yield _distribution(contract, statistic, statistic.skew.policy_in(spec.alerts), example)
    if spec.skew_join is not SkewJoin.WINDOW:
        yield _mismatches(spec, contract)
    yield _status(contract)
    yield _offline_rows(spec, contract)


def _distribution(contract: Contract, measure: Statistic, policy: AlertPolicy, example: str) -> Signal:
    figure = FeatureFigure(contract, f"skew_{measure.name}", noisy=True)
    ranking, highest = figure.ranking(), thinned_highest(figure.noise)
    return _panel(
        id=figure.family,
        title=f"Training-serving skew ({measure.title}), ten worst",
        description="Distance between a feature's values at serving and those recomputed offline, with the highest "
        "noise floor. Normal: near 0. Unlike drift, skew never comes from a changed population: two pipelines "
        "compute the same feature in different ways.",
        unit="none",
        decimals=3,
        queries=(ranking.query, Query(highest.name, "Noise floor", dimmed=True)),
        levels=levels(policy),
        records=(*ranking.records, highest),
        alerts=figure.alerts(
            policy,
            same_for_all(policy, example),
            name="MLTrainingServingSkew",
            summary="A feature's distribution at serving differs from the one recomputed offline.",
            describe=lambda exceeds: (
                f" differs between serving and offline: {measure.title} ",
                Value(Format.NUMBER),
                f" is {exceeds}.",
            ),
            labels=(("measure", measure.name),),
        ),
    )


def _mismatches(spec: Spec, contract: Contract) -> Signal:
    figure, policy = FeatureFigure(contract, "skew_mismatch_ratio", Format.PERCENT), spec.alerts.skew_mismatch
    ranking = figure.ranking()
    return _panel(
        id="skew_mismatches",
        title="Serving differs from offline, ten worst",
        description="Share of the predictions whose feature had a different value at serving than the one "
        "recomputed offline. Normal: near 0, even where the distributions agree. Defaults after a timeout, stale "
        "caches and future values leaking into the training data show here first; the window's JSON report names "
        "the largest differences.",
        unit="percentunit",
        queries=(ranking.query,),
        levels=levels(policy),
        records=ranking.records,
        alerts=figure.alerts(
            policy,
            same_for_all(policy, next(iter(spec.features))),
            name="MLTrainingServingMismatch",
            summary="Predictions used values of a feature that differ from those recomputed offline.",
            describe=lambda exceeds: (
                ": in ",
                Value(Format.PERCENT),
                f" of the predictions the value at serving differs from the one recomputed offline, {exceeds}. The "
                "window's report names the largest differences.",
            ),
        ),
    )


def _status(contract: Contract) -> Signal:
    strange = matching(contract.name("skew_status"), one_of("status", _FINE, negate=True))
    return _panel(
        id="skew_status",
        title="Features with skew",
        description="Features whose values at serving and offline disagree or could not be compared, and why. "
        "Normal: empty. Features that are not recomputed offline are left out.",
        unit="none",
        queries=(Query(f"max by ({FEATURE}, status) ({strange}) == 1", instant=True),),
        place=Place.MAIN,
        view=View.TABLE,
        width=6,
        height=7,
        empty="No feature of the last window differs from offline. While the data layer is blind (Health), none was compared.",
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
        summary="No offline rows were found to compare the predictions with, so skew goes undetected.",
        description=text(
            f"The last window of {spec.title} has predictions, but none of them has features recomputed offline at "
            "skew.path. The window's JSON report says why."
        ),
        timing=spec.alerts.monitoring,
        scenario=lambda value: Scenario((Input(metric, {}, value), Input(rows, {}, 1000))),
    )
    return _panel(
        id="skew_rows",
        title="Rows compared with offline",
        description="Offline rows that the predictions of the last window were compared with. Normal: follows the "
        "rows measured. Zero means that the offline recomputation did not run.",
        unit="short",
        queries=(Query(f"max({metric})", "Offline rows"),),
        height=7,
        alerts=(alert,),
    )
