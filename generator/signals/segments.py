"""The model layer by segment: segments whose scores drift, and whose predictions miss their outcomes."""

from collections.abc import Iterator
from functools import partial

from mlvitals.generator.contract import SEGMENT_LABELS, Contract
from mlvitals.generator.signals.building import Ranking, beyond_noise
from mlvitals.generator.signals.signal import (
    THINNED,
    Alert,
    Incident,
    Input,
    Layer,
    Place,
    Query,
    Record,
    Signal,
    View,
    levels,
)
from mlvitals.generator.signals.text import Format, Found, FoundValue, LabelOf, Literal, Value
from mlvitals.generator.spec.model import AlertPolicy, Spec

SHOWN = 10
_BY = ", ".join(SEGMENT_LABELS)
_SEGMENT, _VALUE = SEGMENT_LABELS
_EXAMPLE = {_SEGMENT: "country", _VALUE: 'a "b" {{ c }} $d'}
_panel = partial(
    Signal,
    layer=Layer.MODEL,
    incident=Incident.PREDICTION_DRIFT,
    place=Place.DETAIL,
    unit="none",
    view=View.STEPS,
    width=8,
)


def segment_signals(spec: Spec) -> Iterator[Signal]:
    """Yield the signals of a spec with prediction_log.segments."""
    log, contract = spec.prediction_log, Contract(spec)
    if not log.segments:
        return
    if spec.score_type is not None:
        yield _scores(spec, contract)
    if spec.has_gap:
        yield _gaps(spec, contract)
    yield _table(spec, contract)


def _by_segment(expression: str) -> str:
    """Return PromQL for one series per segment, whichever instance of the exporter reported it."""
    return f"max by ({_BY}) ({expression})"


def _ranking(metric: str) -> Ranking:
    """Return the ranking of the worst segments, on either side of 0."""
    thinned = Record(f"{'_'.join(SEGMENT_LABELS)}:{metric}:max", _by_segment(metric), every=THINNED)
    return Ranking(thinned, "abs({series})", _BY, SHOWN)


def _scores(spec: Spec, contract: Contract) -> Signal:
    metric, policy = contract.name("segment_score_psi"), spec.alerts.segment_psi
    ranking = _ranking(metric)
    return _panel(
        id="segment_score_drift",
        title="Score drift by segment (PSI)",
        description="Population stability index of the scores of each segment against the same segment in the "
        "reference, or against all rows of the reference where it has too few of the segment. The worst are shown. "
        "Normal: below the line. Above it: compare with the score drift of all rows; one segment alone points to "
        "something specific to it, such as a release of one client.",
        decimals=3,
        queries=(ranking.query,),
        levels=levels(policy),
        records=ranking.records,
        empty="No segment has enough scores on both sides.",
        alerts=_alerts(
            contract,
            metric,
            policy,
            "MLSegmentScoreDrift",
            "The prediction scores of one segment have moved away from the reference.",
            ": score PSI ",
        ),
    )


def _gaps(spec: Spec, contract: Contract) -> Signal:
    metric, policy = contract.name("segment_gap_shift"), spec.alerts.segment_gap
    gap, unit = "Prediction minus outcome", "the reference's outcomes"
    if spec.has_classes:
        gap, unit = "The share of wrong predictions", "whether predictions of the reference are wrong"
    ranking = _ranking(metric)
    return _panel(
        id="segment_gap",
        title="Gap by segment",
        description=f"{gap} of each segment, compared with its value in the reference, in "
        f"standard deviations of {unit}. The worst are shown. Normal: near 0, within the line on "
        "either side. Beyond: the model misses the outcomes of this segment, which metrics over all rows may hide.",
        decimals=3,
        minimum=None,
        queries=(ranking.query,),
        levels=levels(policy),
        records=ranking.records,
        empty="No segment has enough outcomes, or the reference has none.",
        alerts=_alerts(
            contract,
            metric,
            policy,
            "MLSegmentGap",
            "Predictions miss the outcomes of one segment.",
            f": change of {gap[0].lower()}{gap[1:]} since the reference, in standard deviations of {unit}: ",
        ),
    )


def _alerts(
    contract: Contract, metric: str, policy: AlertPolicy, name: str, summary: str, said: str
) -> tuple[Alert, ...]:
    """Return alerts on a metric that must exceed both its threshold and its own noise, on either side of 0."""
    rows = contract.name("segment_rows")
    in_window = (Literal(" Rows in the window: "), FoundValue(Format.NUMBER), Literal("."))
    return beyond_noise(
        policy,
        metric,
        name=name,
        expression=_by_segment(f"abs({metric})"),
        summary=summary,
        describe=lambda exceeds: (
            f"{contract.spec.title}, ",
            LabelOf(_SEGMENT),
            " ",
            LabelOf(_VALUE),
            said,
            Value(Format.NUMBER),
            f", {exceeds}.",
            Found(rows, SEGMENT_LABELS, {}, in_window),
        ),
        context=(Input(rows, _EXAMPLE, 480),),
        by=_EXAMPLE,
    )


def _table(spec: Spec, contract: Contract) -> Signal:
    log = spec.prediction_log
    figures = {
        "segment_rows": "Rows",
        **({"segment_score_mean": "Score"} if log.score else {}),
        **({"segment_feedback_rate": "Feedback"} if log.outcome else {}),
        **({"segment_outcome_mean": "Outcome"} if log.outcome and not spec.has_classes else {}),
        **({"segment_gap": "Wrong" if spec.has_classes else "Gap"} if spec.has_gap else {}),
    }
    return _panel(
        id="segments",
        title="Segments",
        description="The last window by segment: rows, mean score, and the outcomes of the predictions of the "
        f"mature window. For each column {log.max_segments} values are kept; the rest count as other.",
        queries=tuple(
            Query(_by_segment(contract.name(short)), heading, instant=True) for short, heading in figures.items()
        ),
        view=View.TABLE,
        width=24,
    )
