"""The model layer: what goes into the model and what comes out, against what it was trained on."""

from collections.abc import Iterator

from mlvitals.generator.contract import STATISTICS, UNMEASURABLE, Contract, DriftKind, Statistic, Status
from mlvitals.generator.contract.statistics import KS, WorstPanel
from mlvitals.generator.promql import matching, one_of
from mlvitals.generator.signals.building import (
    FEATURE,
    SOURCE,
    FeatureThreshold,
    Ranking,
    by_feature,
    drift_kind_input,
    drift_kind_text,
    feature_info_input,
    feature_labels,
    feature_thresholds,
    thinned_by_feature,
    thinned_highest,
    top_bin_inputs,
    top_bin_text,
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
from mlvitals.generator.signals.text import Format, Found, FoundValue, LabelOf, Literal, Value, text, threshold
from mlvitals.generator.spec.model import Severity, Spec


def model_signals(spec: Spec) -> Iterator[Signal]:
    """The signals of the model layer."""
    contract = Contract(spec)
    if spec.serving.enabled:
        yield _scores(contract)
    if spec.prediction_log.score:
        yield _score_drift(spec, contract)
        yield _score_divergence(spec, contract)
        yield _score_status(spec, contract)
        if spec.windows.score_count:
            yield _newest_score_drift(spec, contract)
            yield _newest_score_span(spec, contract)
    yield _feature_drift(spec, contract)
    for statistic in STATISTICS:
        if statistic.worst:
            yield _worst_by(spec, contract, statistic, statistic.worst)
    yield _top_bins(contract)
    if spec.prediction_log.score:
        yield _score_bins(contract)
    yield _feature_confirmation(contract)


def _scores(contract: Contract) -> Signal:
    buckets = contract.name("prediction_score_bucket")
    return Signal(
        id="prediction_scores",
        layer=Layer.MODEL,
        title="Scores answered",
        description="How many answers fell into each score range. Normal: the same bands every day. "
        "A band that appears or vanishes is a changed model or changed inputs: look at feature drift.",
        unit="short",
        queries=(Query(f"sum by (le) (increase({buckets}[$__rate_interval]))", "{{le}}"),),
        incident=Incident.PREDICTION_DRIFT,
        view=View.HEATMAP,
        width=8,
        height=6,
    )


def _score_drift(spec: Spec, contract: Contract) -> Signal:
    prefix = contract.name("prediction_score")
    psi, floor = f"{prefix}_psi", f"{prefix}_psi_critical_value"
    policy = spec.alerts.score_psi

    def scenario(value: float, noise: float = 0.001) -> Scenario:
        return Scenario((Input(psi, {}, value), Input(floor, {}, noise), *top_bin_inputs(prefix, {})))

    def alert(level: Level) -> Alert:
        return Alert(
            name="MLScoreDrift",
            severity=level.severity,
            expression=f"max({psi})",
            comparison=">",
            threshold=level.value,
            gate=f"and max({psi}) > max({floor})",
            gated=lambda value: scenario(value, noise=2 * value),
            summary="The distribution of prediction scores has moved away from the reference.",
            description=text(
                f"Prediction scores of {spec.title} drifted: PSI ",
                Value(Format.NUMBER),
                f" is above the {level.severity} threshold {threshold(level.value, Format.NUMBER)}.",
                top_bin_text(prefix, ()),
            ),
            timing=policy,
            scenario=scenario,
        )

    return Signal(
        id="score_drift",
        layer=Layer.MODEL,
        title="Score drift (PSI)",
        description="Population stability index of the scores against the validation scores, and the value that noise "
        "alone exceeds once in 1000 windows. Normal: below the first line. Above: see which features drift, then decide "
        "between rollback and retraining.",
        unit="none",
        decimals=3,
        queries=(Query(f"max({psi})", "PSI"), Query(f"max({floor})", "Noise floor", dimmed=True)),
        incident=Incident.PREDICTION_DRIFT,
        view=View.STEPS,
        width=8,
        levels=levels(policy),
        alerts=tuple(alert(level) for level in levels(policy)),
    )


def _newest_score_drift(spec: Spec, contract: Contract) -> Signal:
    psi = contract.name("prediction_score_count_psi")
    floor = contract.name("prediction_score_count_psi_critical_value")
    span = contract.name("prediction_score_count_span_seconds")
    policy = spec.alerts.score_psi

    def scenario(value: float, noise: float = 0.001) -> Scenario:
        return Scenario((Input(psi, {}, value), Input(floor, {}, noise), Input(span, {}, 5400)))

    def alert(level: Level) -> Alert:
        return Alert(
            name="MLNewestScoreDrift",
            severity=level.severity,
            expression=f"max({psi})",
            comparison=">",
            threshold=level.value,
            gate=f"and max({psi}) > max({floor})",
            gated=lambda value: scenario(value, noise=2 * value),
            summary="The newest prediction scores have moved away from the reference.",
            description=text(
                f"The newest {spec.windows.score_count} prediction scores of {spec.title}",
                Found(span, (), {}, (Literal(", which span "), FoundValue(Format.DURATION), Literal(","))),
                " drifted: PSI ",
                Value(Format.NUMBER),
                f" is above the {level.severity} threshold {threshold(level.value, Format.NUMBER)}.",
            ),
            timing=policy,
            scenario=scenario,
        )

    return Signal(
        id="newest_score_drift",
        layer=Layer.MODEL,
        title=f"Drift of the newest {spec.windows.score_count} scores (PSI)",
        description="The same as the score drift above, over a fixed number of scores instead of a window of time: it "
        "stays measurable where traffic is low. Normal: below the first line.",
        unit="none",
        decimals=3,
        queries=(Query(f"max({psi})", "PSI"), Query(f"max({floor})", "Noise floor", dimmed=True)),
        incident=Incident.PREDICTION_DRIFT,
        place=Place.DETAIL,
        view=View.STEPS,
        width=9,
        height=7,
        levels=levels(policy),
        alerts=tuple(alert(level) for level in levels(policy)),
    )


def _newest_score_span(spec: Spec, contract: Contract) -> Signal:
    return Signal(
        id="newest_score_span",
        layer=Layer.MODEL,
        title="They reach back",
        description=f"Time from the oldest of the newest {spec.windows.score_count} scores to the end of the last window. "
        "Normal: follows the traffic.",
        unit="s",
        queries=(Query(f"max({contract.name('prediction_score_count_span_seconds')})", instant=True),),
        incident=Incident.PREDICTION_DRIFT,
        place=Place.DETAIL,
        view=View.STAT,
        width=3,
        height=7,
    )


def _score_divergence(spec: Spec, contract: Contract) -> Signal:
    return Signal(
        id="score_divergence",
        layer=Layer.MODEL,
        title="Score divergence (JS)",
        description="Jensen-Shannon divergence of the scores in nats, 0 to 0.69. Confirms the PSI beside it.",
        unit="none",
        decimals=3,
        queries=(Query(f"max({contract.name('prediction_score_js')})", "JS divergence"),),
        incident=Incident.PREDICTION_DRIFT,
        place=Place.DETAIL,
        view=View.STEPS,
        width=6,
        height=7,
        levels=levels(spec.alerts.feature_js),
    )


def _score_bins(contract: Contract) -> Signal:
    prefix = contract.name("prediction_score_top_bin")
    return Signal(
        id="score_bins",
        layer=Layer.MODEL,
        title="Score ranges that moved most",
        description="The score ranges that contribute most to the score PSI of the last window, with their share of the "
        "reference and of the window. Normal: contributions near 0.",
        unit="none",
        decimals=3,
        queries=(
            Query(f"max by (rank, bin) ({prefix}_psi)", "PSI", instant=True),
            Query(f"max by (rank, bin) ({prefix}_reference_ratio)", "Reference", instant=True),
            Query(f"max by (rank, bin) ({prefix}_current_ratio)", "Window", instant=True),
        ),
        incident=Incident.PREDICTION_DRIFT,
        view=View.TABLE,
        width=12,
        place=Place.DETAIL,
        height=7,
    )


def _score_status(spec: Spec, contract: Contract) -> Signal:
    metric, status = contract.name("prediction_score_status"), "status"
    policy = spec.alerts.feature_status
    labels = {status: Status.MISSING_IN_SERVING.value}
    alert = Alert(
        name="MLScoreUnmeasurable",
        severity=Severity.CRITICAL,
        expression=f"max by ({status}) ({matching(metric, one_of(status, UNMEASURABLE))})",
        comparison=">",
        threshold=0,
        resolution=1,
        summary="The prediction scores cannot be measured: missing, of another type, all null, or not in the reference.",
        description=text(f"The prediction scores of {spec.title} have status ", LabelOf(status), "."),
        timing=policy,
        scenario=lambda value: Scenario((Input(metric, labels, value),), labels),
    )
    return Signal(
        id="score_status",
        layer=Layer.MODEL,
        title="Scores measured",
        description="What could be said of the scores in the last window. Normal: ok. Insufficient data means too few rows "
        "for a figure that could be trusted.",
        unit="none",
        queries=(Query(f"max by ({status}) ({metric}) == 1", instant=True),),
        incident=Incident.PREDICTION_DRIFT,
        place=Place.DETAIL,
        view=View.TABLE,
        width=4,
        height=7,
        alerts=(alert,),
    )


def _feature_drift(spec: Spec, contract: Contract) -> Signal:
    psi, floor = contract.name("drift_psi"), contract.name("drift_psi_critical_value")
    ks, outside = contract.name("drift_ks"), contract.name("feature_out_of_range_ratio")
    policy, ranking = spec.alerts.feature_psi, Ranking(thinned_by_feature(psi))

    def alert(group: FeatureThreshold) -> Alert:
        example = group.names[0]
        of_example = {FEATURE: example}

        def scenario(value: float, noise: float = 0.001) -> Scenario:
            return Scenario(
                (
                    Input(psi, of_example, value),
                    Input(floor, of_example, noise),
                    Input(ks, of_example, 0.4),
                    Input(outside, of_example, 0.25),
                    *top_bin_inputs(contract.name("drift"), of_example),
                    drift_kind_input(contract, DriftKind.COVARIATE),
                    feature_info_input(spec, contract, example),
                ),
                feature_labels(spec, example),
            )

        return Alert(
            name="MLFeatureDrift",
            severity=group.severity,
            expression=by_feature(psi, group.matcher),
            comparison=">",
            threshold=group.value,
            gate=f"and on ({FEATURE}) ({psi} > {floor})",
            gated=lambda value: scenario(value, noise=2 * value),
            enrich=with_source(contract),
            summary="A feature's distribution has moved away from what the model was trained on.",
            description=text(
                "Feature ",
                LabelOf(FEATURE),
                f" of {spec.title} drifted: PSI ",
                Value(Format.NUMBER),
                f" is above the {group.severity} threshold {threshold(group.value, Format.NUMBER)}.",
                top_bin_text(contract.name("drift"), (FEATURE,)),
                Found(ks, (FEATURE,), {}, (Literal(" KS D "), FoundValue(Format.NUMBER), Literal("."))),
                Found(
                    outside,
                    (FEATURE,),
                    {},
                    (Literal(" Out of range: "), FoundValue(Format.PERCENT), Literal(" of its values.")),
                    above=0,
                ),
                " Source: ",
                LabelOf(SOURCE),
                ".",
                drift_kind_text(contract),
            ),
            timing=policy,
            scenario=scenario,
            url_labels=(FEATURE,),
        )

    groups = feature_thresholds(spec, policy, lambda feature: feature.thresholds.psi, spec.features)
    return Signal(
        id="feature_drift",
        layer=Layer.MODEL,
        title="Feature drift (PSI), ten worst",
        description="Population stability index of each feature's last window against the training reference. Normal: "
        "below 0.10. From 0.10 investigate, from 0.25 act: the alert names the bin that moved. An alert also needs the "
        "PSI to exceed its own noise floor.",
        unit="none",
        decimals=3,
        queries=(ranking.query,),
        incident=Incident.FEATURE_DRIFT,
        view=View.STEPS,
        width=12,
        levels=levels(policy),
        records=ranking.records,
        alerts=tuple(alert(group) for group in groups),
    )


def _worst_by(spec: Spec, contract: Contract, statistic: Statistic, panel: WorstPanel) -> Signal:
    ranking = Ranking(thinned_by_feature(contract.name(statistic.family)))
    floor = thinned_highest(contract.name(statistic.noise_family))
    return Signal(
        id=panel.id,
        layer=Layer.MODEL,
        title=f"{statistic.column}, ten worst",
        description=panel.description,
        unit="none",
        decimals=3,
        queries=(
            ranking.query,
            Query(floor.name, "Noise floor", dimmed=True),
        ),
        incident=Incident.FEATURE_DRIFT,
        place=Place.MAIN if panel.on_main else Place.DETAIL,
        view=View.STEPS,
        width=6,
        levels=levels(statistic.policy_in(spec.alerts)),
        records=(*ranking.records, floor),
    )


def _feature_confirmation(contract: Contract) -> Signal:
    ks = contract.name(KS.family)
    return Signal(
        id="feature_confirmation",
        layer=Layer.MODEL,
        title="Confirmation (KS), ten farthest",
        description="For the features with the largest D: D, its noise floor, and the p-value after Benjamini and Hochberg "
        "over all features. A p near 0 confirms that something moved and does not say that it matters: with many rows "
        "every trifle has one. It confirms an alert and never is one.",
        unit="none",
        decimals=3,
        queries=(
            Query(f"topk(10, {by_feature(ks)})", "KS D", instant=True),
            Query(by_feature(f"{ks}_critical_value"), "Noise floor", instant=True),
            Query(by_feature(f"{ks}_pvalue"), "Adjusted p", instant=True),
        ),
        incident=Incident.FEATURE_DRIFT,
        place=Place.DETAIL,
        view=View.TABLE,
        width=12,
        height=7,
    )


def _top_bins(contract: Contract) -> Signal:
    prefix = contract.name("drift_top_bin")

    def of_first(family: str) -> str:
        return f'max by ({FEATURE}, bin) ({prefix}_{family}{{rank="1"}})'

    return Signal(
        id="top_bins",
        layer=Layer.MODEL,
        title="Bins that moved most",
        description="For each feature the bin that contributes most to its PSI in the last window, with its share of the "
        "reference and of the window. The first rows say what changed.",
        unit="none",
        decimals=3,
        queries=(
            Query(f"topk(10, {of_first('psi')})", "PSI", instant=True),
            Query(of_first("reference_ratio"), "Reference", instant=True),
            Query(of_first("current_ratio"), "Window", instant=True),
        ),
        incident=Incident.FEATURE_DRIFT,
        view=View.TABLE,
        width=12,
    )
