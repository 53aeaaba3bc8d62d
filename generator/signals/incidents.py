"""Combined signals: many features of one source that drift at once, and drift that affects KPIs."""

from collections import Counter
from collections.abc import Iterable, Iterator

from msgspec import structs

from mlvitals.generator.contract import Contract
from mlvitals.generator.promql import number
from mlvitals.generator.signals.building import FEATURE, SOURCE, feature_labels
from mlvitals.generator.signals.business import drop_record, kpi_title
from mlvitals.generator.signals.signal import (
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
)
from mlvitals.generator.signals.text import Format, Found, FoundValue, LabelOf, Listed, Literal, Value, text
from mlvitals.generator.signals.timing import past_a_window, past_jitter
from mlvitals.generator.spec.durations import duration, seconds
from mlvitals.generator.spec.model import Severity, Spec, Timing

_PSI = 0.5
"""The PSI of a drifting feature in a test."""


def incident_signals(spec: Spec, feature_drift: Iterable[Alert]) -> Iterator[Signal]:
    """Yield the signals that combine others, given the alerts on the drift of single features."""
    critical = [alert for alert in feature_drift if alert.severity is Severity.CRITICAL]
    if not critical:
        return
    record = Record(_drifting(spec), "\nor\n".join(alert.rule for alert in critical))
    yield _by_source(spec, record)
    if any(kpi.drop.warning is not None for kpi in spec.business.kpis.values()):
        yield _felt(spec, record, _lately(spec, record))


def _drifting(spec: Spec) -> str:
    return f"feature:{Contract(spec).name('drift_psi')}:critical"


def _lately(spec: Spec, record: Record) -> Record:
    """Return the record of the features that drifted critically within the interval that KPIs are taken over."""
    window = spec.business.compare_window
    return Record(f"{record.name}_{window}", f"max_over_time({record.name}[{window}])", every=record.every)


def _by_source(spec: Spec, record: Record) -> Signal:
    many = spec.alerts.many_features
    per_source = Counter(feature.source for feature in spec.features.values() if feature.source)
    largest = max(per_source, key=lambda source: per_source[source], default=None)
    reachable = largest is not None and per_source[largest] >= many
    return Signal(
        id="drifting_sources",
        layer=Layer.MODEL,
        title="Critically drifting features, by source",
        description=f"Number of features of each source that drift critically. Normal: 0. {many} or more of one "
        "source are one broken pipeline, not many drifts: start at the source.",
        unit="short",
        decimals=0,
        queries=(Query(f"count by ({SOURCE}) ({record.name})", f"{{{{{SOURCE}}}}}"),),
        incident=Incident.FEATURE_DRIFT,
        view=View.STEPS,
        width=8,
        place=Place.DETAIL,
        levels=(Level(Severity.CRITICAL, many),),
        empty="No feature of the last window drifts critically. While the data layer is blind (Health), there is no such window.",
        records=(record,),
        alerts=(_many(spec, record, largest),) if reachable and largest else (),
    )


def _many(spec: Spec, record: Record, source: str) -> Alert:
    many = spec.alerts.many_features
    members = [name for name, feature in spec.features.items() if feature.source == source]

    def scenario(value: float) -> Scenario:
        drifting = members[: round(value)]
        return Scenario(
            tuple(Input(record.name, feature_labels(spec, name), _PSI) for name in drifting), {SOURCE: source}
        )

    return Alert(
        name="MLManyFeaturesDrifting",
        severity=Severity.CRITICAL,
        expression=f'count by ({SOURCE}) ({record.name}{{{SOURCE}!=""}})',
        comparison=">=",
        threshold=many,
        resolution=1 / many,
        summary="Many features of one source are drifting together: one broken pipeline.",
        description=text(
            Value(Format.NUMBER),
            " features of source ",
            LabelOf(SOURCE),
            f" of {spec.title} are drifting critically at once; {many} or more are one incident: ",
            Listed(record.name, (SOURCE,), FEATURE),
            ".",
        ),
        timing=spec.alerts.feature_psi,
        scenario=scenario,
    )


def _felt(spec: Spec, record: Record, lately: Record) -> Signal:
    falling = [name for name, kpi in spec.business.kpis.items() if kpi.drop.warning is not None]
    before = spec.business.compare_with
    return Signal(
        id="drift_impact",
        layer=Layer.BUSINESS,
        title=f"Fall of the KPIs compared with {before} ago",
        description=f"How much lower each KPI is than {before} ago; 0 if it is not lower. Normal: near 0. A fall "
        "while features drift critically is drift that affects users: it has an alert of its own.",
        unit="percentunit",
        queries=tuple(Query(f"clamp_min({drop_record(spec, name)}, 0)", kpi_title(spec, name)) for name in falling),
        incident=Incident.FEATURE_DRIFT,
        width=8,
        place=Place.DETAIL,
        height=6,
        empty=f"No data: the KPIs have no value from {before} ago yet.",
        records=(record, lately),
        alerts=(_impact(spec, lately),),
    )


def _impact(spec: Spec, record: Record) -> Alert:
    drops = {
        drop_record(spec, name): (kpi_title(spec, name), kpi.drop.warning)
        for name, kpi in spec.business.kpis.items()
        if kpi.drop.warning is not None
    }
    first, (_, limit) = next(iter(drops.items()))
    example = next(iter(spec.features))
    labels = feature_labels(spec, example)
    of_source = {SOURCE: labels[SOURCE]} if SOURCE in labels else {}

    def scenario(value: float, fall: float = 2 * limit + 0.1) -> Scenario:
        drifting = (Input(record.name, labels, _PSI),) if value else ()
        return Scenario((*drifting, Input(first, {}, fall)), of_source)

    falls = " or ".join(f"{drop} > {number(least)}" for drop, (_, least) in drops.items())
    felt = (
        Found(
            drop,
            (),
            {},
            (
                Literal(f" {title} is "),
                FoundValue(Format.PERCENT),
                Literal(f" lower than {spec.business.compare_with} ago."),
            ),
            above=least,
        )
        for drop, (title, least) in drops.items()
    )
    return Alert(
        name="MLDriftWithBusinessImpact",
        severity=Severity.CRITICAL,
        # By source, as the alerts on the features are: with them it is one incident.
        expression=f"count by ({SOURCE}) ({record.name})",
        threshold=0,
        resolution=1,
        gate=f"and on () ({falls})",
        gated=lambda value: scenario(value, fall=limit / 2),
        summary="Features are drifting critically while a KPI falls: the drift affects users.",
        description=text(
            Value(Format.NUMBER),
            f" features of {spec.title} are drifting critically: ",
            Listed(record.name, (SOURCE,), FEATURE),
            ".",
            *felt,
        ),
        timing=_timing_of_impact(spec),
        scenario=scenario,
        policy="feature_psi",
    )


def _timing_of_impact(spec: Spec) -> Timing:
    """Return the timing of KPIs, but notifying as the drift does, with which it is one incident.

    It is kept longer than the alerts on KPIs: they follow from it, and must not page when it is over.
    """
    of_kpis = spec.alerts.business_drop
    kept = of_kpis.keep_firing_for or max(past_jitter(spec, "business_drop"), past_a_window(spec), key=seconds)
    longer = duration(seconds(kept) + seconds(spec.telemetry.rate_window))
    return structs.replace(of_kpis, keep_firing_for=longer, cooldown=spec.alerts.feature_psi.cooldown)
