"""Names and figures as people read them, on the terminal and on paper."""

from collections.abc import Mapping

from exporters.concept_report import ConceptReport, DriftType
from exporters.report import Bin, FeatureReport, FeatureSkew, Quality, SchemaDifference, SkewReport, WindowReport
from exporters.segment_report import SegmentReport, SegmentsReport
from generator.contract import SkewStatus
from generator.spec.model import Severity


def printable(text: str) -> str:
    """Text without characters that could steer a terminal or turn the reading direction."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


def sentence(text: str) -> str:
    """A remark as a sentence of its own."""
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}" if text else ""


def share(ratio: float) -> str:
    """A share of 1 in per cent: 0.402 -> 40.2%."""
    return f"{ratio:.1%}"


def number(value: float) -> str:
    """A figure in a unit of its own: four digits, or all of those before the point where they are more."""
    return f"{value:,.0f}" if 1_000 <= abs(value) < 1e15 or value == 0 else f"{value:.4g}"


def shift(item: Bin) -> str:
    """What happened to a bin: ``> 365: 0.0% to 40.2%``."""
    return f"{printable(item.label)}: {share(item.reference)} to {share(item.current)}"


def state(feature: FeatureReport) -> str:
    """The severity, else the status in words."""
    return feature.severity or feature.status.value.replace("_", " ")


def quality_findings(quality: Quality | None) -> str:
    """The quality figures that are bad: ``mean +2.5 sd, new 3.0%``; empty where none is."""
    if quality is None or quality.severity is None:
        return ""
    written = {
        "mean {:+,.3g} sd": quality.mean_shift,
        "median {:+,.3g} sd": quality.median_shift,
        "variance x{:.2g}": quality.variance_ratio,
        "cardinality {:+.0%}": quality.cardinality_change,
        "new {:.1%}": quality.new_category_ratio,
    }
    found = [form.format(item.value) for form, item in written.items() if item and item.severity]
    if quality.infinite_ratio:
        found.append(f"infinite {quality.infinite_ratio:.1%}")
    if quality.range_excess and not found:
        found.append(f"from {quality.minimum:g} to {quality.maximum:g}")
    return ", ".join([*found, *(f"without {printable(name)}" for name in quality.vanished or ())])


def difference(found: SchemaDifference) -> str:
    """A column that differs: ``device: missing column``."""
    return f"{printable(found.column)}: {found.kind.replace('_', ' ')}"


def unread(report: WindowReport) -> list[str]:
    """A line for each file that the window, its skew, outcomes or events could not read in full, told once."""
    parts = (report.skew, report.outcomes, report.events)
    problems = (*report.problems, *(problem for part in parts if part for problem in part.problems))
    return [printable(f"{item.path}: {item.problem}") for item in dict.fromkeys(problems)]


def compared(skew: SkewReport) -> str:
    """What skew was measured on: ``4,423 predictions, 4,423 offline rows``."""
    return f"{skew.serving_rows:,} predictions, {skew.offline_rows:,} offline rows"


def skew_findings(skew: SkewReport) -> list[str]:
    """A line for each feature that differs between serving and offline, or could not be compared."""
    agreeing = {SkewStatus.OK, SkewStatus.NOT_RECOMPUTED}
    return [_skew(name, feature) for name, feature in skew.features.items() if feature.status not in agreeing]


def kind_of_drift(found: DriftType) -> list[str]:
    """The kind of drift, why, and what to do: a line each."""
    lines = (f"Kind of drift: {found.kind.value}. {found.reason}", found.response)
    return [printable(line) for line in lines if line]


def gap_findings(concept: ConceptReport) -> list[str]:
    """What the charts of the gap between predictions and outcomes say."""
    if concept.sample is None or concept.expected_gap is None or concept.gap_deviation is None:
        return [f"Predictions against outcomes: {concept.status.value.replace('_', ' ')}. {sentence(concept.reason)}"]
    gap = (
        f"Predictions against outcomes: gap {concept.sample.gap:+.4g}, expected {concept.expected_gap:+.4g}, "
        f"{concept.standardised_gap:+.1f} standard deviations, over {concept.sample.count:,} outcomes."
    )
    if concept.since is None:
        return [gap]
    chart = "cumulative sum" if concept.severity is Severity.CRITICAL else "moving average"
    return [gap, f"The {chart} is beyond its limit; the run began at {concept.since:%Y-%m-%d %H:%M} UTC."]


def _skew(name: str, feature: FeatureSkew) -> str:
    parts = [feature.status.value.replace("_", " ")]
    if feature.mismatch_ratio is not None:
        parts.append(f"{share(feature.mismatch_ratio)} of the values differ")
    if feature.distance is not None:
        parts.append(f"{feature.measure.upper()} {feature.distance.value:.3f}")
    if feature.reason:
        parts.append(printable(feature.reason))
    return f"{printable(name)}: {', '.join(parts)}"


def segment_findings(segments: Mapping[str, SegmentsReport]) -> list[str]:
    """A line for each segment that drifts, worst first, and for each column that could not be measured."""
    found = [(column, segment) for column, report in segments.items() for segment in report.values if segment.severity]
    lines = [_segment(column, segment) for column, segment in sorted(found, key=lambda item: item[1].rank)]
    problems = {column: report.problem for column, report in segments.items() if report.problem}
    return [*lines, *(f"{printable(column)}: {printable(problem)}" for column, problem in problems.items())]


def _segment(column: str, segment: SegmentReport) -> str:
    psi, gap = segment.score_psi, segment.gap_shift
    parts = [f"{segment.rows:,} rows"]
    if psi and psi.severity:
        parts.append(f"score PSI {psi.value:.3f} (noise {psi.critical_value:.3f})")
    if gap and gap.severity and segment.gap is not None and segment.expected_gap is not None:
        parts.append(f"predicted less observed {segment.gap:+.3g}, expected {segment.expected_gap:+.3g}")
    return f"{segment.severity}: {printable(column)} {printable(segment.value)}: {', '.join(parts)}"
