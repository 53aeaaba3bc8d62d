"""Outcomes and the evidence of the kind of drift as people read them, on the terminal and on paper."""

from collections.abc import Callable, Iterator

from exporters.concept_report import Evidence
from exporters.drift_type import some_of
from exporters.outcome_report import EstimatedPerformance, Interval, OutcomeReport
from exporters.report_parts import Measure, Window
from exporters.wording import number, printable, sentence, share
from generator.spec.model import Severity

_WRITTEN = {"auc": "AUC", "mae": "MAE", "rmse": "RMSE", "ndcg": "NDCG", "brier": "Brier"}
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def span(window: Window) -> str:
    """A stretch of time: ``2026-03-02 11:00 to 12:00 UTC``, with the second day where it is another."""
    end = f"{window.end:%H:%M}" if window.end.date() == window.start.date() else f"{window.end:%Y-%m-%d %H:%M}"
    return f"{window.start:%Y-%m-%d %H:%M} to {end} UTC"


def delay(seconds: float) -> str:
    """A delay in the largest unit it fills: ``3.2 h``."""
    size, unit = next((pair for pair in _UNITS if seconds >= pair[0]), _UNITS[-1])
    return f"{seconds / size:.3g} {unit}"


def interval(found: Interval | None, written: Callable[[float], str]) -> str:
    """The two ends of an interval, or nothing."""
    return f"{written(found.low)} to {written(found.high)}" if found else ""


def figure_name(name: str) -> str:
    """A figure of performance as it is read: ``auc`` -> AUC, ``log_loss`` -> log loss, ``estimated_auc`` -> AUC."""
    words = name.removeprefix("estimated_").split("_")
    return printable(" ".join(_WRITTEN.get(word, word) for word in words))


def judged(what: str, found: Measure | None, written: Callable[[float], str]) -> str:
    """A judged figure: ``fall 8.0%, noise 3.0%, warning``; nothing where it is undefined."""
    if found is None:
        return ""
    verdict = f", {found.severity}" if found.severity else ""
    return f"{what} {written(found.value)}, noise {written(found.critical_value)}{verdict}"


def signed_share(ratio: float) -> str:
    """A share of 1 that may go both ways: 0.25 -> +25.0%."""
    return f"{ratio:+.1%}"


def counts_apart(outcomes: OutcomeReport) -> dict[str, int | None]:
    """How many outcomes were of no use, by reason; None where that cannot be told."""
    return {
        "late": outcomes.late,
        "early": outcomes.early,
        "duplicate": outcomes.duplicates,
        "orphan": outcomes.orphans,
        "invalid": outcomes.invalid,
        "untimed": outcomes.untimed,
    }


def outcome_lines(outcomes: OutcomeReport) -> list[tuple[str, Severity | None]]:
    """What there is to say of outcomes, a line each with how bad it is."""
    where = f"Outcomes of the predictions of {span(outcomes.window)}"
    if not outcomes.mature:
        return [(f"{where}: not mature, more may come.", None)]
    if outcomes.feedback_rate is None:
        missing = "none of their outcomes could be read" if outcomes.predictions else "there were no predictions"
        return [(f"{where}: {missing}.", None), *((line, None) for line in _counted(outcomes))]
    return [
        (f"{where}: {_feedback(outcomes)}", outcomes.feedback_fall.severity if outcomes.feedback_fall else None),
        *((line, None) for line in _counted(outcomes)),
        *_agreement(outcomes),
    ]


def _feedback(outcomes: OutcomeReport) -> str:
    expected = outcomes.expected_feedback_rate
    parts = (
        f"{outcomes.answered:,} of {outcomes.predictions:,}",
        _with_interval(share(outcomes.feedback_rate or 0.0), outcomes.feedback_interval, share),
        "" if expected is None else f"expected {share(expected)}",
        judged("fall", outcomes.feedback_fall, share),
    )
    return f"{', '.join(filter(None, parts))}."


def _counted(outcomes: OutcomeReport) -> Iterator[str]:
    if apart := [f"{reason} {count:,}" for reason, count in counts_apart(outcomes).items() if count]:
        yield f"Not counted: {', '.join(apart)}."
    if outcomes.delay_p50_seconds is not None and outcomes.delay_p95_seconds is not None:
        yield f"Delay: {delay(outcomes.delay_p50_seconds)} in the median, 95% within {delay(outcomes.delay_p95_seconds)}."


def _agreement(outcomes: OutcomeReport) -> Iterator[tuple[str, Severity | None]]:
    if outcomes.observed_mean is not None:
        shift = outcomes.label_shift
        yield _observed(outcomes), shift.severity if shift else None
    if figures := performance_line(outcomes):
        yield figures, outcomes.performance_loss.severity if outcomes.performance_loss else None
    if outcomes.estimated:
        yield estimate_line(outcomes.estimated), None


def _with_interval(value: str, found: Interval | None, written: Callable[[float], str]) -> str:
    return f"{value} ({interval(found, written)})" if found else value


def _observed(outcomes: OutcomeReport) -> str:
    reference = outcomes.reference_observed_mean
    parts = (
        "" if outcomes.predicted_mean is None else f"predicted {number(outcomes.predicted_mean)}",
        f"observed {_with_interval(number(outcomes.observed_mean or 0.0), outcomes.observed_interval, number)}",
        "" if reference is None else f"in the reference {number(reference)}",
        judged("shift", outcomes.label_shift, lambda value: f"{value:.3g}"),
    )
    return f"Mean {', '.join(filter(None, parts))}."


def performance_line(outcomes: OutcomeReport) -> str:
    """The figures of performance that are known, each with the reference's in parentheses."""
    known = [
        f"{figure_name(name)} {number(figure.value)}"
        + ("" if figure.reference is None else f" ({number(figure.reference)})")
        for name, figure in outcomes.performance.items()
        if figure.value is not None
    ]
    if not known:
        return ""
    referred = any(figure.reference is not None for figure in outcomes.performance.values())
    told = " (in the reference)" if referred else ""
    loss = judged("loss", outcomes.performance_loss, share)
    return f"Performance{told}: {', '.join(filter(None, (*known, loss)))}."


def estimate_line(estimated: EstimatedPerformance) -> str:
    """What the newest scores promise, said to be an estimate."""
    figures = [f"{figure_name(name)} {number(value)}" for name, value in estimated.figures.items() if value is not None]
    told = f"{', '.join(figures)}." if figures else f"none. {sentence(printable(estimated.reason))}"
    return f"Estimated, not measured, from {estimated.scores:,} scores of {span(estimated.window)}: {told}"


# ---------------------------------------------------------------- the kind of drift


def evidence_facts(evidence: Evidence) -> dict[str, str]:
    """What the kind of drift was decided from."""
    gap = {True: "beyond its limits", False: "within its limits", None: "not known"}[evidence.gap]
    explained = ", while inputs or scores drifted" if evidence.gap and evidence.gap_explained else ""
    return {
        "Inputs": _inputs(evidence),
        "Scores": _changed(evidence.prediction),
        "Gap to the outcomes": gap + explained,
        "Rate of outcomes": _changed(evidence.outcome_rate),
        "Telling outcomes apart": {True: "worse", False: "as before", None: "not known"}[evidence.ranking],
    }


def _inputs(evidence: Evidence) -> str:
    if evidence.unsound:
        return f"look broken: {printable(some_of(evidence.unsound))}"
    if evidence.features is None:
        return "not known"
    strongly = "strongly changed" if evidence.strong else "changed"
    return f"{strongly}: {printable(some_of(evidence.features))}" if evidence.features else "as before"


def _changed(known: bool | None) -> str:
    return {True: "changed", False: "as before", None: "not known"}[known]
