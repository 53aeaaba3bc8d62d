"""The outcomes of a report as a section of its page."""

from collections.abc import Iterable, Iterator
from html import escape

from mlvitals.exporters.parts import Measure
from mlvitals.exporters.publish.html.calibration import calibration_chart
from mlvitals.exporters.publish.html.classes import class_table, confusion_charts
from mlvitals.exporters.publish.html.document import safe
from mlvitals.exporters.sections.outcomes.report import EstimatedPerformance, OutcomeReport
from mlvitals.exporters.sections.outcomes.views import counts_apart, figure_name
from mlvitals.exporters.wording import delay, interval, number, printable, sentence, share, signed_share, span
from mlvitals.generator.spec.model import OutcomeKind, Severity

_MEANING = {
    "late": "after the maximal delay",
    "early": "before its prediction",
    "duplicate": "a further one of the same prediction",
    "orphan": "no prediction has its id",
    "invalid": "no label of its kind",
    "untimed": "without its time",
}


def outcome_section(outcomes: OutcomeReport, found: str = "") -> str:
    """Return the section: findings, feedback, agreement, performance, estimate and calibration, as far as known."""
    wrong = f"<p>Found: {escape(found)}.</p>" if found else ""
    if not outcomes.mature or not outcomes.predictions:
        why = "there were none" if outcomes.mature else "not mature, more may come"
        told = f"Of the predictions of {span(outcomes.window)}: {why}."
        return f'<h2>Outcomes</h2>\n<div class="card remarks"><p>{told}</p>{wrong}</div>\n'
    blocks = filter(None, (_feedback(outcomes), _calibration(outcomes), _agreement(outcomes), _performance(outcomes)))
    return (
        '<h2>Outcomes</h2>\n<section class="card outcomes">\n'
        f'<p class="soft">Predictions of {span(outcomes.window)}, whose outcomes are all in. Ranges in parentheses hold '
        f'the true figure with a confidence of 95%.</p>\n{wrong}<div class="blocks">{"".join(blocks)}</div>\n'
        f"{_classes(outcomes)}</section>\n"
    )


def _classes(outcomes: OutcomeReport) -> str:
    """Return each class, and which was taken for which."""
    classes = outcomes.classes
    if classes is None or not outcomes.paired:
        return ""
    unseen = "".join(
        f"<p>Classes of {which} that the spec does not list: "
        f"{', '.join(f'{safe(name)} {count:,}' for name, count in names.items())}.</p>"
        for which, names in (("outcomes", classes.unseen_labels), ("predictions", classes.unseen_predictions))
        if names
    )
    told = (
        "Rows are true classes, columns predicted ones; each cell is a share of its row. In parentheses: the reference."
    )
    return (
        f'<h3>Classes</h3>\n<p class="soft">{told}</p>{unseen}\n{confusion_charts(classes)}'
        f'<div class="table">{class_table(classes)}</div>\n'
    )


def _block(title: str, content: str, severity: Severity | None = None, mark: str = "") -> str:
    pill = f'<span class="pill">{mark or severity or ""}</span>' if mark or severity else ""
    return f'<div class="{severity or ""}"><h3>{title}{pill}</h3>\n{content}</div>\n'


def _table(rows: Iterable[tuple[str, ...]], head: tuple[str, ...] = ()) -> str:
    """Return a table whose first column names, and whose other columns count. Cells are HTML."""
    titles = "".join(f"<th{_number(index)}>{title}</th>" for index, title in enumerate(head))
    body = "".join(
        f"<tr>{''.join(f'<td{_number(index)}>{cell}</td>' for index, cell in enumerate(row))}</tr>" for row in rows
    )
    return f"<table>{f'<thead><tr>{titles}</tr></thead>' if head else ''}<tbody>{body}</tbody></table>\n"


def _number(column: int) -> str:
    return ' class="number"' if column else ""


def _beside(value: str, remark: str) -> str:
    return f"{value} <small>{remark}</small>" if remark else value


def _noise(found: Measure, sign: bool = False) -> str:
    written = signed_share if sign else share
    value = f'<span class="{found.severity or ""}">{written(found.value)}</span>'
    return _beside(value, f"noise {share(found.critical_value)}")


def _feedback(outcomes: OutcomeReport) -> str:
    fall = outcomes.feedback_fall
    counts = [
        (_beside(reason.capitalize(), _MEANING[reason]), f"{count:,}")
        for reason, count in counts_apart(outcomes).items()
        if count is not None
    ]
    repeated = [("Repeated predictions", f"{outcomes.repeated_predictions:,}")] if outcomes.repeated_predictions else []
    rows = [*_feedback_rows(outcomes), ("Answered", f"{outcomes.answered:,}"), *counts, *repeated]
    return _block("Feedback", _table(rows), fall.severity if fall else None)


def _feedback_rows(outcomes: OutcomeReport) -> Iterator[tuple[str, str]]:
    if outcomes.feedback_rate is not None:
        known = interval(outcomes.feedback_interval, share)
        yield "Feedback rate", _beside(share(outcomes.feedback_rate), known and f"({known})")
    if outcomes.expected_feedback_rate is not None:
        yield "Expected", share(outcomes.expected_feedback_rate)
    if outcomes.feedback_fall is not None:
        yield "Fall", _noise(outcomes.feedback_fall)
    if outcomes.delay_p50_seconds is not None:
        yield "Delay, median", delay(outcomes.delay_p50_seconds)
    if outcomes.delay_p95_seconds is not None:
        yield "Delay, 95% within", delay(outcomes.delay_p95_seconds)
    yield "Predictions", f"{outcomes.predictions:,}"


def _agreement(outcomes: OutcomeReport) -> str:
    rows = list(_agreement_rows(outcomes))
    shift = outcomes.label_shift
    return _block("Predicted against observed", _table(rows), shift.severity if shift else None) if rows else ""


def _agreement_rows(outcomes: OutcomeReport) -> Iterator[tuple[str, str]]:
    if outcomes.predicted_mean is not None:
        yield "Mean prediction", number(outcomes.predicted_mean)
    if outcomes.observed_mean is not None:
        known = interval(outcomes.observed_interval, number)
        yield "Mean outcome", _beside(number(outcomes.observed_mean), known and f"({known})")
    if outcomes.reference_observed_mean is not None:
        yield "Mean outcome, reference", number(outcomes.reference_observed_mean)
    if outcomes.label_shift is not None:
        title = "PSI of classes" if outcomes.classes else "Shift of outcomes"
        yield title, _shift(outcomes.label_shift, outcomes.kind)
    if outcomes.gap is not None:
        error = "" if outcomes.gap_error is None else f"± {number(outcomes.gap_error)}"
        yield _gap_name(outcomes), _beside(_gap_value(outcomes, outcomes.gap), error)
    if outcomes.reference_gap is not None:
        name = "Wrong predictions, reference" if outcomes.classes else "Gap, reference"
        yield name, _gap_value(outcomes, outcomes.reference_gap)
    for name, reason in outcomes.not_judged.items():
        yield f"Not judged: {figure_name(name)}", escape(reason)


def _gap_name(outcomes: OutcomeReport) -> str:
    return "Wrong predictions" if outcomes.classes else _beside("Gap", "prediction less outcome")


def _gap_value(outcomes: OutcomeReport, gap: float) -> str:
    """Return a gap: of numbers with its sign, of classes the share of wrong predictions."""
    return number(gap) if outcomes.classes else f"{gap:+.4g}"


def _shift(shift: Measure, kind: OutcomeKind) -> str:
    if kind is OutcomeKind.BINARY:
        return _noise(shift, sign=True)
    if kind is OutcomeKind.MULTICLASS:
        value = f'<span class="{shift.severity or ""}">{shift.value:.3f}</span>'
        return _beside(value, f"noise {shift.critical_value:.3f}")
    value = f'<span class="{shift.severity or ""}">{shift.value:+.3g} sd</span>'
    return _beside(value, f"noise {shift.critical_value:.3g}")


def _performance(outcomes: OutcomeReport) -> str:
    loss, paired = outcomes.performance_loss, f"{outcomes.paired:,} predictions with an outcome"
    rows = [
        (figure_name(name), _optional(figure.value), _optional(figure.reference))
        for name, figure in outcomes.performance.items()
        if figure.value is not None or figure.reference is not None
    ]
    if loss:
        rows.append(("Loss of quality", _noise(loss), ""))
    measured = ""
    if rows:
        content = f'<p class="soft">{paired}</p>\n{_table(rows, ("", "window", "reference"))}'
        measured = _block("Performance", content, loss.severity if loss else None)
    return measured + (_estimate(outcomes.estimated) if outcomes.estimated else "")


def _estimate(estimated: EstimatedPerformance) -> str:
    told = (
        f"Not measured: what {estimated.scores:,} scores of {span(estimated.window)} promise before outcomes are known. "
        "It holds as far as scores are calibrated; concept drift does not show."
    )
    rows = [(figure_name(name), number(value)) for name, value in estimated.figures.items() if value is not None]
    known = _table(rows) if rows else f"<p>None: {escape(sentence(printable(estimated.reason)))}</p>"
    return _block("Performance to come", f'<p class="soft">{told}</p>\n{known}', mark="estimated")


def _calibration(outcomes: OutcomeReport) -> str:
    if not outcomes.calibration:
        return ""
    legend = '<div class="legend"><span class="now">this window</span><span class="dashed">calibrated</span></div>'
    of_classes = outcomes.classes is not None
    return _block("Calibration", f"{legend}{calibration_chart(outcomes.calibration, of_classes=of_classes)}")


def _optional(value: float | None) -> str:
    return "" if value is None else number(value)
