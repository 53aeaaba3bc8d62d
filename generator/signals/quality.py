"""The data-quality metrics: location, spread, range and categories of each feature, and the log's columns.

A metric that sampling moves alerts only beyond its own noise, so that a small window stays silent.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from msgspec.structs import replace

from mlvitals.generator.contract import Contract, SchemaDifferenceKind
from mlvitals.generator.promql import selector
from mlvitals.generator.signals.building import (
    FEATURE,
    RECIPROCAL,
    FeatureFigure,
    at_levels,
    by_feature,
    feature_thresholds,
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
from mlvitals.generator.signals.text import Format, Value
from mlvitals.generator.spec.model import AlertPolicy, Feature, Levels, Severity, Spec

_KIND = "kind"
_panel = partial(
    Signal,
    layer=Layer.DATA,
    incident=Incident.FEATURE_DRIFT,
    place=Place.DETAIL,
    view=View.STEPS,
    width=6,
    height=7,
    minimum=None,
    empty="No feature has this metric: see which features could not be measured.",
)


def quality_signals(spec: Spec, contract: Contract) -> Iterator[Signal]:
    """Yield the signals of the quality of each feature's values, and of the log's columns."""
    for quality in _LOCATION:
        yield quality.signal(contract)
    yield _variance_ratio(spec, contract)
    for quality in _VALUES:
        yield quality.signal(contract)
    yield _schema(spec, contract)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Quality:
    """A data-quality metric with its panel and its alerts."""

    family: str
    policy: str
    """The field of the alerts, and of a feature's own thresholds."""
    title: str
    description: str
    alert: str
    summary: str
    said: tuple[str, str]
    """The text of the description before the value and after it."""
    form: Format = Format.NUMBER
    noisy: bool = False
    signed: bool = False
    resolution: float = 0.001

    def signal(self, contract: Contract) -> Signal:
        figure = FeatureFigure(
            contract, self.family, self.form, noisy=self.noisy, signed=self.signed, resolution=self.resolution
        )
        policy: AlertPolicy = getattr(contract.spec.alerts, self.policy)
        before, after = self.said
        alerts = figure.alerts(
            policy,
            feature_thresholds(contract.spec, policy, self._own, contract.spec.features),
            name=self.alert,
            summary=self.summary,
            describe=lambda exceeds: (f" {before} ", Value(self.form), f" {after}, {exceeds}."),
        )
        distance = "abs({series})" if self.signed else "{series}"
        return _drawn(figure, distance, self.title, self.description, policy, alerts)

    def _own(self, feature: Feature) -> Levels | None:
        own: Levels | None = getattr(feature.thresholds, self.policy)
        return own


def _drawn(
    figure: FeatureFigure, distance: str, title: str, description: str, policy: AlertPolicy, alerts: tuple[Alert, ...]
) -> Signal:
    """Return the panel of the ten features that were farthest off within the displayed range."""
    ranking = figure.ranking(distance)
    return _panel(
        id=figure.family.removeprefix("feature_"),
        title=title,
        description=description,
        unit="percentunit" if figure.form is Format.PERCENT else "short",
        queries=(ranking.query,),
        levels=levels(policy),
        records=ranking.records,
        alerts=alerts,
    )


_LOCATION = (
    _Quality(
        family="feature_mean_shift",
        policy="mean_shift",
        title="Mean shift, ten farthest",
        description="Mean of the last window minus the reference's, in standard deviations of the reference. "
        "Normal: between -2 and 2. Beyond: a changed unit, a changed default value, or a few extreme values; look "
        "at the minimum and maximum.",
        alert="MLFeatureMeanShift",
        summary="A feature's mean is far from the reference mean.",
        said=("has a mean", "standard deviations of the reference away"),
        noisy=True,
        signed=True,
    ),
    _Quality(
        family="feature_median_shift",
        policy="mean_shift",
        title="Median shift, ten farthest",
        description="Median of the last window minus the reference's, in standard deviations of the reference. "
        "Normal: between -2 and 2. Beyond, most rows changed; if only the mean moved, a few rows did.",
        alert="MLFeatureMedianShift",
        summary="A feature's median is far from the reference median.",
        said=("has a median", "standard deviations of the reference away"),
        noisy=True,
        signed=True,
    ),
)
_VALUES = (
    _Quality(
        family="feature_range_excess",
        policy="range_excess",
        title="Beyond the range, ten farthest",
        description="How far the smallest or largest value lies outside the valid range, in widths of that range. "
        "Normal: 0. A single row is enough to change it; the share of values out of range shows if it matters.",
        alert="MLFeatureExtreme",
        summary="A feature has a value far outside its valid range.",
        said=("reaches", "widths of its valid range beyond it"),
    ),
    _Quality(
        family="feature_infinite_ratio",
        policy="infinite_ratio",
        title="Infinite values, ten worst",
        description="Share of infinite values in the last window. Normal: 0. Any other value is a division by zero "
        "or an overflow upstream.",
        alert="MLFeatureInfinite",
        summary="A feature has infinite values.",
        said=("has", "infinite values"),
        form=Format.PERCENT,
    ),
    _Quality(
        family="feature_cardinality_change",
        policy="cardinality_change",
        title="Cardinality change, ten farthest",
        description="Distinct values of the last window compared with the number expected in that many rows of the "
        "reference. Normal: near 0%, whatever the size of the window. A rise is free text, an id or another "
        "spelling in a category; a fall is a filter or a default value.",
        alert="MLFeatureCardinality",
        summary="A feature has an unusual number of distinct values for this many rows.",
        said=("has a count of distinct values", "away from the number expected for this many rows"),
        form=Format.PERCENT,
        noisy=True,
        signed=True,
    ),
    _Quality(
        family="feature_new_category_ratio",
        policy="new_category_ratio",
        title="New categories, ten worst",
        description="Share of values that are not in the reference, for features with few distinct values. Normal: "
        "near 0. The model has never seen them, so its answers are guesses.",
        alert="MLFeatureNewCategory",
        summary="A feature has values that the model was never trained on.",
        said=("has", "values that are not in the reference"),
        form=Format.PERCENT,
        noisy=True,
    ),
    _Quality(
        family="feature_vanished_categories",
        policy="vanished_categories",
        title="Missing categories",
        description="Categories that made up 2% or more of the reference and are not in the last window, although "
        "that many rows should contain them. Normal: 0. `mlvitals drift` names them.",
        alert="MLFeatureCategoryVanished",
        summary="A frequent category of a feature has disappeared.",
        said=("lacks", "categories that made up 2% or more of the reference"),
        resolution=1,
    ),
)


def _variance_ratio(spec: Spec, contract: Contract) -> Signal:
    figure = FeatureFigure(contract, "feature_variance_ratio", noisy=True, mirror=RECIPROCAL)
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
            if group.value or comparison == ">":  # no variance is below 0
                yield figure.alert(
                    group,
                    policy,
                    expression=by_feature(figure.metric, group.matcher, lowest=comparison == "<"),
                    gate=gate,
                    name="MLFeatureVariance",
                    summary="A feature's variance is far larger or far smaller than in the reference.",
                    describe=lambda exceeds: (
                        " has ",
                        Value(Format.NUMBER),
                        f" times the variance of the reference, {exceeds}.",
                    ),
                    comparison=comparison,
                    quiet=1.0001,
                    loud=loud,
                    policy_name="mean_shift",
                )

    return _drawn(
        figure,
        "abs(ln({series}))",
        "Variance ratio, ten farthest",
        "Variance of the last window divided by that of the reference. Normal: 0.5 to 2. Near 0, the feature has "
        "become constant: a default value. Far above 2, values in another unit are mixed in.",
        AlertPolicy(warning=high),
        (
            *alerts(high, bound(1), ">", noise_within, lambda value: 2 * value),
            *alerts(low, bound(0), "<", noise_without, lambda value: 2 / value),
        ),
    )


def _schema(spec: Spec, contract: Contract) -> Signal:
    metric, labels = contract.name("schema_differences"), {_KIND: SchemaDifferenceKind.NEW_COLUMN.value}
    return Signal(
        id="schema_differences",
        layer=Layer.DATA,
        title="Schema differences",
        description="Columns of the log that are missing, new, or of a different type than in the spec and the "
        "reference. Normal: 0. Missing and changed columns have an alert for each feature; new ones may be future "
        "features.",
        unit="short",
        decimals=0,
        queries=(Query(f"max by ({_KIND}) ({metric})", f"{{{{{_KIND}}}}}", instant=True),),
        incident=Incident.FEATURE_DRIFT,
        view=View.STAT,
        width=5,
        height=7,
        levels=(Level(Severity.WARNING, 1),),
        alerts=at_levels(
            spec.alerts.new_columns,
            name="MLLogNewColumn",
            expression=f"max({selector(metric, **labels)})",
            summary="The prediction log has an unknown column.",
            describe=lambda _: (
                f"The prediction log of {spec.title} has ",
                Value(Format.NUMBER),
                " columns that are in neither the spec nor the reference; the exporter's log names them. Make them "
                "features or list them in prediction_log.other_columns.",
            ),
            scenario=lambda value: Scenario((Input(metric, labels, value),)),
            resolution=1,
        ),
    )
