"""The data layer: presence, validity and freshness of every feature."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from mlvitals.generator.contract import UNMEASURABLE, Contract, Status
from mlvitals.generator.promql import matching, one_of
from mlvitals.generator.signals.building import (
    FEATURE,
    SOURCE,
    FeatureFigure,
    Ranking,
    at_levels,
    feature_info_input,
    feature_labels,
    feature_thresholds,
    thinned_by_feature,
    with_source,
)
from mlvitals.generator.signals.quality import quality_signals
from mlvitals.generator.signals.serving_nulls import serving_null_rate
from mlvitals.generator.signals.signal import (
    THINNED,
    Alert,
    Incident,
    Input,
    Layer,
    Level,
    Place,
    Query,
    Record,
    Scenario,
    Signal,
    View,
    levels,
)
from mlvitals.generator.signals.skew import skew_signals
from mlvitals.generator.signals.text import Format, Found, FoundValue, IfLabel, LabelOf, Literal, Value, text, threshold
from mlvitals.generator.spec.durations import seconds
from mlvitals.generator.spec.model import AlertPolicy, Feature, Levels, Severity, Spec

_panel = partial(Signal, layer=Layer.DATA, incident=Incident.FEATURE_DRIFT, view=View.STEPS)
_of_sources = partial(Signal, layer=Layer.DATA, incident=Incident.STALE_DATA, height=7)


def data_signals(spec: Spec) -> Iterator[Signal]:
    """Yield the signals of the data layer."""
    contract = Contract(spec)
    yield _drift_map(spec, contract)
    yield _null_rate(spec, contract)
    yield _out_of_range(spec, contract)
    if spec.sources:
        yield _freshness(spec, contract)
        yield _unknown_freshness(spec, contract)
        yield _future_sources(spec, contract)
    yield _status(spec, contract)
    if spec.skew.path:
        yield from skew_signals(spec, contract)
    yield _mean(contract)
    yield from quality_signals(spec, contract)
    yield _rows(contract)
    if spec.prediction_log.id is not None:
        yield _repeated_rows(spec, contract)
    if spec.serving.enabled:
        yield serving_null_rate(spec, contract)


def _drift_map(spec: Spec, contract: Contract) -> Signal:
    ranking = Ranking(thinned_by_feature(contract.name("drift_psi")))
    return _panel(
        id="drift_map",
        title="Drift of the ten worst features over time",
        description="One row per feature, coloured by its PSI. One row that turns red at once is a pipeline "
        "change; all rows changing colour together is a change of the population.",
        unit="none",
        decimals=2,
        queries=(ranking.query,),
        records=ranking.records,
        view=View.SERIES_HEATMAP,
        width=12,
        height=9,
        levels=levels(spec.alerts.feature_psi),
    )


def _ratio_alerts(
    figure: FeatureFigure,
    policy: AlertPolicy,
    own: Callable[[Feature], Levels | None],
    names: Sequence[str],
    alert_name: str,
    summary: str,
    found: str,
) -> tuple[Alert, ...]:
    """Return alerts on a share of a feature's rows, tiered, with the features' own thresholds."""
    return figure.alerts(
        policy,
        feature_thresholds(figure.contract.spec, policy, own, names),
        name=alert_name,
        summary=summary,
        describe=lambda exceeds: (": ", Value(Format.PERCENT), f" {found}, {exceeds}."),
    )


def _increase_alerts(
    figure: FeatureFigure,
    increase: FeatureFigure,
    policy: AlertPolicy,
    own: Callable[[Feature], Levels | None],
    names: Sequence[str],
    alert_name: str,
    summary: str,
    found: str,
) -> tuple[Alert, ...]:
    """Return alerts on a share: as such where a feature has thresholds of its own, else on its increase, beyond noise."""
    features = figure.contract.spec.features
    with_own = tuple(name for name in names if own(features[name]) is not None)
    others = tuple(name for name in names if own(features[name]) is None)
    return (
        *_ratio_alerts(figure, policy, own, with_own, alert_name, summary, found),
        *_ratio_alerts(increase, policy, own, others, alert_name, summary, f"more {found} than in the reference"),
    )


def _null_rate(spec: Spec, contract: Contract) -> Signal:
    figure = FeatureFigure(contract, "feature_null_rate", Format.PERCENT)
    increase = FeatureFigure(contract, "feature_null_rate_increase", Format.PERCENT, noisy=True)
    ranking = figure.ranking()
    nullable = tuple(name for name, feature in spec.features.items() if feature.nullable)
    required = tuple(name for name, feature in spec.features.items() if not feature.nullable)

    def own(feature: Feature) -> Levels | None:
        return feature.thresholds.null_rate

    return _panel(
        id="null_rate",
        title="Null rate, ten worst",
        description="Share of null or NaN values in the last window. Normal: 0 for required features, the reference's own "
        "rate for nullable ones. A jump is an upstream job that failed or a join that lost its keys. The lines are the "
        "general thresholds, counted from the reference's rate; a feature with its own thresholds in the spec may lie "
        "above them.",
        unit="percentunit",
        queries=(ranking.query,),
        width=6,
        height=9,
        records=ranking.records,
        levels=levels(spec.alerts.null_rate),
        alerts=(
            *_increase_alerts(
                figure,
                increase,
                spec.alerts.null_rate,
                own,
                nullable,
                "MLNullRateHigh",
                "A nullable feature is null far more often than it should be.",
                "of its values are null",
            ),
            *_ratio_alerts(
                figure,
                spec.alerts.required_null_rate,
                own,
                required,
                "MLRequiredFeatureNull",
                "A feature that must never be null has null values.",
                "of its values are null",
            ),
        ),
    )


def _out_of_range(spec: Spec, contract: Contract) -> Signal:
    figure = FeatureFigure(contract, "feature_out_of_range_ratio", Format.PERCENT)
    increase = FeatureFigure(contract, "feature_out_of_range_increase", Format.PERCENT, noisy=True)
    ranking, policy = figure.ranking(), spec.alerts.out_of_range_ratio
    return _panel(
        id="out_of_range",
        title="Out of range, ten worst",
        description="Share of values outside the valid range: the spec's, or else the reference's minimum and "
        "maximum. Normal: as in the reference, mostly 0. A jump is a changed unit, a changed encoding or a broken parser.",
        unit="percentunit",
        queries=(ranking.query,),
        width=6,
        height=9,
        records=ranking.records,
        levels=levels(policy),
        alerts=_increase_alerts(
            figure,
            increase,
            policy,
            lambda feature: feature.thresholds.out_of_range_ratio,
            tuple(spec.features),
            "MLFeatureOutOfRange",
            "A feature has values outside its valid range.",
            "of its values are outside the valid range",
        ),
    )


# ---------------------------------------------------------------- sources


def _freshness(spec: Spec, contract: Contract) -> Signal:
    age, updated, limit = (
        contract.name(f"data_freshness_{what}") for what in ("seconds", "timestamp_seconds", "max_age_seconds")
    )
    policy = spec.alerts.freshness
    example, source = next(iter(spec.sources.items()))
    max_age, of_example = seconds(source.max_age), {SOURCE: example}

    def scenario(value: float) -> Scenario:
        inputs = (
            Input(updated, of_example, -value * max_age, slope=1),
            Input(limit, of_example, max_age),
            Input(age, of_example, value * max_age),
        )
        return Scenario(inputs, of_example)

    def alert(level: Level) -> Alert:
        return Alert(
            name="MLDataStale",
            severity=level.severity,
            expression=f"(time() - max by ({SOURCE}) ({updated})) / max by ({SOURCE}) ({limit})",
            threshold=level.value,
            summary="A feature source has not been updated in time.",
            description=text(
                "Source ",
                LabelOf(SOURCE),
                f" of {spec.title} is ",
                Found(age, (SOURCE,), {}, (FoundValue(Format.DURATION), Literal(" old, "))),
                Value(Format.NUMBER),
                " times its limit of ",
                Found(limit, (SOURCE,), {}, (FoundValue(Format.DURATION),)),
                f"; {level.severity} above {threshold(level.value, Format.NUMBER)} times.",
            ),
            timing=policy,
            scenario=scenario,
        )

    return _of_sources(
        id="freshness",
        title="Freshness of sources, share of the limit",
        description="Age of each source's newest data as a share of the source's own limit. Normal: under 100%. "
        "Above 100% the source is stale, above 200% critical: features are computed from old data although nothing "
        "fails.",
        unit="percentunit",
        decimals=0,
        queries=(Query(f"max by ({SOURCE}) ({age}) / max by ({SOURCE}) ({limit})", f"{{{{{SOURCE}}}}}", instant=True),),
        view=View.BAR_GAUGE,
        width=7,
        levels=levels(policy),
        maximum=3,
        alerts=tuple(map(alert, levels(policy))),
    )


def _unknown_freshness(spec: Spec, contract: Contract) -> Signal:
    updated, limit = contract.name("data_freshness_timestamp_seconds"), contract.name("data_freshness_max_age_seconds")
    of_example = {SOURCE: next(iter(spec.sources))}
    expression = f"count by ({SOURCE}) ({limit} unless on ({SOURCE}) {updated})"

    def scenario(value: float) -> Scenario:
        known = () if value else (Input(updated, of_example, 0, slope=1),)
        return Scenario((Input(limit, of_example, 60), *known), of_example)

    alert = Alert(
        name="MLSourceAgeUnknown",
        severity=Severity.CRITICAL,
        expression=expression,
        threshold=0,
        resolution=1,
        summary="The age of a feature source is unknown, which is as bad as being stale.",
        description=text(
            "No timestamp could be read for source ",
            LabelOf(SOURCE),
            f" of {spec.title}. The exporter's log says why.",
        ),
        timing=spec.alerts.freshness,
        scenario=scenario,
    )
    return _of_sources(
        id="unknown_freshness",
        title="Age unknown",
        description="Sources whose newest timestamp cannot be read. Normal: 0.",
        unit="short",
        queries=(Query(f"count({expression}) or vector(0)", "Sources", instant=True),),
        place=Place.DETAIL,
        view=View.STAT,
        width=4,
        levels=(Level(Severity.CRITICAL, 1),),
        alerts=(alert,),
    )


def _future_sources(spec: Spec, contract: Contract) -> Signal:
    updated, limit = (
        contract.name("data_freshness_timestamp_seconds"),
        contract.name("data_freshness_tolerance_seconds"),
    )
    example, source = next(iter(spec.sources.items()))
    tolerance, of_example = seconds(source.tolerance), {SOURCE: example}
    ahead = f"max by ({SOURCE}) ({updated}) - time()"

    def scenario(value: float) -> Scenario:
        inputs = (Input(updated, of_example, value + tolerance, slope=1), Input(limit, of_example, tolerance))
        return Scenario(inputs, of_example)

    alert = Alert(
        name="MLSourceInFuture",
        severity=Severity.CRITICAL,
        expression=f"({ahead}) - max by ({SOURCE}) ({limit})",
        threshold=0,
        resolution=1,
        summary="A feature source's timestamp is in the future, so its age cannot be determined.",
        description=text(
            "The newest timestamp of source ",
            LabelOf(SOURCE),
            f" of {spec.title} is in the future, ",
            Value(Format.DURATION),
            " beyond its tolerance of ",
            Found(limit, (SOURCE,), {}, (FoundValue(Format.DURATION),)),
            ": a clock is wrong, or times without a time zone are not in UTC.",
        ),
        timing=spec.alerts.freshness,
        scenario=scenario,
    )
    return _of_sources(
        id="future_sources",
        title="Sources ahead of the clock",
        description="How far a source's newest timestamp is in the future. Normal: 0. Beyond the source's "
        "tolerance its age cannot be determined: correct the clock, or write times in UTC.",
        unit="s",
        queries=(Query(f"clamp_min({ahead}, 0)", f"{{{{{SOURCE}}}}}", instant=True),),
        place=Place.DETAIL,
        view=View.BAR_GAUGE,
        width=8,
        alerts=(alert,),
    )


# ---------------------------------------------------------------- coverage


def _status(spec: Spec, contract: Contract) -> Signal:
    metric, status = contract.name("feature_status"), "status"
    example = next(iter(spec.features))
    labels = {FEATURE: example, status: Status.MISSING_IN_SERVING.value}
    alert = Alert(
        name="MLFeatureUnmeasurable",
        severity=Severity.CRITICAL,
        expression=f"max by ({FEATURE}, {status}) ({matching(metric, one_of(status, UNMEASURABLE))})",
        threshold=0,
        resolution=1,
        enrich=with_source(contract),
        summary="A feature cannot be measured: it is missing, of another type, or all null.",
        description=text(
            "Feature ",
            LabelOf(FEATURE),
            f" of {spec.title} has status ",
            LabelOf(status),
            ".",
            IfLabel(SOURCE, " Source: ", "."),
        ),
        timing=spec.alerts.feature_status,
        scenario=lambda value: Scenario(
            (Input(metric, labels, value), feature_info_input(contract, example)),
            {**labels, **feature_labels(spec, example)},
        ),
        url_labels=(FEATURE,),
    )
    return _panel(
        id="feature_status",
        title="Unmeasured features",
        description="Features without drift statistics in the last window, and why. Normal: empty. Insufficient "
        "data means too few rows for a reliable statistic.",
        unit="none",
        queries=(Query(f'max by ({FEATURE}, {status}) ({metric}{{{status}!="ok"}}) == 1', instant=True),),
        view=View.TABLE,
        width=6,
        height=7,
        empty="Every feature of the last window was measured. While the data layer is blind (Health), there is no such window.",
        alerts=(alert,),
    )


def _mean(contract: Contract) -> Signal:
    mean, reference = contract.name("feature_mean"), contract.name("feature_reference_mean")
    ratio = Record(f"{FEATURE}:{mean}:ratio", f"max by ({FEATURE}) ({mean} / ({reference} != 0))", every=THINNED)
    ranking = Ranking(ratio, "abs({series} - 1)")
    return _panel(
        id="mean",
        title="Mean compared with the reference, ten farthest",
        description="Mean of the last window as a share of the reference mean: 100% is unchanged. The panel is cut "
        "off at -100% and 300%. A step is a changed unit or default value; a slope is a changing population.",
        unit="percentunit",
        minimum=None,
        queries=(Query(f"clamp({ranking.worst}, -1, 3)", f"{{{{{FEATURE}}}}}"),),
        place=Place.DETAIL,
        width=12,
        records=ranking.records,
    )


def _rows(contract: Contract) -> Signal:
    scores = Query(f"max({contract.name('prediction_score_rows')})", "Scores in the window")
    newest = Query(f"max({contract.name('prediction_score_count_rows')})", "Newest scores")
    values = contract.name("feature_rows")
    fewest = Record(f"system:{values}:min", f"min({values})", every=THINNED)
    spec = contract.spec
    return _panel(
        id="rows",
        title="Rows measured",
        description="Rows of the last window, its scores, and the fewest values of any feature. Normal: follows "
        "the traffic. A gap between rows and values is nulls; zero is a prediction log that is not being written.",
        unit="short",
        queries=(
            Query(f"max({contract.name('window_rows')})", "Rows in the window"),
            Query(fewest.name, "Fewest values of a feature"),
            *((scores,) if spec.score_type is not None else ()),
            *((newest,) if spec.counts_newest_scores else ()),
        ),
        incident=Incident.MONITORING,
        place=Place.DETAIL,
        width=12,
        records=(fewest,),
    )


def _repeated_rows(spec: Spec, contract: Contract) -> Signal:
    metric, policy = contract.name("window_repeated_ratio"), spec.alerts.repeated_rows
    return _panel(
        id="repeated_rows",
        title="Repeated rows",
        description="Share of the last window's rows whose id an earlier row of it has: each id counts once. Normal: 0, "
        "or what a delivery that is repeated until it is confirmed brings. A jump is a job that ran twice, a file that was "
        "copied, or an id that is not one.",
        unit="percentunit",
        queries=(Query(f"max({metric})", "Repeated"),),
        incident=Incident.MONITORING,
        place=Place.DETAIL,
        width=12,
        levels=levels(policy),
        alerts=at_levels(
            policy,
            name="MLLogRowsRepeated",
            expression=f"max({metric})",
            summary="Rows of the prediction log are delivered more than once.",
            describe=lambda exceeds: (
                Value(Format.PERCENT),
                f" of the rows of the last window of {spec.title} repeat the id of another, {exceeds}. Each id counts once.",
            ),
            scenario=lambda value: Scenario((Input(metric, {}, value),)),
            form=Format.PERCENT,
        ),
    )
