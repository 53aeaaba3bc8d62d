"""The model layer once outcomes are known: the feedback itself, how often each outcome happens, and performance."""

from collections.abc import Iterator

from mlvitals.generator.contract import PERFORMANCE_FIGURES, Contract, Rejection
from mlvitals.generator.promql import selector
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
from mlvitals.generator.signals.text import Format, Found, FoundValue, LabelOf, Literal, Piece, Value, text, threshold
from mlvitals.generator.spec.durations import seconds
from mlvitals.generator.spec.model import AlertPolicy, Outcome, OutcomeKind, Severity, Spec

_WEEK = "7d"
_REASON, _FIGURE, _PERCENTILE = "reason", "figure", "percentile"
_LOSS = {
    OutcomeKind.BINARY: "of the reference's AUC above chance is lost",
    OutcomeKind.CONTINUOUS: "is what the mean absolute error rose by, relative to the reference,",
    OutcomeKind.RANKING: "of the reference's NDCG is lost",
}


def outcome_signals(spec: Spec, contract: Contract) -> Iterator[Signal]:
    """The signals of outcomes, for a spec that has a prediction_log.outcome."""
    outcome = spec.prediction_log.outcome
    if outcome is None:
        return
    yield _feedback(spec, contract, outcome)
    if outcome.timestamp is not None:
        yield _delay(spec, contract, outcome)
    yield _rejected(spec, contract)
    yield _readable(spec, contract)
    yield _observed(contract, outcome)
    yield _shift(spec, contract, outcome)
    yield _gap(contract)
    yield _performance(contract, outcome)
    yield _loss(spec, contract, outcome)
    if outcome.kind is OutcomeKind.BINARY:
        yield _estimated(contract)


# ---------------------------------------------------------------- feedback


def _feedback(spec: Spec, contract: Contract, outcome: Outcome) -> Signal:
    rate, expected = contract.name("feedback_rate"), contract.name("feedback_expected_rate")
    fall = contract.name("feedback_fall")
    alerts = (*_fall_alerts(spec, contract), *_week_alerts(spec, contract, outcome))
    return Signal(
        id="feedback_rate",
        layer=Layer.MODEL,
        title="Feedback rate",
        description=f"Share of the predictions older than {outcome.max_delay} that received an outcome in time, with what "
        "is normal and how far below it the rate is. Normal: near the dashed line. A fall is a logging failure before it "
        "is anything else: look at the job that brings outcomes, then at the ids.",
        unit="percentunit",
        queries=(
            Query(f"max({rate})", "Feedback rate"),
            Query(f"max({expected})", "Expected", dimmed=True),
            Query(f"max({fall})", "Fall below expected", dimmed=True),
        ),
        incident=Incident.MONITORING,
        view=View.STEPS,
        width=8,
        height=7,
        empty="No mature predictions: outcomes are looked at once they had their maximal delay to come.",
        alerts=tuple(alerts),
    )


def _fall_alerts(spec: Spec, contract: Contract) -> Iterator[Alert]:
    fall, rate = contract.name("feedback_fall"), contract.name("feedback_rate")
    for level in levels(spec.alerts.feedback_rate):
        yield _beyond_noise(
            fall,
            spec.alerts.feedback_rate,
            level,
            name="MLFeedbackRateFall",
            summary="Fewer predictions receive an outcome than normally.",
            found=(
                "Outcomes of ",
                spec.title,
                " are ",
                Value(Format.PERCENT),
                " fewer than expected",
                Found(
                    rate, (), {}, (Literal(": "), FoundValue(Format.PERCENT), Literal(" of the predictions have one"))
                ),
            ),
            inputs=(Input(rate, {}, 0.4),),
        )


def _week_alerts(spec: Spec, contract: Contract, outcome: Outcome) -> Iterator[Alert]:
    """Where no rate is expected, the same window of the week before says what is normal."""
    rate, upper = contract.name("feedback_rate"), contract.name("feedback_rate_upper_bound")
    predictions, expected = contract.name("feedback_predictions"), contract.name("feedback_expected_rate")
    before, change = f"max({rate} offset {_WEEK})", seconds(_WEEK)
    enough = f"max({predictions}) >= {outcome.minimum_rows}"
    rows = Input(predictions, {}, 10 * outcome.minimum_rows)

    def scenario(value: float) -> Scenario:
        now = Input(rate, {}, 1, change=(change, 1 - value))
        return Scenario((now, Input(upper, {}, 1, change=(change, 1 - 0.99 * value)), rows))

    def expected_elsewhere(value: float) -> Scenario:
        return Scenario((*scenario(value).inputs, Input(expected, {}, 0.9)))

    for level in levels(spec.alerts.feedback_rate):
        yield Alert(
            name="MLFeedbackRateFall",
            severity=level.severity,
            expression=f"1 - max({rate}) / ({before} > 0)",
            comparison=">",
            threshold=level.value,
            gate=f"and max({upper}) < {before}\n  and {enough}\n  unless max({expected})",
            gated=expected_elsewhere,
            summary="Fewer predictions receive an outcome than normally.",
            description=text(
                f"Outcomes of {spec.title} are ",
                Value(Format.PERCENT),
                f" fewer than a week ago, above the {level.severity} threshold {threshold(level.value, Format.PERCENT)}.",
            ),
            timing=spec.alerts.feedback_rate,
            scenario=scenario,
            format=Format.PERCENT,
            labels=(("compared_with", "week_before"),),
        )


def _delay(spec: Spec, contract: Contract, outcome: Outcome) -> Signal:
    metric, policy = contract.name("feedback_delay_seconds"), spec.alerts.feedback_delay
    labels, longest = {_PERCENTILE: "95"}, seconds(outcome.max_delay)
    in_seconds = [Level(level.severity, level.value * longest) for level in levels(policy)]

    def alert(level: Level) -> Alert:
        return Alert(
            name="MLFeedbackDelay",
            severity=level.severity,
            expression=f"max({selector(metric, **labels)})",
            comparison=">",
            threshold=level.value,
            summary="Outcomes come so late that some may miss their maximal delay.",
            description=text(
                f"Outcomes of {spec.title}: 95 % come within ",
                Value(Format.DURATION),
                f", above the {level.severity} threshold {threshold(level.value, Format.DURATION)}; those later than "
                f"{outcome.max_delay} do not count.",
            ),
            timing=policy,
            scenario=lambda value: Scenario((Input(metric, labels, value),)),
            format=Format.DURATION,
        )

    return Signal(
        id="feedback_delay",
        layer=Layer.MODEL,
        title="Feedback delay",
        description="Time from a prediction to its outcome, half of them and 95 % of them. Normal: steady, and well below "
        f"the maximal delay of {outcome.max_delay}. A rise is a slow pipeline of outcomes.",
        unit="s",
        queries=(Query(f"max by ({_PERCENTILE}) ({metric})", f"p{{{{{_PERCENTILE}}}}}"),),
        incident=Incident.MONITORING,
        view=View.STEPS,
        width=8,
        place=Place.DETAIL,
        height=7,
        levels=tuple(in_seconds),
        alerts=tuple(alert(level) for level in in_seconds),
    )


def _rejected(spec: Spec, contract: Contract) -> Signal:
    metric, policy = contract.name("feedback_rejected_ratio"), spec.alerts.feedback_rejected
    labels = {_REASON: Rejection.EARLY.value}

    def alert(level: Level) -> Alert:
        return Alert(
            name="MLFeedbackRejected",
            severity=level.severity,
            expression=f'max by ({_REASON}) ({metric}{{{_REASON}!="{Rejection.LATE}"}})',
            comparison=">",
            threshold=level.value,
            summary="Outcomes arrive that are of no use.",
            description=text(
                f"Outcomes of {spec.title}: ",
                Value(Format.PERCENT),
                " are of no use: ",
                LabelOf(_REASON),
                f". That is above the {level.severity} threshold {threshold(level.value, Format.PERCENT)}. Early ones come "
                "before their prediction: two clocks disagree. Orphans have an id that no prediction has. Invalid ones have "
                "a label of another type. Duplicates are sent twice.",
            ),
            timing=policy,
            scenario=lambda value: Scenario((Input(metric, labels, value),), labels),
            format=Format.PERCENT,
        )

    return Signal(
        id="feedback_rejected",
        layer=Layer.MODEL,
        title="Outcomes of no use",
        description="Share of the window's outcomes that do not count, by reason: early (before the prediction: the clocks "
        "disagree), late, duplicate, orphan (no such prediction), invalid (no label), untimed. Normal: near 0; late ones "
        "show in the delay and the feedback rate and raise no alert here.",
        unit="percentunit",
        queries=(Query(f"max by ({_REASON}) ({metric})", f"{{{{{_REASON}}}}}"),),
        incident=Incident.MONITORING,
        view=View.STEPS,
        width=8,
        place=Place.DETAIL,
        height=7,
        levels=levels(policy),
        alerts=tuple(alert(level) for level in levels(policy)),
    )


def _readable(spec: Spec, contract: Contract) -> Signal:
    metric, end = contract.name("feedback_files_unreadable"), contract.name("feedback_window_end_timestamp_seconds")
    predictions = contract.name("feedback_predictions")
    alert = Alert(
        name="MLFeedbackUnreadable",
        severity=Severity.WARNING,
        expression=f"max({metric})",
        comparison=">",
        threshold=0,
        resolution=1,
        summary="Outcomes or their predictions cannot be read, so the feedback figures miss some.",
        description=text(
            f"{spec.title}: ",
            Value(Format.NUMBER),
            " files of predictions or outcomes could not be read, or only in part; the window's report names them. A low "
            "feedback rate may be no more than this.",
        ),
        timing=spec.alerts.monitoring,
        scenario=lambda value: Scenario((Input(metric, {}, value),)),
    )
    return Signal(
        id="feedback_window",
        layer=Layer.MODEL,
        title="Mature window",
        description="The newest window whose outcomes are all in: its end, its predictions, and the files that could not be "
        "read. Normal: the end follows the clock at the maximal delay, and no file is unreadable.",
        unit="none",
        decimals=0,
        queries=(
            Query(f"max({predictions})", "Predictions", instant=True),
            Query(f"max({metric})", "Unreadable files", instant=True),
            Query(f"(time() - max({end})) / 3600", "Hours since its end", instant=True),
        ),
        incident=Incident.MONITORING,
        view=View.STAT,
        width=8,
        place=Place.DETAIL,
        height=7,
        alerts=(alert,),
    )


# ---------------------------------------------------------------- labels


def _observed(contract: Contract, outcome: Outcome) -> Signal:
    mean = contract.name("outcome_mean")
    return Signal(
        id="outcome_mean",
        layer=Layer.MODEL,
        title="Outcomes and predictions",
        description="Mean outcome of the mature window with its 95 % interval, the mean of the predictions that it answers, "
        "and the reference. Normal: all close together. Outcomes that leave the predictions are concept drift; both "
        "leaving the reference is another population.",
        unit="percentunit" if outcome.kind is OutcomeKind.BINARY else "none",
        queries=(
            Query(f"max({mean})", "Observed"),
            Query(f"max({contract.name('outcome_predicted_mean')})", "Predicted"),
            Query(f"max({contract.name('outcome_reference_mean')})", "Reference", dimmed=True),
            Query(f"max({mean}_lower_bound)", "95 % from", dimmed=True),
            Query(f"max({mean}_upper_bound)", "95 % to", dimmed=True),
        ),
        incident=Incident.PREDICTION_DRIFT,
        view=View.STEPS,
        width=8,
        place=Place.DETAIL,
        height=7,
        minimum=0 if outcome.kind is OutcomeKind.BINARY else None,
    )


def _shift(spec: Spec, contract: Contract, outcome: Outcome) -> Signal:
    metric, policy = contract.name("outcome_shift"), spec.alerts.label_shift
    binary = outcome.kind is OutcomeKind.BINARY
    form = Format.PERCENT if binary else Format.NUMBER
    unit = "" if binary else " standard deviations of the reference"

    def alert(level: Level) -> Alert:
        return _beyond_noise(
            metric,
            policy,
            level,
            name="MLLabelDrift",
            summary="Outcomes happen more or less often than in the reference.",
            found=(f"The mean outcome of {spec.title} is ", Value(form), f"{unit} away from the reference"),
            expression=f"abs(max({metric}))",
            form=form,
        )

    return Signal(
        id="label_drift",
        layer=Layer.MODEL,
        title="Label drift",
        description=(
            "Share of positive outcomes relative to the reference, less 1. "
            if binary
            else "Mean outcome less the reference's, in standard deviations of the reference. "
        )
        + "Normal: near 0. An alert also needs it to exceed its own noise. Where the outcomes are right, recalibrate.",
        unit="percentunit" if binary else "none",
        queries=(
            Query(f"max({metric})", "Shift"),
            Query(f"max({metric}_critical_value)", "Noise floor", dimmed=True),
        ),
        incident=Incident.PREDICTION_DRIFT,
        view=View.STEPS,
        width=8,
        height=7,
        minimum=None,
        levels=levels(policy),
        alerts=tuple(alert(level) for level in levels(policy)),
    )


def _gap(contract: Contract) -> Signal:
    gap = contract.name("outcome_gap")
    return Signal(
        id="outcome_gap",
        layer=Layer.MODEL,
        title="Prediction-outcome gap",
        description="Mean of prediction less outcome, with its standard error. Normal: as in the reference, give or take "
        "three standard errors. A gap that stays is concept drift or a model that is out of scale.",
        unit="none",
        decimals=3,
        queries=(Query(f"max({gap})", "Gap"), Query(f"max({gap}_error)", "Standard error", dimmed=True)),
        incident=Incident.PREDICTION_DRIFT,
        view=View.STEPS,
        width=8,
        place=Place.DETAIL,
        height=7,
        minimum=None,
    )


# ---------------------------------------------------------------- performance


def _performance(contract: Contract, outcome: Outcome) -> Signal:
    metric, compared = contract.name("performance"), "of the reference"
    figures = tuple(figure.name for figure in PERFORMANCE_FIGURES[outcome.kind])
    return Signal(
        id="performance",
        layer=Layer.MODEL,
        title="Performance",
        description=f"Measured on the predictions whose outcome is known: {', '.join(figures)}; beside each its "
        "value in the reference. Normal: close to it; that of training rows is better than any window will be.",
        unit="none",
        decimals=3,
        queries=(
            Query(f"max by ({_FIGURE}) ({metric})", f"{{{{{_FIGURE}}}}}"),
            Query(
                f"max by ({_FIGURE}) ({metric}_reference)",
                f"{{{{{_FIGURE}}}}} {compared}",
                dimmed=True,
                names=tuple(f"{figure} {compared}" for figure in figures),
            ),
        ),
        incident=Incident.PREDICTION_DRIFT,
        view=View.STEPS,
        width=12,
        minimum=None,
        empty="No outcomes of mature predictions yet.",
    )


def _loss(spec: Spec, contract: Contract, outcome: Outcome) -> Signal:
    metric, policy = contract.name("performance_loss"), spec.alerts.performance_loss

    def alert(level: Level) -> Alert:
        return _beyond_noise(
            metric,
            policy,
            level,
            name="MLPerformanceLoss",
            summary="The model is worse than in the reference.",
            found=(f"Performance of {spec.title}: ", Value(Format.PERCENT), f" {_LOSS[outcome.kind]}"),
        )

    return Signal(
        id="performance_loss",
        layer=Layer.MODEL,
        title="Performance lost",
        description="How much of the reference's quality is gone: of the AUC above chance, of the NDCG, or the relative rise "
        "of the mean absolute error, with its noise floor. Normal: near 0, below the first line. Above: see whether inputs "
        "drift (covariate), the gap opens (concept), or outcomes became rarer (label).",
        unit="percentunit",
        queries=(
            Query(f"max({metric})", "Lost"),
            Query(f"max({metric}_critical_value)", "Noise floor", dimmed=True),
        ),
        incident=Incident.PREDICTION_DRIFT,
        view=View.STEPS,
        width=12,
        minimum=None,
        levels=levels(policy),
        alerts=tuple(alert(level) for level in levels(policy)),
    )


def _estimated(contract: Contract) -> Signal:
    metric = contract.name("performance_estimated")
    return Signal(
        id="performance_estimated",
        layer=Layer.MODEL,
        title="Estimated performance (no outcomes yet)",
        description="An estimate, not a measurement: what the last window's scores promise if they are calibrated. It moves "
        "with the inputs and is blind to concept drift. Compare it with the measured figures a maximal delay later.",
        unit="none",
        decimals=3,
        queries=(Query(f"max by ({_FIGURE}) ({metric})", f"estimated {{{{{_FIGURE}}}}}"),),
        incident=Incident.PREDICTION_DRIFT,
        view=View.STEPS,
        width=6,
        place=Place.DETAIL,
        maximum=1,
        empty="No estimate: scores are not calibrated probabilities, or too few. The window's report says why.",
    )


# ---------------------------------------------------------------- alerts beyond noise


def _beyond_noise(
    metric: str,
    policy: AlertPolicy,
    level: Level,
    *,
    name: str,
    summary: str,
    found: tuple[Piece | str, ...],
    expression: str | None = None,
    form: Format = Format.PERCENT,
    inputs: tuple[Input, ...] = (),
) -> Alert:
    """An alert on a figure that must exceed both its threshold and its own noise."""
    noise, compared = f"{metric}_critical_value", expression or f"max({metric})"

    def scenario(value: float, quiet: float = 0.001) -> Scenario:
        return Scenario((Input(metric, {}, value), Input(noise, {}, quiet), *inputs))

    return Alert(
        name=name,
        severity=level.severity,
        expression=compared,
        comparison=">",
        threshold=level.value,
        gate=f"and {compared} > max({noise})",
        gated=lambda value: scenario(value, quiet=2 * value),
        summary=summary,
        description=text(*found, f", above the {level.severity} threshold {threshold(level.value, form)}."),
        timing=policy,
        scenario=scenario,
        format=form,
    )
