"""The drift type, and the agreement of predictions with their outcomes."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from mlvitals.generator.contract import ConceptStatus, Contract, DriftKind
from mlvitals.generator.promql import matching, one_of
from mlvitals.generator.signals.building import drift_kind_text
from mlvitals.generator.signals.signal import Alert, Incident, Input, Layer, Level, Place, Query, Scenario, Signal, View
from mlvitals.generator.signals.text import Format, Found, FoundValue, Literal, Value, text
from mlvitals.generator.spec.model import Severity, Spec

_AT_THE_LIMIT = 1.0
"""Charts alert beyond their limit; the limits follow from the run lengths in the spec."""
_panel = partial(
    Signal,
    layer=Layer.MODEL,
    incident=Incident.PREDICTION_DRIFT,
    view=View.STEPS,
    unit="none",
    width=8,
    height=7,
)


def concept_signals(spec: Spec) -> Iterator[Signal]:
    """Yield the drift type of every system, and the control charts of a system with outcomes."""
    contract = Contract(spec)
    yield _kind(contract)
    if spec.has_gap:
        yield _gap(contract)
        yield _charts(spec, contract)
        yield _status(spec, contract)
        yield _baseline(contract)


def _kind(contract: Contract) -> Signal:
    shown = matching(contract.name("drift_type"), one_of("type", [DriftKind.NONE], negate=True))
    return _panel(
        id="drift_type",
        title="Drift type",
        description="Covariate: the inputs changed; retrain on the new population, or fix the pipeline that feeds "
        "them. Prediction: only the scores changed; investigate the model. Label: outcomes became more or less "
        "frequent; recalibrate. Concept: the same inputs lead to different outcomes; retrain on recent data. "
        "Unknown: outcomes are missing. Normal: no square is marked. The window's report has the evidence.",
        queries=(Query(f"max by (type) ({shown})", "{{type}}"),),
        view=View.STATE_TIMELINE,
        width=12,
        levels=(Level(Severity.INFO, 1),),
        maximum=1,
    )


def _gap(contract: Contract) -> Signal:
    gap, expected, noise = (f"max({contract.name(name)})" for name in ("concept_gap", *_BAND))
    of_classes = contract.spec.has_classes
    compared = "Share of wrong predictions" if of_classes else "Mean prediction minus mean outcome"
    return _panel(
        id="concept_gap",
        title=_gap_title(contract),
        description=f"{compared} of the last window whose outcomes are known, and the band "
        "that an unchanged window leaves once in 1000. Normal: within the band. Outside: see the drift type.",
        decimals=3,
        queries=(
            Query(gap, "Gap"),
            Query(expected, "Expected", dimmed=True),
            Query(f"{expected} + {noise}", "Highest", dimmed=True),
            Query(f"{expected} - {noise}", "Lowest", dimmed=True),
        ),
        minimum=None,
        empty="No outcomes yet: they arrive up to the maximum delay after their prediction. See the feedback panels.",
    )


def _gap_title(contract: Contract) -> str:
    return "Wrong predictions" if contract.spec.has_classes else "Predicted minus observed"


_BAND = ("concept_gap_expected", "concept_gap_noise")


@dataclass(frozen=True, slots=True)
class _Chart:
    """A control chart and the severity of its alert."""

    severity: Severity
    title: str
    expression: str
    statistic: str
    labels: tuple[tuple[str, str], ...]
    limit: str


def _charts_of(contract: Contract) -> tuple[_Chart, _Chart]:
    ewma, cusum = contract.name("concept_ewma"), contract.name("concept_cusum")
    return (
        _Chart(Severity.WARNING, "moving average", f"max(abs({ewma})) / max({ewma}_limit)", ewma, (), f"{ewma}_limit"),
        _Chart(
            Severity.CRITICAL,
            "cumulative sum",
            f"max({cusum}) / max({cusum}_limit)",
            cusum,
            (("side", "upper"),),
            f"{cusum}_limit",
        ),
    )


def _charts(spec: Spec, contract: Contract) -> Signal:
    ewma, cusum = _charts_of(contract)
    sums, limit = contract.name("concept_cusum"), f"max({cusum.limit})"
    upper, lower = (f'max({sums}{{side="{side}"}}) / {limit}' for side in ("upper", "lower"))
    high, low = (
        ("more are wrong", "fewer are wrong") if spec.has_classes else ("predictions too high", "predictions too low")
    )
    alerts = [alert(spec, contract, chart) for chart in (ewma, cusum) for alert in (_concept_alert, _harm_alert)]
    return _panel(
        id="concept_charts",
        title="Control charts of the gap, as a share of their limits",
        description="Moving average (EWMA) and cumulative sums (CUSUM) of the standardised gap, as a share of "
        "their limits. Normal: below 1. The moving average detects large shifts and warns; a cumulative sum "
        "detects small ones that last, and pages. Above 1, predictions miss the outcomes: see the drift type for "
        "what to do.",
        decimals=2,
        queries=(
            Query(ewma.expression, "EWMA, either side"),
            Query(upper, f"CUSUM, {high}"),
            Query(lower, f"CUSUM, {low}"),
        ),
        place=Place.DETAIL,
        levels=(Level(Severity.CRITICAL, _AT_THE_LIMIT),),
        empty="No charts yet: they need a baseline of windows with outcomes. See the status in the next panel.",
        alerts=tuple(alerts),
    )


_OF_THE_RELATION = (DriftKind.CONCEPT, DriftKind.LABEL, DriftKind.UNKNOWN)
"""A gap of unknown kind does the same harm: that inputs or scores could not be compared silences nobody."""
_OF_INPUTS_OR_MODEL = (DriftKind.COVARIATE, DriftKind.PREDICTION)


def _concept_alert(spec: Spec, contract: Contract, chart: _Chart) -> Alert:
    return _alert(
        spec,
        contract,
        chart,
        "MLConceptDrift",
        _OF_THE_RELATION,
        "Outcomes moved away from the predictions, and no drift of inputs or scores is known that explains it.",
    )


def _harm_alert(spec: Spec, contract: Contract, chart: _Chart) -> Alert:
    return _alert(
        spec,
        contract,
        chart,
        "MLHarmfulDrift",
        _OF_INPUTS_OR_MODEL,
        "Inputs or scores drifted, and predictions moved away from the outcomes.",
    )


def _alert(
    spec: Spec, contract: Contract, chart: _Chart, name: str, kinds: tuple[DriftKind, ...], summary: str
) -> Alert:
    kind = contract.name("drift_type")

    def scenario(value: float, found: DriftKind = kinds[0]) -> Scenario:
        inputs = (
            Input(chart.statistic, dict(chart.labels), value),
            Input(chart.limit, {}, 1),
            Input(contract.name("concept_gap"), {}, 0.0625),
            Input(contract.name("concept_gap_expected"), {}, 0.0125),
            *(Input(kind, {"type": other}, float(other is found)) for other in kinds),
        )
        return Scenario(inputs)

    return Alert(
        name=name,
        severity=chart.severity,
        expression=chart.expression,
        threshold=_AT_THE_LIMIT,
        gate=f"and max({matching(kind, one_of('type', kinds))}) == 1",
        gated=lambda value: scenario(value, DriftKind.NONE),
        summary=summary,
        description=text(
            f"Predictions of {spec.title} miss their outcomes: the {chart.title} of the gap is at ",
            Value(Format.NUMBER),
            " times its limit.",
            _found(contract, "concept_gap", f" {_gap_title(contract)}: "),
            _found(contract, "concept_gap_expected", " Expected: "),
            drift_kind_text(contract),
            *(_advice(contract, one) for one in kinds),
        ),
        timing=spec.alerts.concept_drift,
        scenario=scenario,
    )


def _found(contract: Contract, family: str, words: str) -> Found:
    return Found(contract.name(family), (), {}, (Literal(words), FoundValue(Format.NUMBER), Literal(".")))


_ADVICE = {
    DriftKind.CONCEPT: " Retrain on recent data.",
    DriftKind.LABEL: " Recalibrate the scores to the new rate of outcomes.",
    DriftKind.UNKNOWN: " Find out why inputs or scores cannot be compared: it is open whether the model or the world changed.",
    DriftKind.COVARIATE: " Fix the inputs if they are broken; otherwise retrain on the new population.",
    DriftKind.PREDICTION: " Investigate the model; roll it back if it is new.",
}


def _advice(contract: Contract, kind: DriftKind) -> Found:
    return Found(contract.name("drift_type"), (), {"type": kind.value}, (Literal(_ADVICE[kind]),), above=0)


def _status(spec: Spec, contract: Contract) -> Signal:
    metric = contract.name("concept_status")
    refused = {"status": ConceptStatus.REFUSED.value}
    unwatched = one_of("status", [ConceptStatus.REFUSED, ConceptStatus.STALLED])
    alert = Alert(
        name="MLConceptUnwatched",
        severity=Severity.WARNING,
        expression=f"max by (status) ({matching(metric, unwatched)})",
        threshold=0,
        resolution=1,
        summary="The gap between predictions and outcomes has no baseline, so concept drift goes undetected.",
        description=text(
            f"The first windows of the active reference of {spec.title} cannot serve as a baseline of the gap, or no "
            "window could be used for a time: inputs or scores drift, or outcomes are too few. The window's report says "
            "why, and what to do."
        ),
        timing=spec.alerts.monitoring,
        scenario=lambda value: Scenario((Input(metric, refused, value),), refused),
    )
    return _panel(
        id="concept_status",
        title="Concept drift monitoring",
        description="Status of the watch on the gap between predictions and outcomes. Normal: ok. Learning: the "
        "baseline of the active reference is still being collected. Stalled: no window could be used for a time, "
        "because inputs or scores drift while it learns, or outcomes are too few. No outcomes: too few predictions have one. "
        "Refused: the baseline is unusable, and the report says why.",
        queries=(Query(f"max by (status) ({metric}) == 1", instant=True),),
        view=View.TABLE,
        width=6,
        place=Place.DETAIL,
        height=6,
        alerts=(alert,),
    )


def _baseline(contract: Contract) -> Signal:
    return _panel(
        id="concept_baseline",
        title="Windows in the baseline",
        description="Windows that the control charts learned from: intervals of the training data, 0 where these have no "
        "time; without predictions and outcomes in the training data, the first windows of the log.",
        unit="short",
        queries=(Query(f"max({contract.name('concept_baseline_windows')})", instant=True),),
        view=View.STAT,
        width=6,
        place=Place.DETAIL,
        height=6,
    )
