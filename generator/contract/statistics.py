"""The drift statistics: the distance between the last window and the reference, each described in one place.

Everything that belongs to a statistic is named after it: its families ``drift_NAME`` and ``drift_NAME_critical_value``,
a feature's own levels ``thresholds.NAME``, the field of a feature's report, and the columns of the results. A new one
needs its policy and levels in `generator.spec.model`, an entry here, its computation, and the field of the report.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from mlvitals.generator.contract.family import Family, gauge
from mlvitals.generator.spec.model import AlertPolicy, Alerts, Feature, FeatureType, Levels


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftAlert:
    """The alert on features that exceed their levels and noise, by the policy of a statistic."""

    name: str
    summary: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorstPanel:
    """The panel of the features that are worst by a statistic."""

    id: str
    description: str
    on_main: bool = True
    """True if it is on the main dashboard, otherwise among the details."""
    alert: DriftAlert | None = None
    """None if it only confirms another statistic, with a severity in reports and lines in panels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SkewMeasure:
    """A statistic that compares values at serving with those recomputed offline, if a feature names it."""

    help: str
    policy: str
    """The field of `Alerts` with its levels."""

    def policy_in(self, alerts: Alerts) -> AlertPolicy:
        """Return its policy in a spec."""
        policy: AlertPolicy = getattr(alerts, self.policy)
        return policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistic:
    """A distance between the last window and the reference, with its noise floor."""

    name: str
    title: str
    """Its display name."""
    column: str
    """Its short display name."""
    help: str
    noise_help: str
    pvalue_help: str = ""
    """The description of its p-value, if it has one."""
    reading: str
    """Its description in the panel of one feature."""
    unit: str = ""
    """The unit, as it follows the value."""
    policy: str
    """The field of `Alerts` with its levels."""
    numeric: bool = False
    """True if it compares numbers, and so has no value for a categorical feature."""
    worst: WorstPanel | None = None
    """None if a separate signal draws the worst features."""
    skew: SkewMeasure | None = None

    @property
    def family(self) -> str:
        """The short name of its family."""
        return f"drift_{self.name}"

    @property
    def noise_family(self) -> str:
        """The short name of the family of its critical value."""
        return f"{self.family}_critical_value"

    @property
    def is_primary(self) -> bool:
        """True if it is shown first: on the main dashboard, and on narrow terminals."""
        return self.worst is None or self.worst.on_main

    def suits(self, kind: FeatureType) -> bool:
        """True if it applies to a feature of this type."""
        return not self.numeric or kind is not FeatureType.CATEGORICAL

    def policy_in(self, alerts: Alerts) -> AlertPolicy:
        """Return its policy in a spec."""
        policy: AlertPolicy = getattr(alerts, self.policy)
        return policy

    def levels_of(self, feature: Feature) -> Levels | None:
        """Return the feature's own levels, if the spec gives some."""
        levels: Levels | None = getattr(feature.thresholds, self.name)
        return levels

    def families(self) -> Iterator[Family]:
        """Yield its families, with one series per feature."""
        yield gauge(self.family, self.help, "feature_name")
        yield gauge(self.noise_family, self.noise_help, "feature_name")
        if self.pvalue_help:
            yield gauge(f"{self.family}_pvalue", self.pvalue_help, "feature_name")


PSI = Statistic(
    name="psi",
    title="PSI",
    column="PSI",
    help="Population stability index of the last window against the reference, 0 and up.",
    noise_help="PSI that sampling noise alone exceeds once in 1000 windows.",
    reading="Population stability index: the statistic that alerts compare.",
    policy="feature_psi",
    skew=SkewMeasure(help="Population stability index of serving against offline, 0 and up.", policy="skew_psi"),
)
KS = Statistic(
    name="ks",
    title="KS D",
    column="KS D",
    help="Kolmogorov-Smirnov D of the last window against the reference, 0 to 1.",
    noise_help="D that sampling noise alone exceeds once in 1000 windows.",
    pvalue_help="Probability that noise alone gives a D this large, adjusted for the number of features, 0 to 1.",
    reading="Largest gap between the cumulative distributions: detects changes in the tails.",
    policy="feature_ks",
    numeric=True,
    worst=WorstPanel(
        id="feature_distance",
        description="Kolmogorov-Smirnov D: the largest gap between the cumulative distributions of window and "
        "reference, with the highest noise floor. Confirms PSI and detects what PSI's bins cannot show, such as a "
        "longer tail.",
    ),
    skew=SkewMeasure(help="Kolmogorov-Smirnov D of serving against offline, 0 to 1.", policy="skew_ks"),
)
JS = Statistic(
    name="js",
    title="JS divergence",
    column="JS",
    help="Jensen-Shannon divergence in nats, 0 to ln 2.",
    noise_help="Divergence that sampling noise alone exceeds once in 1000 windows.",
    reading="In nats, 0 to 0.69: the statistic for categorical features.",
    policy="feature_js",
    worst=WorstPanel(
        id="feature_divergence",
        description="Jensen-Shannon divergence in nats, 0 to 0.69: the statistic for categorical features, with "
        "the highest noise floor. Read it together with PSI; for a small shift it is about an eighth of the PSI.",
    ),
    skew=SkewMeasure(help="Jensen-Shannon divergence of serving and offline in nats, 0 to ln 2.", policy="skew_js"),
)
WASSERSTEIN = Statistic(
    name="wasserstein",
    title="Wasserstein distance",
    column="Wasserstein",
    help="Wasserstein distance of the last window from the reference, in standard deviations of the reference, 0 "
    "and up.",
    noise_help="Wasserstein distance that sampling noise alone exceeds once in 1000 windows.",
    reading="How far values moved on average, in standard deviations of the reference: measures the distance, not "
    "only the share of values that moved.",
    unit="standard deviations of the reference",
    policy="feature_wasserstein",
    numeric=True,
    worst=WorstPanel(
        id="feature_transport",
        description="Wasserstein distance: how far the values of a window moved on average, in standard deviations "
        "of the reference, with the highest noise floor. A shift of all values by half a standard deviation is "
        "0.5, however many bins they cross. Has thresholds and alerts if the spec enables "
        "alerts.feature_wasserstein.",
        on_main=False,
        alert=DriftAlert(
            name="MLFeatureDistance",
            summary="The values of a feature are far from where the model was trained.",
        ),
    ),
)

STATISTICS = (PSI, KS, JS, WASSERSTEIN)
"""In the order in which they are published, drawn and reported."""

SKEW_MEASURES = {statistic.name: statistic.skew for statistic in STATISTICS if statistic.skew}
"""The statistics that `features.NAME.skew` may name, by name."""
