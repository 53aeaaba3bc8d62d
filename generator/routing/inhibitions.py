"""Inhibitions: alerts that are silent because another alert says more.

One cause is one incident: what follows from an alert, or says less about the same thing, is silent while that alert fires.
An alert never silences a more severe one. Alertmanager treats a label that both alerts lack as equal, so every label that
must be equal is also required.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from mlvitals.generator.contract import Contract, Producer
from mlvitals.generator.signals.building import FEATURE, SOURCE
from mlvitals.generator.signals.labels import identifying_labels, identity_matchers
from mlvitals.generator.signals.signal import Alert, Incident, Signal
from mlvitals.generator.signals.timing import Reads
from mlvitals.generator.spec.model import Severity, SloKind, Spec

MANY_FEATURES = "MLManyFeaturesDrifting"
"""The alert about a source of which many features drift: it covers each of them."""
BURN, UNKNOWN = "MLErrorBudgetBurn", "MLErrorBudgetUnknown"
_EXPORTER_DOWN = "MLExporterDown"
_OF_OBJECTIVES = (BURN, UNKNOWN)
"""Alerts that read every objective, whichever they are about."""

_MILDER = {
    Severity.CRITICAL: (Severity.WARNING, Severity.INFO),
    Severity.WARNING: (Severity.INFO,),
}
_KPI_DROPS = ("MLBusinessMetricDrop", "MLBusinessMetricLow")
_DRIFT = ("MLFeatureDrift", MANY_FEATURES, "MLDriftWithBusinessImpact")
_OF_SEGMENTS = {
    ("MLScoreDrift", "MLNewestScoreDrift"): "MLSegmentScoreDrift",
    ("MLConceptDrift", "MLHarmfulDrift", "MLLabelDrift"): "MLSegmentGap",
    ("MLScoreDrift",): "MLClassScoreDrift",
    ("MLPerformanceLoss",): "MLClassRecallLoss",
}
"""Alerts on all rows, and the alert on parts of them that they cover: segments, or classes."""
_CAUSES_OF_BURN = {
    SloKind.AVAILABILITY: ("MLErrorRateHigh",),
    SloKind.LATENCY: ("MLLatencyHigh", "MLErrorRateHigh"),
    SloKind.FRESHNESS: ("MLDataStale", "MLSourceAgeUnknown", "MLSourceInFuture"),
    SloKind.DRIFT: _DRIFT,
}
"""The alerts whose condition is what spends the budget of an objective."""


def inhibit_rules(spec: Spec, signals: Sequence[Signal]) -> Iterator[dict[str, Any]]:
    """Yield the inhibitions of a system, from the same alert to other layers."""
    known = _Known(spec, signals)
    yield from _milder_of_the_same_alert(spec, known)
    yield from _lesser_signs_of_the_same_feature(spec)
    if any(feature.source for feature in spec.features.values()):
        yield from _source_for_its_features(spec)
    found = (_of_objectives(spec, known), _of_serving(spec, known), _of_drift(known), _of_the_whole(known))
    for causes, effect in chain.from_iterable(found):
        yield from _silences(spec, known, causes, effect)


@dataclass(frozen=True, slots=True)
class _Known:
    """The alerts of a system, and what they read."""

    spec: Spec
    signals: Sequence[Signal]

    def alerts(self) -> Iterator[tuple[Signal, Alert]]:
        return ((signal, alert) for signal in self.signals for alert in signal.alerts)

    def present(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return those of the names that the system has alerts of."""
        there = {alert.name for _, alert in self.alerts()}
        return tuple(name for name in names if name in there)

    def severities(self, names: Iterable[str]) -> tuple[Severity, ...]:
        """Return the severities of the alerts of some names, worst first, but none that silences nobody."""
        there = {alert.severity for _, alert in self.alerts() if alert.name in names}
        return tuple(severity for severity in _MILDER if severity in there)

    def reading(self, series: Iterable[str]) -> tuple[str, ...]:
        """Return the names of the alerts that depend on any of the series, without those of objectives."""
        reads, wanted = Reads(self.signals), frozenset(series)
        found = (
            alert.name for _, alert in self.alerts() if alert.name not in _OF_OBJECTIVES and reads.names(alert) & wanted
        )
        return tuple(dict.fromkeys(found))

    def whole_incidents(self, names: Iterable[str], but: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the incidents of which all alerts are among some, or are the cause or about objectives, and the other names."""
        follows, apart = set(names), {*but, *_OF_OBJECTIVES}
        of_incident: dict[str, set[str]] = {}
        for signal, alert in self.alerts():
            if alert.name not in apart:
                of_incident.setdefault(signal.incident.value, set()).add(alert.name)
        whole = tuple(incident for incident, members in of_incident.items() if members <= follows)
        covered = set().union(*(of_incident[incident] for incident in whole))
        return whole, tuple(name for name in names if name not in covered and name not in apart)


# ---------------------------------------------------------------- the same thing


def _milder_of_the_same_alert(spec: Spec, known: _Known) -> Iterator[dict[str, Any]]:
    for (identity, foreign), names in _alerts_by_identity(known).items():
        about = (*(f'{label}=~".+"' for label in identity), *(f'{label}=""' for label in foreign))
        present = [*identity_matchers(spec), _named(names), *about]
        for louder, milder in _MILDER.items():
            yield {
                "source_matchers": [f'severity="{louder}"', *present],
                "target_matchers": [_one_of(milder), *present],
                "equal": _equal(spec, "alertname", *identity),
            }


def _alerts_by_identity(known: _Known) -> dict[tuple[tuple[str, ...], tuple[str, ...]], list[str]]:
    """Return the alerts with several severities, by the labels that identify their subject.

    Where alerts of one name have subjects of several kinds, the labels of the other kinds follow: they must be missing.
    """
    severities: dict[tuple[str, tuple[str, ...]], set[Severity]] = {}
    for signal, alert in known.alerts():
        identity = identifying_labels(alert)
        if FEATURE not in identity or signal.incident is not Incident.FEATURE_DRIFT:  # these are lesser signs
            severities.setdefault((alert.name, identity), set()).add(alert.severity)
    grouped: dict[tuple[tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for (name, identity), found in severities.items():
        if len(found) > 1:
            others = (
                label for other, labels in severities if other == name for label in labels if label not in identity
            )
            grouped.setdefault((identity, tuple(dict.fromkeys(others))), []).append(name)
    return grouped


def _lesser_signs_of_the_same_feature(spec: Spec) -> Iterator[dict[str, Any]]:
    """Yield the rules by which the worst alert of a feature speaks for its milder ones, whatever they are about."""
    of_feature = [*identity_matchers(spec), f'incident="{Incident.FEATURE_DRIFT}"', f'{FEATURE}=~".+"']
    for louder, milder in _MILDER.items():
        yield {
            "source_matchers": [f'severity="{louder}"', *of_feature],
            "target_matchers": [_one_of(milder), *of_feature],
            "equal": _equal(spec, FEATURE),
        }


def _source_for_its_features(spec: Spec) -> Iterator[dict[str, Any]]:
    """Yield the rule by which a source's alert, which is critical, silences those of its features."""
    source, worst = f'{SOURCE}=~".+"', Severity.CRITICAL
    yield {
        "source_matchers": [f'severity="{worst}"', *identity_matchers(spec), f'alertname="{MANY_FEATURES}"', source],
        "target_matchers": [
            _one_of((worst, *_MILDER[worst])),
            *identity_matchers(spec),
            f'incident="{Incident.FEATURE_DRIFT}"',
            f'{FEATURE}=~".+"',
            source,
        ],
        "equal": _equal(spec, SOURCE),
    }


# ---------------------------------------------------------------- causes and what follows from them

_Names = tuple[str, ...]
_Matchers = tuple[str, ...]


def _of_objectives(spec: Spec, known: _Known) -> Iterator[tuple[_Names, _Matchers]]:
    """Yield the alerts that explain why a budget is spent, or unknown, and the alerts on that budget."""
    if unmeasured := known.present((_EXPORTER_DOWN,)):
        yield unmeasured, (_named((UNKNOWN,)),)
    for kind, causes in _CAUSES_OF_BURN.items():
        objectives = [name for name, slo in spec.slos.items() if slo.kind is kind]
        if objectives and (there := known.present(causes)):
            yield there, (_named((BURN,)), f'slo=~"{"|".join(objectives)}"')


def _of_serving(spec: Spec, known: _Known) -> Iterator[tuple[_Names, _Matchers]]:
    """Yield what follows where the serving application does not answer: there are no predictions to measure either."""
    if not spec.serving.enabled:
        return
    contract = Contract(spec)
    published = (series for family in contract.of(Producer.SERVING) for series in family.series_names)
    down = known.present(("MLServingDown",))
    if down:
        if some := known.present(("MLReplicasMissing",)):
            yield down, (_named(some),)
        follows = known.reading({*published, *contract.of_windows})
        whole, rest = known.whole_incidents(follows, but=down)
        if whole:
            yield down, (f'incident=~"{"|".join(whole)}"', f'alertname!~"{"|".join((*down, *_OF_OBJECTIVES))}"')
        if rest:
            yield down, (_named(rest),)
        objectives = [name for name, slo in spec.slos.items() if slo.kind is not SloKind.FRESHNESS]
        if objectives:
            yield down, (_named((BURN,)), f'slo=~"{"|".join(objectives)}"')
            yield down, (_named((UNKNOWN,)),)


def _of_drift(known: _Known) -> Iterator[tuple[_Names, _Matchers]]:
    """Yield what the fall of a KPI, or predictions that drift makes worse, follow from."""
    if (drops := known.present(_KPI_DROPS)) and (felt := known.present(("MLDriftWithBusinessImpact",))):
        yield felt, (_named(drops),)
    if (harm := known.present(("MLHarmfulDrift",))) and (drift := known.present(_DRIFT)):
        yield drift, (_named(harm),)


def _of_the_whole(known: _Known) -> Iterator[tuple[_Names, _Matchers]]:
    """Yield what says of all predictions what others say of a segment of them."""
    for whole, segment in _OF_SEGMENTS.items():
        if (there := known.present(whole)) and (parts := known.present((segment,))):
            yield there, (_named(parts),)


def _silences(spec: Spec, known: _Known, causes: _Names, effect: _Matchers) -> Iterator[dict[str, Any]]:
    """Yield the rules by which alerts silence others of the same system that are not more severe."""
    for severity in known.severities(causes):
        yield {
            "source_matchers": [f'severity="{severity}"', *identity_matchers(spec), _named(causes)],
            "target_matchers": [_one_of((severity, *_MILDER[severity])), *identity_matchers(spec), *effect],
            "equal": _equal(spec),
        }


def _named(names: Iterable[str]) -> str:
    return f'alertname=~"{"|".join(names)}"'


def _equal(spec: Spec, *labels: str) -> list[str]:
    """Return the labels that must be equal: those of the system, and more; each once."""
    return list(dict.fromkeys(("system", *spec.identity.labels, *labels)))


def _one_of(severities: Sequence[Severity]) -> str:
    return f'severity=~"{"|".join(severities)}"'
