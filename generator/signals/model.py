"""The model layer: the model's inputs and outputs compared with its training data."""

from collections.abc import Iterator
from functools import partial

from mlvitals.generator.contract import STATISTICS, UNMEASURABLE, Contract, DriftKind, Statistic, Status
from mlvitals.generator.contract.statistics import KS, PSI, DriftAlert, WorstPanel
from mlvitals.generator.promql import matching, one_of
from mlvitals.generator.signals.building import (
    FEATURE,
    FeatureFigure,
    beyond_noise,
    by_feature,
    drift_kind_input,
    drift_kind_text,
    feature_thresholds,
    thinned_highest,
    top_bin_inputs,
    top_bin_text,
    with_noise,
)
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
from mlvitals.generator.signals.text import Format, Found, FoundValue, LabelOf, Literal, Value, text
from mlvitals.generator.spec.model import AlertPolicy, Severity, Spec

_of_scores = partial(Signal, layer=Layer.MODEL, incident=Incident.PREDICTION_DRIFT, unit="none", view=View.STEPS)
_of_features = partial(
    Signal, layer=Layer.MODEL, incident=Incident.FEATURE_DRIFT, unit="none", decimals=3, view=View.STEPS
)


def model_signals(spec: Spec) -> Iterator[Signal]:
    """Yield the signals of the model layer."""
    contract = Contract(spec)
    if spec.serving.enabled:
        yield _scores(contract)
    if spec.score_type is not None:
        yield _score_drift(spec, contract)
        yield _score_divergence(spec, contract)
        yield _score_nulls(spec, contract)
        yield _score_range(spec, contract)
        yield _score_status(spec, contract)
        if spec.counts_newest_scores:
            yield _newest_score_drift(spec, contract)
            yield _newest_score_span(spec, contract)
    yield _feature_drift(spec, contract)
    for statistic in STATISTICS:
        if statistic.worst and any(statistic.suits(feature.type) for feature in spec.features.values()):
            yield _worst_by(spec, contract, statistic, statistic.worst)
    yield _top_bins(contract)
    if spec.score_type is not None:
        yield _score_bins(contract)
    yield _feature_confirmation(contract)


def _scores(contract: Contract) -> Signal:
    buckets = contract.name("prediction_score_bucket")
    return Signal(
        id="prediction_scores",
        layer=Layer.MODEL,
        title="Scores returned",
        description="Number of predictions in each score range. Normal: the same bands every day. A band that "
        "appears or disappears is a changed model or changed inputs: look at feature drift.",
        unit="short",
        queries=(Query(f"sum by (le) (increase({buckets}[$__rate_interval]))", "{{le}}"),),
        incident=Incident.PREDICTION_DRIFT,
        view=View.HEATMAP,
        width=8,
        height=6,
    )


def _score_drift(spec: Spec, contract: Contract) -> Signal:
    prefix, policy = contract.name("prediction_score"), spec.alerts.score_psi
    psi = f"{prefix}_psi"
    return _of_scores(
        id="score_drift",
        title="Score drift (PSI)",
        description="Population stability index of the scores against those of the reference, and the value that "
        "noise alone exceeds once in 1000 windows. Normal: below the first line. Above it: see which features "
        "drift, then decide between rollback and retraining.",
        decimals=3,
        queries=with_noise(psi, PSI.title),
        width=8,
        levels=levels(policy),
        alerts=beyond_noise(
            policy,
            psi,
            name="MLScoreDrift",
            summary="The distribution of prediction scores has moved away from the reference.",
            describe=lambda exceeds: (
                f"Prediction scores of {spec.title} drifted: PSI ",
                Value(Format.NUMBER),
                f" is {exceeds}.",
                top_bin_text(prefix, ()),
            ),
            context=top_bin_inputs(prefix, {}),
        ),
    )


def _newest_score_drift(spec: Spec, contract: Contract) -> Signal:
    psi, policy = contract.name("prediction_score_count_psi"), spec.alerts.score_psi
    span = contract.name("prediction_score_count_span_seconds")
    return _of_scores(
        id="newest_score_drift",
        title=f"Drift of the newest {spec.windows.score_count} scores (PSI)",
        description="The same as the score drift above, over a fixed number of scores instead of a time window: it "
        "stays measurable at low traffic. Normal: below the first line.",
        decimals=3,
        queries=with_noise(psi, PSI.title),
        place=Place.DETAIL,
        width=9,
        height=7,
        levels=levels(policy),
        alerts=beyond_noise(
            policy,
            psi,
            name="MLNewestScoreDrift",
            summary="The newest prediction scores have moved away from the reference.",
            describe=lambda exceeds: (
                f"The newest {spec.windows.score_count} prediction scores of {spec.title}",
                Found(span, (), {}, (Literal(", which span "), FoundValue(Format.DURATION), Literal(","))),
                " drifted: PSI ",
                Value(Format.NUMBER),
                f" is {exceeds}.",
            ),
            context=(Input(span, {}, 5400),),
        ),
    )


def _newest_score_span(spec: Spec, contract: Contract) -> Signal:
    return _of_scores(
        id="newest_score_span",
        title="Time span of the newest scores",
        description=f"Time from the oldest of the newest {spec.windows.score_count} scores to the end of the last window. "
        "Normal: follows the traffic.",
        unit="s",
        queries=(Query(f"max({contract.name('prediction_score_count_span_seconds')})", instant=True),),
        place=Place.DETAIL,
        view=View.STAT,
        width=3,
        height=7,
    )


def _score_divergence(spec: Spec, contract: Contract) -> Signal:
    return _of_scores(
        id="score_divergence",
        title="Score divergence (JS)",
        description="Jensen-Shannon divergence of the scores in nats, 0 to 0.69. Confirms the PSI next to it.",
        decimals=3,
        queries=(Query(f"max({contract.name('prediction_score_js')})", "JS divergence"),),
        place=Place.DETAIL,
        width=6,
        height=7,
        levels=levels(spec.alerts.feature_js),
    )


def _score_nulls(spec: Spec, contract: Contract) -> Signal:
    return _score_share(
        contract,
        spec.alerts.score_null_rate,
        "null_rate",
        title="Null scores",
        description="Share of the last window's scores that are null or NaN. Normal: the reference's own rate. A jump is a "
        "model that fails for part of the requests, or a log that loses scores.",
        name="MLScoreNullRateHigh",
        summary="Scores are null far more often than they should be.",
        found="are null",
    )


def _score_range(spec: Spec, contract: Contract) -> Signal:
    return _score_share(
        contract,
        spec.alerts.score_out_of_range_ratio,
        "out_of_range",
        share="out_of_range_ratio",
        title="Scores out of range",
        description="Share of the last window's scores below the lowest or above the highest of the reference. Normal: 0. "
        "A jump is a default such as -1, an infinite score, or another scale.",
        name="MLScoreOutOfRange",
        summary="Scores lie outside the range that the reference has.",
        found="are out of range",
    )


def _score_share(
    contract: Contract,
    policy: AlertPolicy,
    family: str,
    *,
    title: str,
    description: str,
    name: str,
    summary: str,
    found: str,
    share: str = "",
) -> Signal:
    """Return a share of the scores that is bad where it grows beyond noise against the reference."""
    metric = contract.name(f"prediction_score_{family}_increase")
    return _of_scores(
        id=f"score_{family}",
        title=title,
        description=description,
        unit="percentunit",
        queries=(
            Query(f"max({contract.name(f'prediction_score_{share or family}')})", title),
            Query(f"max({metric}_critical_value)", "Noise floor", dimmed=True),
        ),
        place=Place.DETAIL,
        width=6,
        height=7,
        levels=levels(policy),
        alerts=beyond_noise(
            policy,
            metric,
            name=name,
            summary=summary,
            describe=lambda exceeds: (
                f"{contract.spec.title}: ",
                Value(Format.PERCENT),
                f" more of the prediction scores {found} than in the reference, {exceeds}.",
            ),
            form=Format.PERCENT,
        ),
    )


def _score_bins(contract: Contract) -> Signal:
    prefix = contract.name("prediction_score_top_bin")
    return _of_scores(
        id="score_bins",
        title="Score ranges that changed most",
        description="The score ranges that contribute most to the score PSI of the last window, with their share of the "
        "reference and of the window. Normal: contributions near 0.",
        decimals=3,
        queries=(
            Query(f"max by (rank, bin) ({prefix}_psi)", "PSI", instant=True),
            Query(f"max by (rank, bin) ({prefix}_reference_ratio)", "Reference", instant=True),
            Query(f"max by (rank, bin) ({prefix}_current_ratio)", "Window", instant=True),
        ),
        view=View.TABLE,
        width=12,
        place=Place.DETAIL,
        height=7,
    )


def _score_status(spec: Spec, contract: Contract) -> Signal:
    metric, status = contract.name("prediction_score_status"), "status"
    labels = {status: Status.MISSING_IN_SERVING.value}
    alert = Alert(
        name="MLScoreUnmeasurable",
        severity=Severity.CRITICAL,
        expression=f"max by ({status}) ({matching(metric, one_of(status, UNMEASURABLE))})",
        threshold=0,
        resolution=1,
        summary="The prediction scores cannot be measured: missing, of another type, all null, or not in the reference.",
        description=text(f"The prediction scores of {spec.title} have status ", LabelOf(status), "."),
        timing=spec.alerts.feature_status,
        scenario=lambda value: Scenario((Input(metric, labels, value),), labels),
    )
    return _of_scores(
        id="score_status",
        title="Score status",
        description="Status of the scores in the last window. Normal: ok. Insufficient data means too few rows for "
        "a reliable statistic.",
        queries=(Query(f"max by ({status}) ({metric}) == 1", instant=True),),
        place=Place.DETAIL,
        view=View.TABLE,
        width=4,
        height=7,
        alerts=(alert,),
    )


def _feature_drift(spec: Spec, contract: Contract) -> Signal:
    ks, outside = contract.name(KS.family), contract.name("feature_out_of_range_ratio")
    policy = PSI.policy_in(spec.alerts)

    def context(example: str) -> tuple[Input, ...]:
        return (
            Input(ks, {FEATURE: example}, 0.4),
            Input(outside, {FEATURE: example}, 0.25),
            *top_bin_inputs(contract.name("drift"), {FEATURE: example}),
            drift_kind_input(contract, DriftKind.COVARIATE),
        )

    figure = FeatureFigure(contract, PSI.family, noisy=True, context=context)
    ranking = figure.ranking()
    alerts = figure.alerts(
        policy,
        feature_thresholds(spec, policy, PSI.levels_of, spec.features),
        name="MLFeatureDrift",
        summary="A feature's distribution has moved away from the training data.",
        describe=lambda exceeds: (
            " drifted: PSI ",
            Value(Format.NUMBER),
            f" is {exceeds}.",
            top_bin_text(contract.name("drift"), (FEATURE,)),
            Found(ks, (FEATURE,), {}, (Literal(" KS D "), FoundValue(Format.NUMBER), Literal("."))),
            Found(
                outside,
                (FEATURE,),
                {},
                (Literal(" Out of range: "), FoundValue(Format.PERCENT), Literal(" of its values.")),
                above=0,
            ),
        ),
        after=(drift_kind_text(contract),),
    )
    return _of_features(
        id="feature_drift",
        title="Feature drift (PSI), ten worst",
        description="Population stability index of each feature's last window against the training reference. "
        "Normal: below 0.10. From 0.10 investigate, from 0.25 act: the alert names the bin that changed most. An "
        "alert also requires the PSI to exceed its own noise floor.",
        queries=(ranking.query,),
        width=12,
        levels=levels(policy),
        records=ranking.records,
        alerts=alerts,
    )


def _worst_by(spec: Spec, contract: Contract, statistic: Statistic, panel: WorstPanel) -> Signal:
    figure = FeatureFigure(contract, statistic.family, noisy=True)
    ranking, floor = figure.ranking(), thinned_highest(figure.noise)
    return _of_features(
        id=panel.id,
        title=f"{statistic.column}, ten worst",
        description=panel.description,
        queries=(ranking.query, Query(floor.name, "Noise floor", dimmed=True)),
        place=Place.MAIN if panel.on_main else Place.DETAIL,
        width=6,
        levels=levels(statistic.policy_in(spec.alerts)),
        records=(*ranking.records, floor),
        alerts=_drift_alerts(spec, figure, statistic, panel.alert) if panel.alert else (),
    )


def _drift_alerts(spec: Spec, figure: FeatureFigure, statistic: Statistic, alert: DriftAlert) -> tuple[Alert, ...]:
    policy, unit = statistic.policy_in(spec.alerts), f" {statistic.unit}" if statistic.unit else ""
    suited = (name for name, feature in spec.features.items() if statistic.suits(feature.type))
    return figure.alerts(
        policy,
        feature_thresholds(spec, policy, statistic.levels_of, suited),
        name=alert.name,
        summary=alert.summary,
        describe=lambda exceeds: (f" drifted: {statistic.title} ", Value(Format.NUMBER), f"{unit} is {exceeds}."),
    )


def _feature_confirmation(contract: Contract) -> Signal:
    ks = contract.name(KS.family)
    return _of_features(
        id="feature_confirmation",
        title="Confirmation (KS), ten farthest",
        description="For the features with the largest D: D, its noise floor, and the p-value adjusted over all "
        "features (Benjamini-Hochberg). A p-value near 0 confirms that something changed, not that it matters: "
        "with many rows even a trivial change has one. It confirms alerts and raises none.",
        queries=(
            Query(f"topk(10, {by_feature(ks)})", KS.title, instant=True),
            Query(by_feature(f"{ks}_critical_value"), "Noise floor", instant=True),
            Query(by_feature(f"{ks}_pvalue"), "Adjusted p", instant=True),
        ),
        place=Place.DETAIL,
        view=View.TABLE,
        width=12,
        height=7,
    )


def _top_bins(contract: Contract) -> Signal:
    prefix = contract.name("drift_top_bin")

    def of_first(family: str) -> str:
        return f'max by ({FEATURE}, bin) ({prefix}_{family}{{rank="1"}})'

    return _of_features(
        id="top_bins",
        title="Bins that changed most",
        description="For each feature, the bin that contributes most to its PSI in the last window, with its share "
        "of the reference and of the window. The first rows show what changed.",
        queries=(
            Query(f"topk(10, {of_first('psi')})", "PSI", instant=True),
            Query(of_first("reference_ratio"), "Reference", instant=True),
            Query(of_first("current_ratio"), "Window", instant=True),
        ),
        view=View.TABLE,
        width=12,
    )
