"""Outcomes of earlier predictions as gauges, as an SQL row and as lines for people."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice

from sqlalchemy import Column, Float, String, Table
from sqlalchemy.types import BigInteger

from mlvitals.exporters.database import TABLES, UtcDateTime, window_key
from mlvitals.exporters.parts import (
    Interval,
    Line,
    Measure,
    Rows,
    Sample,
    Samples,
    Window,
    critical_value_of,
    value_of,
)
from mlvitals.exporters.sections.outcomes.report import (
    ClassesReport,
    ClassReport,
    EstimatedPerformance,
    OutcomeReport,
)
from mlvitals.exporters.wording import delay, interval, judged, number, printable, sentence, share, span
from mlvitals.generator.contract import PERFORMANCE_FIGURES, Contract, Rejection
from mlvitals.generator.spec.model import OutcomeKind

OUTCOME_COUNTS = (
    *("predictions", "answered", "early", "late", "duplicates", "orphans", "invalid", "untimed"),
    *("repeated_predictions", "paired"),
)
"""Columns of `drift_outcomes` that are counts of an outcome report."""
OUTCOME_FIGURES = (
    *("feedback_rate", "delay_p50_seconds", "delay_p95_seconds"),
    *("predicted_mean", "observed_mean", "gap", "gap_error"),
)
"""Columns of `drift_outcomes` that are metrics of an outcome report."""

drift_outcomes = Table(
    "drift_outcomes",
    TABLES,
    *window_key(),
    # The window whose predictions these are: the measured one moved back by the maximal delay.
    Column("mature_start", UtcDateTime, nullable=False),
    Column("mature_end", UtcDateTime, nullable=False),
    *(Column(name, BigInteger) for name in OUTCOME_COUNTS),
    *(Column(name, Float) for name in OUTCOME_FIGURES),
    Column("label_shift", Float),
    Column("performance_loss", Float),
    Column("severity", String(16)),
)


def rows(outcomes: OutcomeReport, _: Window) -> Rows:
    """Yield the row of a mature window; outcomes of another may still come."""
    if not outcomes.mature:
        return
    yield (
        drift_outcomes.name,
        {
            "mature_start": outcomes.window.start,
            "mature_end": outcomes.window.end,
            **{name: getattr(outcomes, name) for name in (*OUTCOME_COUNTS, *OUTCOME_FIGURES)},
            "label_shift": value_of(outcomes.label_shift),
            "performance_loss": value_of(outcomes.performance_loss),
            "severity": outcomes.severity and outcomes.severity.value,
        },
    )


_WRITTEN = {figure.name: figure.title for figures in PERFORMANCE_FIGURES.values() for figure in figures}


def figure_name(name: str) -> str:
    """Return a performance metric as it is read: ``auc`` -> AUC, ``log_loss`` -> log loss, ``estimated_auc`` -> AUC."""
    name = name.removeprefix("estimated_")
    return printable(_WRITTEN.get(name, name.replace("_", " ")))


def counts_apart(outcomes: OutcomeReport) -> dict[str, int | None]:
    """Return how many outcomes were rejected, by reason; None where that cannot be determined."""
    return {
        Rejection.LATE: outcomes.late,
        Rejection.EARLY: outcomes.early,
        Rejection.DUPLICATE: outcomes.duplicates,
        Rejection.ORPHAN: outcomes.orphans,
        Rejection.INVALID: outcomes.invalid,
        Rejection.UNTIMED: outcomes.untimed,
    }


def lines(outcomes: OutcomeReport) -> list[Line]:
    """Return the feedback, what was not counted, the agreement with the predictions, and the performance."""
    where = f"predictions of {span(outcomes.window)}"
    if not outcomes.mature:
        return [Line(f"{where}: not mature, more may come.")]
    if outcomes.feedback_rate is None:
        missing = "none of their outcomes could be read" if outcomes.predictions else "there were no predictions"
        return [Line(f"{where}: {missing}."), *map(Line, _counted(outcomes))]
    fall = outcomes.feedback_fall
    return [
        Line(f"{where}: {_feedback(outcomes)}", fall.severity if fall else None),
        *map(Line, _counted(outcomes)),
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
        yield f"Delay: median {delay(outcomes.delay_p50_seconds)}, 95th percentile {delay(outcomes.delay_p95_seconds)}."


def _agreement(outcomes: OutcomeReport) -> Iterator[Line]:
    if outcomes.classes is not None:
        yield from _class_lines(outcomes.classes, outcomes.label_shift)
    if outcomes.observed_mean is not None:
        shift = outcomes.label_shift
        yield Line(_observed(outcomes), shift.severity if shift else None)
    if figures := _performance_line(outcomes):
        yield Line(figures, outcomes.performance_loss.severity if outcomes.performance_loss else None)
    for name, reason in outcomes.not_judged.items():
        yield Line(f"Not judged: {figure_name(name)}, {reason}.")
    if outcomes.estimated:
        yield Line(_estimate_line(outcomes.estimated))


_CLASSES_NAMED = 3
"""Classes that a line names."""


def _class_lines(classes: ClassesReport, shift: Measure | None) -> Iterator[Line]:
    """Yield how the mix of classes moved, which classes lost most of their recall, and which are not listed."""
    if shift is not None:
        moved = sorted(classes.classes, key=lambda item: -abs((item.share.value or 0) - (item.share.reference or 0)))
        named = (
            f"{printable(item.name)} {share(item.share.reference or 0)} to {share(item.share.value or 0)}"
            for item in moved
        )
        told = judged("PSI", shift, lambda value: f"{value:.3f}")
        yield Line(f"Classes of the outcomes: {told}; {', '.join(islice(named, _CLASSES_NAMED))}.", shift.severity)
    for item in classes.shown:
        if (loss := item.recall_loss) and loss.severity:
            told = judged("loss", loss, share)
            yield Line(f"Class {printable(item.name)}: recall {recall_of(item)}, {told}.", loss.severity)
    for which, names in (("outcomes", classes.unseen_labels), ("predictions", classes.unseen_predictions)):
        if names:
            listed = ", ".join(f"{printable(name)} {count:,}" for name, count in islice(names.items(), _CLASSES_NAMED))
            more = f" and {len(names) - _CLASSES_NAMED} more" if len(names) > _CLASSES_NAMED else ""
            yield Line(f"Classes of {which} that the spec does not list: {listed}{more}.")


def recall_of(item: ClassReport) -> str:
    """Return the recall of a class, and the reference's: ``81.0% (93.4%)``."""
    return " ".join(
        written
        for written in (
            "" if item.recall.value is None else share(item.recall.value),
            "" if item.recall.reference is None else f"({share(item.recall.reference)})",
        )
        if written
    )


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


def _performance_line(outcomes: OutcomeReport) -> str:
    """Return the performance metrics that are known, each with the reference's in parentheses."""
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


def _estimate_line(estimated: EstimatedPerformance) -> str:
    """Return what the newest scores promise, said to be an estimate."""
    figures = [f"{figure_name(name)} {number(value)}" for name, value in estimated.figures.items() if value is not None]
    told = f"{', '.join(figures)}." if figures else f"none. {sentence(printable(estimated.reason))}"
    return f"Estimated, not measured, from {estimated.scores:,} scores of {span(estimated.window)}: {told}"


def gauges(contract: Contract, report: OutcomeReport) -> Samples:
    """Return the samples of a mature window; of one that is not mature only what its scores promise.

    A stored report may be older than the spec: without outcomes in the spec nothing is published.
    """
    samples: dict[str, Iterable[Sample]] = {}
    if contract.spec.prediction_log.outcome is None:
        return samples
    if report.estimated is not None:
        # The names say "estimated" already, and so does the family.
        named = {name.removeprefix("estimated_"): value for name, value in report.estimated.figures.items()}
        samples["performance_estimated"] = _by_label(named)
    if not report.mature:
        return samples
    bounds, interval = report.feedback_interval, report.observed_interval
    singles: dict[str, float | None] = {
        "feedback_predictions": report.predictions,
        "feedback_rate": report.feedback_rate,
        "feedback_rate_upper_bound": None if bounds is None else bounds.high,
        "feedback_expected_rate": report.expected_feedback_rate,
        "feedback_files_unreadable": len({problem.path for problem in report.problems}),
        "feedback_window_end_timestamp_seconds": report.window.end.timestamp(),
        "outcome_gap": report.gap,
        "outcome_gap_error": report.gap_error,
        **_measure("feedback_fall", report.feedback_fall),
        **_measure("outcome_shift", report.label_shift),
        **_measure("performance_loss", report.performance_loss),
    }
    if report.kind is not OutcomeKind.MULTICLASS:
        singles |= {
            "outcome_mean": report.observed_mean,
            "outcome_mean_lower_bound": None if interval is None else interval.low,
            "outcome_mean_upper_bound": None if interval is None else interval.high,
            "outcome_reference_mean": report.reference_observed_mean,
            "outcome_predicted_mean": report.predicted_mean,
        }
    delays = {"50": report.delay_p50_seconds, "95": report.delay_p95_seconds}
    figures = report.performance.items()
    samples |= {
        **{short: [((), value)] for short, value in singles.items()},
        "feedback_delay_seconds": _by_label(delays),
        "feedback_rejected_ratio": _by_label(report.rejected_ratio),
        "performance": _by_label({name: figure.value for name, figure in figures}),
        "performance_reference": _by_label({name: figure.reference for name, figure in figures}),
        **(_class_samples(report.classes) if report.classes else {}),
    }
    return samples


_CLASS_FIGURES: dict[str, Callable[[ClassReport], float | None]] = {
    "class_rows": lambda item: item.true,
    "class_share": lambda item: item.share.value,
    "class_share_reference": lambda item: item.share.reference,
    "class_recall": lambda item: item.recall.value,
    "class_recall_reference": lambda item: item.recall.reference,
    "class_precision": lambda item: item.precision.value,
    "class_f1": lambda item: item.f1.value,
    "class_recall_loss": lambda item: value_of(item.recall_loss),
    "class_recall_loss_critical_value": lambda item: critical_value_of(item.recall_loss),
}


def _class_samples(classes: ClassesReport) -> dict[str, Iterable[Sample]]:
    """Return the metrics of the worst classes."""
    samples: dict[str, Iterable[Sample]] = {
        short: [((item.name,), figure(item)) for item in classes.shown] for short, figure in _CLASS_FIGURES.items()
    }
    return samples | {"class_unlisted_ratio": _by_label(classes.unlisted_ratio)}


def _measure(short: str, measure: Measure | None) -> dict[str, float | None]:
    if measure is None:
        return {}
    return {short: measure.value, f"{short}_critical_value": measure.critical_value}


def _by_label(values: Mapping[str, float | None]) -> list[Sample]:
    return [((label,), value) for label, value in values.items()]


def unmeasured(outcomes: OutcomeReport) -> Iterator[str]:
    """Yield that nothing is known of the outcomes."""
    if not outcomes.mature or outcomes.feedback_rate is None:
        yield "outcomes not measured"
