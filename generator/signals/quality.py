"""The data layer's figures of quality: location, spread, range and categories of each feature, and the log's columns.

A figure that sampling moves alerts only beyond its own noise, so that a small window stays silent.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from msgspec.structs import replace

from mlvitals.generator.contract import Contract, SchemaDifferenceKind
from mlvitals.generator.promql import selector
from mlvitals.generator.signals.building import (
    FEATURE,
    SOURCE,
    FeatureThreshold,
    Ranking,
    by_feature,
    feature_info_input,
    feature_labels,
    feature_thresholds,
    thinned_by_feature,
    with_source,
)
from mlvitals.generator.signals.signal import (
    Alert,
    Comparison,
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
from mlvitals.generator.signals.text import Format, LabelOf, Piece, Value, text, threshold
from mlvitals.generator.spec.model import AlertPolicy, Feature, Levels, Severity, Spec

_KIND = "kind"


def quality_signals(spec: Spec, contract: Contract) -> Iterator[Signal]:
    """How sound each feature's values are, and whether the log has the columns that are known."""
    alerts = spec.alerts
    mean = _Figure(spec, contract, "feature_mean_shift", noisy=True)
    yield mean.signal(
        title="Mean shift, ten farthest",
        description="Mean of the last window less the reference's, in standard deviations of the reference. Normal: "
        "within 2 of 0. Beyond: a changed unit, a changed default value, or a few absurd values; look at the extremes.",
        policy=alerts.mean_shift,
        alerts=mean.alerts(
            alerts.mean_shift,
            "mean_shift",
            name="MLFeatureMeanShift",
            summary="A feature's mean is far from the reference.",
            found=("has a mean ", Value(Format.NUMBER), " standard deviations of the reference away"),
        ),
    )
    median = _Figure(spec, contract, "feature_median_shift", noisy=True)
    yield median.signal(
        title="Median shift, ten farthest",
        description="Median of the last window less the reference's, in standard deviations of the reference. Normal: "
        "within 2 of 0. Beyond, most rows moved; where the mean alone moved it was a few rows.",
        policy=alerts.mean_shift,
        alerts=median.alerts(
            alerts.mean_shift,
            "mean_shift",
            name="MLFeatureMedianShift",
            summary="A feature's median is far from the reference.",
            found=("has a median ", Value(Format.NUMBER), " standard deviations of the reference away"),
        ),
    )
    yield _variance_ratio(spec, contract)
    excess = _Figure(spec, contract, "feature_range_excess")
    yield excess.signal(
        title="Beyond the range, ten farthest",
        description="How far the smallest or largest value lies beyond the sound range, in widths of that range. "
        "Normal: 0. One row is enough to move it: whether it matters, the share of values out of range says.",
        policy=alerts.range_excess,
        alerts=excess.alerts(
            alerts.range_excess,
            "range_excess",
            name="MLFeatureExtreme",
            summary="A feature takes a value far outside its sound range.",
            found=("reaches ", Value(Format.NUMBER), " widths of its sound range beyond it"),
        ),
    )
    infinite = _Figure(spec, contract, "feature_infinite_ratio", form=Format.PERCENT)
    yield infinite.signal(
        title="Infinite values, ten worst",
        description="Share of infinite values in the last window. Normal: 0. Any is a division by zero or an overflow "
        "upstream.",
        policy=alerts.infinite_ratio,
        alerts=infinite.alerts(
            alerts.infinite_ratio,
            "infinite_ratio",
            name="MLFeatureInfinite",
            summary="A feature takes infinite values.",
            found=("has ", Value(Format.PERCENT), " infinite values"),
        ),
    )
    cardinality = _Figure(spec, contract, "feature_cardinality_change", form=Format.PERCENT, noisy=True)
    yield cardinality.signal(
        title="Cardinality change, ten farthest",
        description="Distinct values of the last window against the number that as many rows of the reference hold. "
        "Normal: near 0 %, whatever the size of the window. A rise is free text, an id or another spelling in a "
        "category; a fall is a filter or a default value.",
        policy=alerts.cardinality_change,
        alerts=cardinality.alerts(
            alerts.cardinality_change,
            "cardinality_change",
            name="MLFeatureCardinality",
            summary="A feature has more or fewer distinct values than so many rows should hold.",
            found=("has a count of distinct values ", Value(Format.PERCENT), " off what so many rows should hold"),
        ),
    )
    unseen = _Figure(spec, contract, "feature_new_category_ratio", form=Format.PERCENT, noisy=True)
    yield unseen.signal(
        title="New categories, ten worst",
        description="Share of values that the reference does not hold, of features with few distinct values. Normal: "
        "near 0. The model has never seen them: it answers by chance.",
        policy=alerts.new_category_ratio,
        alerts=unseen.alerts(
            alerts.new_category_ratio,
            "new_category_ratio",
            name="MLFeatureNewCategory",
            summary="A feature takes values that the model was never trained on.",
            found=("has ", Value(Format.PERCENT), " values that the reference does not hold"),
        ),
    )
    vanished = _Figure(spec, contract, "feature_vanished_categories", resolution=1)
    yield vanished.signal(
        title="Vanished categories",
        description="Categories that held 2 % or more of the reference and are not in the last window, although so many "
        "rows should hold one. Normal: 0. `mlvitals drift` names them.",
        policy=alerts.vanished_categories,
        alerts=vanished.alerts(
            alerts.vanished_categories,
            "vanished_categories",
            name="MLFeatureCategoryVanished",
            summary="A frequent category of a feature is gone.",
            found=("lacks ", Value(Format.NUMBER), " categories that held 2 % or more of the reference"),
        ),
    )
    yield _schema(spec, contract)


@dataclass(frozen=True)
class _Figure:
    """A figure of each feature: the same expression for its panel and its alerts."""

    spec: Spec
    contract: Contract
    family: str
    form: Format = Format.NUMBER
    noisy: bool = False
    """The exporter publishes beside it what noise alone exceeds."""
    distance: str = "abs({series})"
    """By what the farthest features are found."""
    resolution: float = 0.001

    @property
    def metric(self) -> str:
        return self.contract.name(self.family)

    @property
    def noise(self) -> str:
        return f"{self.metric}_critical_value"

    def signal(self, *, title: str, description: str, policy: AlertPolicy, alerts: tuple[Alert, ...]) -> Signal:
        """The panel of the ten features that were farthest off within the shown range."""
        ranking = Ranking(thinned_by_feature(self.metric), self.distance)
        return Signal(
            id=self.family.removeprefix("feature_"),
            layer=Layer.DATA,
            title=title,
            description=description,
            unit="percentunit" if self.form is Format.PERCENT else "short",
            queries=(ranking.query,),
            incident=Incident.FEATURE_DRIFT,
            place=Place.DETAIL,
            view=View.STEPS,
            width=6,
            height=7,
            minimum=None,
            empty="No feature has this figure: see which could not be measured.",
            levels=levels(policy),
            records=ranking.records,
            alerts=alerts,
        )

    def alerts(
        self, policy: AlertPolicy, own: str, *, name: str, summary: str, found: tuple[Piece | str, ...]
    ) -> tuple[Alert, ...]:
        """Alerts beyond the thresholds, to either side of 0, and beyond the noise."""

        def levels_of(feature: Feature) -> Levels | None:
            levels: Levels | None = getattr(feature.thresholds, own)
            return levels

        gate = f"and on ({FEATURE}) (abs({self.metric}) > {self.noise})" if self.noisy else ""
        return tuple(
            self.alert(
                group,
                policy,
                expression=f"abs({by_feature(self.metric, group.matcher)})",
                gate=gate,
                name=name,
                summary=summary,
                found=found,
            )
            for group in feature_thresholds(self.spec, policy, levels_of, self.spec.features)
        )

    def alert(
        self,
        group: FeatureThreshold,
        policy: AlertPolicy,
        *,
        expression: str,
        gate: str,
        name: str,
        summary: str,
        found: tuple[Piece | str, ...],
        comparison: Comparison = ">",
        quiet: float = 0.001,
        loud: Callable[[float], float] = lambda value: 2 * value,
    ) -> Alert:
        """One alert. In its tests the noise is `quiet`, and `loud` where it holds the alert back."""
        example = group.names[0]

        def scenario(value: float, noise: float = quiet) -> Scenario:
            noises = (Input(self.noise, {FEATURE: example}, noise),) if self.noisy else ()
            info = feature_info_input(self.spec, self.contract, example)
            return Scenario(
                (Input(self.metric, {FEATURE: example}, value), *noises, info), feature_labels(self.spec, example)
            )

        side = "below" if comparison == "<" else "above"
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
            description=text(
                "Feature ",
                LabelOf(FEATURE),
                f" of {self.spec.title} ",
                *found,
                f", {side} the {group.severity} threshold {threshold(group.value, self.form)}. Source: ",
                LabelOf(SOURCE),
                ".",
            ),
            timing=policy,
            scenario=scenario,
            format=self.form,
            resolution=self.resolution,
            url_labels=(FEATURE,),
        )


def _variance_ratio(spec: Spec, contract: Contract) -> Signal:
    figure = _Figure(spec, contract, "feature_variance_ratio", noisy=True, distance="abs(ln({series}))")
    low, high = spec.alerts.variance_ratio or (None, None)
    noise_within = f"and on ({FEATURE}) ({figure.metric} > {figure.noise})"
    noise_without = f"and on ({FEATURE}) ({figure.metric} * {figure.noise} < 1)"

    def bound(position: int) -> Callable[[Feature], Levels | None]:
        def own(feature: Feature) -> Levels | None:
            bounds = feature.thresholds.variance_ratio
            return Levels(warning=bounds[position]) if bounds else None

        return own

    def alerts(
        limit: float | None,
        own: Callable[[Feature], Levels | None],
        comparison: Comparison,
        gate: str,
        loud: Callable[[float], float],
    ) -> Iterator[Alert]:
        policy = replace(spec.alerts.mean_shift, enabled=True, info=None, warning=limit, critical=None)
        for group in feature_thresholds(spec, policy, own, spec.features):
            if group.value or comparison == ">":  # nothing is below a variance of 0
                yield figure.alert(
                    group,
                    policy,
                    expression=by_feature(figure.metric, group.matcher),
                    gate=gate,
                    name="MLFeatureVariance",
                    summary="A feature spreads far more or far less than in the reference.",
                    found=("has ", Value(Format.NUMBER), " times the variance of the reference"),
                    comparison=comparison,
                    quiet=1.0001,
                    loud=loud,
                )

    return figure.signal(
        title="Variance ratio, ten farthest",
        description="Variance of the last window over that of the reference. Normal: 0.5 to 2. Near 0 the feature has "
        "become constant: a default value. Far above, values of another unit are mixed in.",
        policy=AlertPolicy(warning=high),
        alerts=(
            *alerts(high, bound(1), ">", noise_within, lambda value: 2 * value),
            *alerts(low, bound(0), "<", noise_without, lambda value: 2 / value),
        ),
    )


def _schema(spec: Spec, contract: Contract) -> Signal:
    metric = contract.name("schema_differences")
    policy = spec.alerts.new_columns
    labels = {_KIND: SchemaDifferenceKind.NEW_COLUMN.value}

    def alert(level: Level) -> Alert:
        return Alert(
            name="MLLogNewColumn",
            severity=level.severity,
            expression=f"max({selector(metric, **labels)})",
            comparison=">",
            threshold=level.value,
            resolution=1,
            summary="The prediction log has a column that nothing knows.",
            description=text(
                f"The prediction log of {spec.title} has ",
                Value(Format.NUMBER),
                " columns that neither the spec nor the reference knows; the exporter's log names them. Make them features "
                "or list them in prediction_log.other_columns.",
            ),
            timing=policy,
            scenario=lambda value: Scenario((Input(metric, labels, value),)),
        )

    return Signal(
        id="schema_differences",
        layer=Layer.DATA,
        title="Schema differences",
        description="Columns of the log that are missing, new, or of another type than the spec and the reference say. "
        "Normal: none. Missing and changed ones have an alert for each feature; new ones may be features to come.",
        unit="short",
        decimals=0,
        queries=(Query(f"max by ({_KIND}) ({metric})", f"{{{{{_KIND}}}}}", instant=True),),
        incident=Incident.FEATURE_DRIFT,
        view=View.STAT,
        width=5,
        height=7,
        levels=(Level(Severity.WARNING, 1),),
        alerts=tuple(alert(level) for level in levels(policy)),
    )
