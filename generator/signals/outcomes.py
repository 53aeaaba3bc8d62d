"""The model layer once outcomes are known: feedback, outcome rates and performance."""

from collections.abc import Iterator
from functools import partial

from msgspec.structs import replace

from mlvitals.generator.contract import PERFORMANCE_FIGURES, Contract, Rejection
from mlvitals.generator.promql import selector
from mlvitals.generator.signals.building import at_levels, beyond_noise, unreadable, with_noise
from mlvitals.generator.signals.classes import class_signals
from mlvitals.generator.signals.signal import (
    Alert,
    Incident,
    Input,
    Layer,
    Place,
    Query,
    Scenario,
    Signal,
    View,
    levels,
)
from mlvitals.generator.signals.text import Format, Found, FoundValue, LabelOf, Literal, Value
from mlvitals.generator.spec.durations import seconds
from mlvitals.generator.spec.model import AlertPolicy, Outcome, OutcomeKind, Spec

_WEEK = "7d"
_REASON, _FIGURE, _PERCENTILE = "reason", "figure", "percentile"
_LOSS = {
    OutcomeKind.BINARY: "of the reference's AUC above chance is lost",
    OutcomeKind.MULTICLASS: "of the reference's mean recall of the classes above chance is lost",
    OutcomeKind.CONTINUOUS: "is the rise of the mean absolute error relative to the reference",
    OutcomeKind.RANKING: "of the reference's NDCG is lost",
}
_MEAN_SHIFT = "Mean outcome minus the reference's, in standard deviations of the reference. "
_SHIFT = {
    OutcomeKind.BINARY: "Relative change of the share of positive outcomes against the reference. ",
    OutcomeKind.MULTICLASS: "Population stability index of the shares of the classes among the outcomes against the "
    "reference. ",
    OutcomeKind.CONTINUOUS: _MEAN_SHIFT,
    OutcomeKind.RANKING: _MEAN_SHIFT,
}
_panel = partial(Signal, layer=Layer.MODEL, view=View.STEPS, width=8, height=7)
_feedback_panel = partial(_panel, incident=Incident.MONITORING)
_drift_panel = partial(_panel, incident=Incident.PREDICTION_DRIFT)


def outcome_signals(spec: Spec, contract: Contract) -> Iterator[Signal]:
    """Yield the signals of outcomes, for a spec that has a prediction_log.outcome."""
    outcome = spec.prediction_log.outcome
    if outcome is None:
        return
    yield _feedback(spec, contract, outcome)
    if outcome.timestamp is not None:
        yield _delay(spec, contract, outcome)
    yield _rejected(spec, contract)
    yield _readable(spec, contract)
    of_classes = outcome.kind is OutcomeKind.MULTICLASS
    if not of_classes:
        yield _observed(contract, outcome)
    yield _shift(spec, contract, outcome)
    yield _gap(contract)
    yield _performance(contract, outcome)
    yield _loss(spec, contract, outcome)
    if of_classes:
        yield from class_signals(spec, contract)
    if outcome.kind is OutcomeKind.BINARY or outcome.probabilities:
        yield _estimated(contract)


# ---------------------------------------------------------------- feedback


def _feedback(spec: Spec, contract: Contract, outcome: Outcome) -> Signal:
    rate, expected = contract.name("feedback_rate"), contract.name("feedback_expected_rate")
    fall = contract.name("feedback_fall")
    return _feedback_panel(
        id="feedback_rate",
        title="Feedback rate",
        description=f"Share of the predictions older than {outcome.max_delay} that received an outcome in time, the "
        "expected rate, and how far the rate is below it. Normal: near the dashed line. Treat a fall as a logging "
        "failure first: check the job that delivers outcomes, then the ids.",
        unit="percentunit",
        queries=(
            Query(f"max({rate})", "Feedback rate"),
            Query(f"max({expected})", "Expected", dimmed=True),
            Query(f"max({fall})", "Fall below expected", dimmed=True),
        ),
        empty="No mature predictions: outcomes are evaluated once their maximum delay has passed.",
        alerts=(*_fall_alerts(spec, contract), *_week_alerts(spec, contract, outcome)),
    )


def _fall_alerts(spec: Spec, contract: Contract) -> tuple[Alert, ...]:
    rate = contract.name("feedback_rate")
    known = (Literal(": "), FoundValue(Format.PERCENT), Literal(" of the predictions have one"))
    return beyond_noise(
        spec.alerts.feedback_rate,
        contract.name("feedback_fall"),
        name="MLFeedbackRateFall",
        summary="Fewer predictions than usual receive an outcome.",
        describe=lambda exceeds: (
            f"Outcomes of {spec.title} are ",
            Value(Format.PERCENT),
            " fewer than expected",
            Found(rate, (), {}, known),
            f", {exceeds}.",
        ),
        form=Format.PERCENT,
        context=(Input(rate, {}, 0.4),),
    )


def _week_alerts(spec: Spec, contract: Contract, outcome: Outcome) -> tuple[Alert, ...]:
    """Return alerts for when no expected rate is known: the same window of the week before is the baseline."""
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

    return at_levels(
        spec.alerts.feedback_rate,
        name="MLFeedbackRateFall",
        expression=f"1 - max({rate}) / ({before} > 0)",
        gate=f"and max({upper}) < {before}\n  and {enough}\n  unless max({expected})",
        gated=expected_elsewhere,
        summary="Fewer predictions than usual receive an outcome.",
        describe=lambda exceeds: (
            f"Outcomes of {spec.title} are ",
            Value(Format.PERCENT),
            f" fewer than a week ago, {exceeds}.",
        ),
        scenario=scenario,
        form=Format.PERCENT,
        labels=(("compared_with", "week_before"),),
    )


def _delay(spec: Spec, contract: Contract, outcome: Outcome) -> Signal:
    metric, labels = contract.name("feedback_delay_seconds"), {_PERCENTILE: "95"}
    policy = _times(spec.alerts.feedback_delay, seconds(outcome.max_delay))
    return _feedback_panel(
        id="feedback_delay",
        title="Feedback delay",
        description="Time from a prediction to its outcome: median and 95th percentile. Normal: steady, and well "
        f"below the maximum delay of {outcome.max_delay}. A rise is a slow outcome pipeline.",
        unit="s",
        queries=(Query(f"max by ({_PERCENTILE}) ({metric})", f"p{{{{{_PERCENTILE}}}}}"),),
        place=Place.DETAIL,
        levels=levels(policy),
        alerts=at_levels(
            policy,
            name="MLFeedbackDelay",
            expression=f"max({selector(metric, **labels)})",
            summary="Outcomes arrive so late that some may exceed their maximum delay.",
            describe=lambda exceeds: (
                f"Outcomes of {spec.title}: 95% arrive within ",
                Value(Format.DURATION),
                f", {exceeds}; those later than {outcome.max_delay} do not count.",
            ),
            scenario=lambda value: Scenario((Input(metric, labels, value),)),
            form=Format.DURATION,
            policy_name="feedback_delay",
        ),
    )


def _times(policy: AlertPolicy, whole: float) -> AlertPolicy:
    """Convert a policy whose levels are shares of a whole into one with levels in the unit of the whole."""
    shares = {"info": policy.info, "warning": policy.warning, "critical": policy.critical}
    return replace(policy, **{name: share * whole for name, share in shares.items() if share is not None})


def _rejected(spec: Spec, contract: Contract) -> Signal:
    metric, policy = contract.name("feedback_rejected_ratio"), spec.alerts.feedback_rejected
    labels = {_REASON: Rejection.EARLY.value}
    return _feedback_panel(
        id="feedback_rejected",
        title="Rejected outcomes",
        description="Share of the window's outcomes that were rejected, by reason: early (before the prediction: "
        "two clocks disagree), late, duplicate, orphan (no such prediction), invalid (no label), untimed. Normal: "
        "near 0; late ones show in the delay and the feedback rate and raise no alert here.",
        unit="percentunit",
        queries=(Query(f"max by ({_REASON}) ({metric})", f"{{{{{_REASON}}}}}"),),
        place=Place.DETAIL,
        levels=levels(policy),
        alerts=at_levels(
            policy,
            name="MLFeedbackRejected",
            expression=f'max by ({_REASON}) ({metric}{{{_REASON}!="{Rejection.LATE}"}})',
            summary="Some outcomes were rejected.",
            describe=lambda exceeds: (
                f"Outcomes of {spec.title}: ",
                Value(Format.PERCENT),
                " were rejected: ",
                LabelOf(_REASON),
                f". That is {exceeds}. Early outcomes precede their prediction: two clocks disagree. Orphans have "
                "an id that no prediction has. Invalid ones have a label of the wrong type. Duplicates were sent "
                "twice.",
            ),
            scenario=lambda value: Scenario((Input(metric, labels, value),), labels),
            form=Format.PERCENT,
        ),
    )


def _readable(spec: Spec, contract: Contract) -> Signal:
    metric, end = contract.name("feedback_files_unreadable"), contract.name("feedback_window_end_timestamp_seconds")
    predictions = contract.name("feedback_predictions")
    alert = unreadable(
        metric,
        "MLFeedbackUnreadable",
        spec.alerts.monitoring,
        "Outcomes or their predictions cannot be read in full, so the feedback metrics are incomplete.",
        f"{spec.title}: ",
        Value(Format.NUMBER),
        " files of predictions or outcomes could not be read in full; the window's report names them. This "
        "alone may explain a low feedback rate.",
    )
    return _feedback_panel(
        id="feedback_window",
        title="Mature window",
        description="The newest window whose outcomes have all arrived: its end, its predictions, and the files "
        "that could not be read. Normal: the end trails the clock by the maximum delay, and no file is unreadable.",
        unit="none",
        decimals=0,
        queries=(
            Query(f"max({predictions})", "Predictions", instant=True),
            Query(f"max({metric})", "Unreadable files", instant=True),
            Query(f"(time() - max({end})) / 3600", "Hours since its end", instant=True),
        ),
        view=View.STAT,
        place=Place.DETAIL,
        alerts=(alert,),
    )


# ---------------------------------------------------------------- labels


def _observed(contract: Contract, outcome: Outcome) -> Signal:
    mean, binary = contract.name("outcome_mean"), outcome.kind is OutcomeKind.BINARY
    return _drift_panel(
        id="outcome_mean",
        title="Outcomes and predictions",
        description="Mean outcome of the mature window with its 95% interval, the mean of the matching "
        "predictions, and the reference. Normal: all close together. Outcomes that move away from the predictions "
        "are concept drift; both moving away from the reference is a different population.",
        unit="percentunit" if binary else "none",
        queries=(
            Query(f"max({mean})", "Observed"),
            Query(f"max({contract.name('outcome_predicted_mean')})", "Predicted"),
            Query(f"max({contract.name('outcome_reference_mean')})", "Reference", dimmed=True),
            Query(f"max({mean}_lower_bound)", "95% interval, lower end", dimmed=True),
            Query(f"max({mean}_upper_bound)", "95% interval, upper end", dimmed=True),
        ),
        place=Place.DETAIL,
        minimum=0 if binary else None,
    )


def _shift(spec: Spec, contract: Contract, outcome: Outcome) -> Signal:
    metric, policy = contract.name("outcome_shift"), spec.alerts.label_shift
    binary, of_classes = outcome.kind is OutcomeKind.BINARY, outcome.kind is OutcomeKind.MULTICLASS
    form = Format.PERCENT if binary else Format.NUMBER
    unit = "" if binary else " standard deviations of the reference"
    return _drift_panel(
        id="label_drift",
        title="Label drift",
        description=_SHIFT[outcome.kind]
        + "Normal: near 0. An alert also requires it to exceed its own noise floor. If the outcomes are right, "
        "recalibrate.",
        unit="percentunit" if binary else "none",
        queries=with_noise(metric, "Shift"),
        minimum=None,
        levels=levels(policy),
        alerts=beyond_noise(
            policy,
            metric,
            name="MLLabelDrift",
            summary="The mix of classes among the outcomes has moved away from the reference."
            if of_classes
            else "The mean outcome has moved away from the reference.",
            describe=lambda exceeds: (
                (
                    f"The classes of the outcomes of {spec.title} have a PSI of ",
                    Value(form),
                    f" against the reference, {exceeds}.",
                )
                if of_classes
                else (
                    f"The mean outcome of {spec.title} is ",
                    Value(form),
                    f"{unit} away from the reference, {exceeds}.",
                )
            ),
            expression=f"abs(max({metric}))",
            form=form,
        ),
    )


def _gap(contract: Contract) -> Signal:
    gap = contract.name("outcome_gap")
    gap_of = "Share of wrong predictions" if contract.spec.has_classes else "Mean of prediction minus outcome"
    return _drift_panel(
        id="outcome_gap",
        title="Prediction-outcome gap",
        description=f"{gap_of}, with its standard error. Normal: as in the reference, give "
        "or take three standard errors. A lasting gap is concept drift or a badly calibrated model.",
        unit="none",
        decimals=3,
        queries=(Query(f"max({gap})", "Gap"), Query(f"max({gap}_error)", "Standard error", dimmed=True)),
        place=Place.DETAIL,
        minimum=None,
    )


# ---------------------------------------------------------------- performance


def _performance(contract: Contract, outcome: Outcome) -> Signal:
    metric, compared = contract.name("performance"), "of the reference"
    figures = tuple(figure.name for figure in PERFORMANCE_FIGURES[outcome.kind])
    return _drift_panel(
        id="performance",
        title="Performance",
        description=f"Measured on the predictions whose outcome is known: {', '.join(figures)}; each with its value "
        "in the reference. Normal: close to it. A reference built from training rows is better than any window "
        "will be.",
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
        width=12,
        height=8,
        minimum=None,
        empty="No outcomes of mature predictions yet.",
    )


def _loss(spec: Spec, contract: Contract, outcome: Outcome) -> Signal:
    metric, policy = contract.name("performance_loss"), spec.alerts.performance_loss
    return _drift_panel(
        id="performance_loss",
        title="Performance lost",
        description="Performance lost since the reference: share of the AUC above chance, of the NDCG, or of the mean "
        "recall of the classes above chance, or relative rise of the mean absolute error, with its noise floor. Normal: "
        "near 0, below the first line. "
        "Above it: see whether inputs drift (covariate), the gap widens (concept), or outcomes became rarer "
        "(label).",
        unit="percentunit",
        queries=with_noise(metric, "Lost"),
        width=12,
        height=8,
        minimum=None,
        levels=levels(policy),
        alerts=beyond_noise(
            policy,
            metric,
            name="MLPerformanceLoss",
            summary="The model performs worse than in the reference.",
            describe=lambda exceeds: (
                f"Performance of {spec.title}: ",
                Value(Format.PERCENT),
                f" {_LOSS[outcome.kind]}, {exceeds}.",
            ),
            form=Format.PERCENT,
        ),
    )


def _estimated(contract: Contract) -> Signal:
    metric = contract.name("performance_estimated")
    return _drift_panel(
        id="performance_estimated",
        title="Estimated performance (no outcomes yet)",
        description="An estimate, not a measurement: the performance that the last window's scores imply if they "
        "are calibrated. It follows the inputs and cannot see concept drift. Compare it with the measured "
        "performance once the outcomes are known.",
        unit="none",
        decimals=3,
        queries=(Query(f"max by ({_FIGURE}) ({metric})", f"estimated {{{{{_FIGURE}}}}}"),),
        width=6,
        height=8,
        place=Place.DETAIL,
        maximum=1,
        empty="No estimate: the scores are not calibrated probabilities, or there are too few. The window's report "
        "says why.",
    )
