"""What is published of a window's outcomes, by the family's short name."""

from collections.abc import Iterable, Mapping

from exporters.outcome_report import OutcomeReport
from exporters.report_parts import Measure
from exporters.sample import Sample


def samples_of_outcomes(report: OutcomeReport) -> dict[str, Iterable[Sample]]:
    """The samples of a mature window; of one that is not mature only what its scores promise."""
    samples: dict[str, Iterable[Sample]] = {}
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
        "outcome_mean": report.observed_mean,
        "outcome_mean_lower_bound": None if interval is None else interval.low,
        "outcome_mean_upper_bound": None if interval is None else interval.high,
        "outcome_reference_mean": report.reference_observed_mean,
        "outcome_predicted_mean": report.predicted_mean,
        "outcome_gap": report.gap,
        "outcome_gap_error": report.gap_error,
        **_measure("feedback_fall", report.feedback_fall),
        **_measure("outcome_shift", report.label_shift),
        **_measure("performance_loss", report.performance_loss),
    }
    delays = {"50": report.delay_p50_seconds, "95": report.delay_p95_seconds}
    figures = report.performance.items()
    samples |= {
        **{short: [((), value)] for short, value in singles.items()},
        "feedback_delay_seconds": _by_label(delays),
        "feedback_rejected_ratio": _by_label(report.rejected_ratio),
        "performance": _by_label({name: figure.value for name, figure in figures}),
        "performance_reference": _by_label({name: figure.reference for name, figure in figures}),
    }
    return samples


def _measure(short: str, measure: Measure | None) -> dict[str, float | None]:
    if measure is None:
        return {}
    return {short: measure.value, f"{short}_critical_value": measure.critical_value}


def _by_label(values: Mapping[str, float | None]) -> list[Sample]:
    return [((label,), value) for label, value in values.items()]
