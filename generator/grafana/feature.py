"""The dashboard of one feature: what changed, where, since when, and the other features from the same source."""

from collections.abc import Iterator

from mlvitals.generator.boards import Board
from mlvitals.generator.contract import PERCENTILES, STATISTICS, Contract
from mlvitals.generator.contract.statistics import SKEW_MEASURES
from mlvitals.generator.grafana.layout import COLUMNS
from mlvitals.generator.grafana.page import Page, Row
from mlvitals.generator.grafana.variables import chosen_feature, chosen_jobs
from mlvitals.generator.promql import matching, selector
from mlvitals.generator.signals.building import FEATURE, OPPOSITE, RECIPROCAL, SOURCE, farthest, thinned_by_feature
from mlvitals.generator.signals.signal import Incident, Layer, Query, Signal, View, levels
from mlvitals.generator.spec.model import AlertPolicy, Spec

_NONE = AlertPolicy()
_NOT_MEASURED = "Not measured: too few rows, or this metric does not apply to this type of feature."


def page(spec: Spec) -> Page:
    """Return the page; the feature is chosen at the top."""
    contract = Contract(spec)
    [feature] = chosen_feature(contract)
    return Page(
        Board.FEATURE,
        "one feature",
        "What changed in this feature, in which bins, since when, and if its source and neighbouring features "
        "changed too.",
        [
            Row("", tuple(_now(spec, contract))),
            Row("Last window compared with the reference", tuple(_bins(spec, contract))),
            Row("Drift, with the noise floor (exceeded once in 1000 windows)", tuple(_drift(spec, contract))),
            Row("Values", (*_values(spec, contract), *_skew(contract), *_shares(spec, contract))),
            Row("Source and neighbouring features", tuple(_origin(spec, contract, feature.matcher)), restricted=False),
        ],
        (feature, *chosen_jobs(contract)),
    )


def _signal(
    title: str,
    description: str,
    *queries: Query,
    unit: str = "none",
    policy: AlertPolicy = _NONE,
    view: View = View.STEPS,
    width: int = 8,
    height: int = 7,
    decimals: int | None = 3,
    minimum: float | None = 0,
    empty: str = _NOT_MEASURED,
) -> Signal:
    return Signal(
        id=title,
        layer=Layer.DATA,
        title=title,
        description=description,
        unit=unit,
        queries=queries,
        incident=Incident.FEATURE_DRIFT,
        view=view,
        width=width,
        height=height,
        levels=levels(policy),
        decimals=decimals,
        minimum=minimum,
        empty=empty,
    )


def _now(spec: Spec, contract: Contract) -> Iterator[Signal]:
    alerts = spec.alerts
    shown = (
        *((each.column, each.family, "none", each.policy_in(alerts)) for each in STATISTICS),
        ("Nulls", "feature_null_rate", "percentunit", alerts.null_rate),
        ("Outside", "feature_out_of_range_ratio", "percentunit", alerts.out_of_range_ratio),
    )
    for title, short, unit, policy in shown:
        yield _signal(
            title,
            "The value in the last window, in the colour of its severity by the general thresholds; the feature's "
            "own thresholds are in the spec. Normal: green.",
            Query(f"max({contract.name(short)})", instant=True),
            unit=unit,
            policy=policy,
            view=View.STAT,
            width=4,
            height=4,
            decimals=2,
        )
    yield _signal(
        "Status, type and source",
        "Status of the feature in the last window, its type, and the pipeline that delivers it. Normal: ok.",
        Query(
            f"max by ({FEATURE}, status) ({contract.name('feature_status')} == 1) * on ({FEATURE}) "
            f"group_left (feature_type, {SOURCE}) max by ({FEATURE}, feature_type, {SOURCE}) ({contract.name('feature_info')})",
            instant=True,
        ),
        view=View.TABLE,
        width=24,
        height=4,
        empty="Nothing has been measured yet.",
    )


def _bins(spec: Spec, contract: Contract) -> Iterator[Signal]:
    def each(short: str) -> str:
        return f"max by (bin_index, bin) ({contract.name(f'drift_bin_{short}')})"

    yield _signal(
        "Share by bin",
        "Share of the reference and of the last window in each bin; the bins are fixed by the reference. Normal: "
        "pairs of equal height. Many values in the outermost bins are a changed unit or default value.",
        Query(each("reference_ratio"), "Reference", instant=True, dimmed=True),
        Query(each("current_ratio"), "Last window", instant=True),
        unit="percentunit",
        view=View.BAR_CHART,
        width=12,
        height=9,
        decimals=1,
    )
    yield _signal(
        "Contribution to PSI by bin",
        "Contribution of each bin to the PSI of the last window. Normal: near 0. The highest bar is the bin that "
        "an alert names; the axis ends where the sum would be critical.",
        Query(each("psi"), "PSI", instant=True),
        policy=spec.alerts.feature_psi,
        view=View.BAR_CHART,
        width=6,
        height=9,
    )
    yield _signal(
        "Share of each bin over time",
        "Distribution of recent windows over the bins. Normal: flat bands. A change starts where a band widens.",
        Query(each("current_ratio"), "{{bin}}"),
        unit="percentunit",
        width=6,
        height=9,
        decimals=1,
    )


def _drift(spec: Spec, contract: Contract) -> Iterator[Signal]:
    for statistic in STATISTICS:
        yield _signal(
            statistic.title,
            f"{statistic.reading} Normal: below the first line, or below the dashed noise floor, where nothing can "
            "be concluded.",
            Query(f"max({contract.name(statistic.family)})", statistic.title),
            Query(f"max({contract.name(statistic.noise_family)})", "Noise floor", dimmed=True),
            policy=statistic.policy_in(spec.alerts),
            width=COLUMNS // len(STATISTICS),
        )


def _values(spec: Spec, contract: Contract) -> Iterator[Signal]:
    alerts = spec.alerts
    yield _signal(
        "Mean",
        "Mean of each window and of the reference, in the feature's own unit. A step is a changed unit or default "
        "value; a slope is a changing population.",
        Query(f"max({contract.name('feature_mean')})", "Window"),
        Query(f"max({contract.name('feature_reference_mean')})", "Reference", dimmed=True),
        unit="short",
        minimum=None,
        decimals=None,
    )
    yield _signal(
        "Quantiles compared with the reference",
        "5th, 50th and 95th percentile of each window, and those of the reference as a band. Normal: on the band. "
        "One edge that leaves the band is a tail that grew or was cut off; all three leaving it are a new unit or "
        "a different population.",
        *(
            Query(f"max({selector(contract.name('feature_quantile'), percentile=percentile)})", f"p{percentile}")
            for percentile in PERCENTILES
        ),
        *(
            Query(
                f"max({selector(contract.name('feature_reference_quantile'), percentile=percentile)})",
                f"Reference p{percentile}",
                dimmed=True,
            )
            for percentile in PERCENTILES
        ),
        unit="short",
        minimum=None,
        decimals=None,
        width=16,
    )
    shift = contract.name("feature_mean_shift")
    yield _signal(
        "Distance of mean and median from the reference",
        "In standard deviations of the reference. Normal: within the lines. If only the mean moved, a few rows did.",
        Query(farthest(shift, OPPOSITE), "Mean"),
        Query(farthest(contract.name("feature_median_shift"), OPPOSITE), "Median"),
        Query(f"max({shift}_critical_value)", "Noise floor of the mean", dimmed=True),
        unit="short",
        policy=alerts.mean_shift,
        minimum=None,
        decimals=None,
    )
    ratio = contract.name("feature_variance_ratio")
    yield _signal(
        "Variance relative to the reference",
        "Normal: 0.5 to 2. Near 0 the feature has become constant.",
        Query(farthest(ratio, RECIPROCAL), "Variance ratio"),
        Query(f"max({ratio}_critical_value)", "Noise floor", dimmed=True),
        unit="short",
        decimals=None,
    )


def _shares(spec: Spec, contract: Contract) -> Iterator[Signal]:
    alerts = spec.alerts
    shares = (
        ("Null rate", "feature_null_rate", alerts.null_rate, "Share of null or NaN values."),
        (
            "Out of range",
            "feature_out_of_range_ratio",
            alerts.out_of_range_ratio,
            "Share of values outside the valid range.",
        ),
        (
            "New categories",
            "feature_new_category_ratio",
            alerts.new_category_ratio,
            "Share of values that are not in the reference.",
        ),
        (
            "Cardinality change",
            "feature_cardinality_change",
            alerts.cardinality_change,
            "Distinct values compared with the number expected for that many rows.",
        ),
    )
    for title, short, policy, text in shares:
        yield _signal(
            title,
            f"{text} Normal: near 0. A jump is a pipeline change: see what was deployed at that time.",
            Query(f"max({contract.name(short)})", title),
            unit="percentunit",
            policy=policy,
            width=6,
            decimals=1,
            minimum=None if short.endswith("change") else 0,
        )


def _skew(contract: Contract) -> Iterator[Signal]:
    measures = ((key, contract.name(f"skew_{key}")) for key in SKEW_MEASURES)
    known = [(key, metric) for key, metric in measures if metric in contract.by_name]
    if known:
        yield _signal(
            "Serving compared with offline",
            "Distance between the values at serving and those recomputed offline. Normal: near 0, even if the "
            "population changes.",
            *(Query(f"max({metric})", key.upper()) for key, metric in known),
            *(
                Query(f"max({metric}_critical_value)", f"Noise floor of {key.upper()}", dimmed=True)
                for key, metric in known
            ),
            empty="Not recomputed offline, or not compared yet.",
        )


def _origin(spec: Spec, contract: Contract, chosen: str) -> Iterator[Signal]:
    """Yield panels of the source and of the other features from it; `chosen` is the matcher of the feature.

    The features of the source are looked up once, at the end of the range: over weeks this would be the most expensive
    part. The look-up covers the hour before, because the end may be in a gap, such as a restart.
    """
    info, drift = contract.name("feature_info"), thinned_by_feature(contract.name("drift_psi")).name
    of_all, of_chosen = (f"last_over_time({series}[1h] @ end())" for series in (info, matching(info, chosen)))
    yield _signal(
        "Drift (PSI) of the features from the same source",
        "If neighbouring features moved at the same time, suspect the source; if the feature moved alone, suspect "
        "the feature.",
        Query(
            f"{drift} and on ({FEATURE}) ({of_all} and on ({SOURCE}) {of_chosen})",
            f"{{{{{FEATURE}}}}}",
        ),
        policy=spec.alerts.feature_psi,
        width=16,
        height=8,
    )
    if spec.sources:
        age, limit = contract.name("data_freshness_seconds"), contract.name("data_freshness_max_age_seconds")
        yield _signal(
            "Freshness of the source, share of the limit",
            "Age of the source's newest data as a share of its limit. Normal: under 100%; above it, the feature is "
            "stale.",
            Query(
                f"max by ({SOURCE}) ({age}) / max by ({SOURCE}) ({limit}) and on ({SOURCE}) {of_chosen}",
                f"{{{{{SOURCE}}}}}",
            ),
            unit="percentunit",
            policy=spec.alerts.freshness,
            view=View.TIME_SERIES,
            height=8,
            decimals=0,
            empty="The spec names no source for this feature, or the source's age is unknown.",
        )
