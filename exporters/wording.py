"""Names and numbers as people read them, on the terminal and on paper."""

from collections.abc import Callable, Iterable
from datetime import datetime

from mlvitals.exporters.parts import Finding, FindingKind, Interval, Measure, Window
from mlvitals.generator.contract import STATISTICS
from mlvitals.generator.spec.levels import ALERTING
from mlvitals.generator.spec.model import Severity


def printable(text: str) -> str:
    """Return text without characters that could steer a terminal or turn the reading direction."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


def sentence(text: str) -> str:
    """Return a remark as a sentence of its own."""
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}" if text else ""


def share(ratio: float) -> str:
    """Return a share of 1 in per cent: 0.402 -> 40.2%."""
    return f"{ratio:.1%}"


def number(value: float) -> str:
    """Return a number in a unit of its own: four digits, or all of those before the point where they are more."""
    return f"{value:,.0f}" if 1_000 <= abs(value) < 1e15 or value == 0 else f"{value:.4g}"


def found(findings: Iterable[Finding]) -> str:
    """Return what was found, each kind once: ``PSI critical, nulls warning (2)``; empty where nothing was."""
    by_kind: dict[str, list[Severity]] = {}
    for finding in findings:
        by_kind.setdefault(_WRITTEN.get(finding.kind, finding.kind.replace("_", " ")), []).append(finding.severity)
    return ", ".join(
        f"{kind} {max(severities, key=ALERTING.index)}" + (f" ({len(severities)})" if len(severities) > 1 else "")
        for kind, severities in by_kind.items()
    )


_WRITTEN: dict[str, str] = {
    **{statistic.policy: statistic.column for statistic in STATISTICS},
    FindingKind.SCORE_PSI: "PSI",
    FindingKind.NEWEST_SCORE_PSI: "PSI of the newest",
    FindingKind.CLASS_PROBABILITY_PSI: "PSI",
    FindingKind.NULL_RATE: "nulls",
    FindingKind.REQUIRED_NULL_RATE: "nulls",
    FindingKind.OUT_OF_RANGE_RATIO: "out of range",
    FindingKind.INFINITE_RATIO: "infinite values",
    FindingKind.NEW_CATEGORY_RATIO: "new categories",
    FindingKind.FEATURE_STATUS: "not measurable",
    FindingKind.SCORE_STATUS: "not measurable",
    FindingKind.SCORE_NULL_RATE: "nulls",
    FindingKind.SCORE_OUT_OF_RANGE_RATIO: "out of range",
    FindingKind.SEGMENT_PSI: "score PSI",
    FindingKind.SEGMENT_GAP: "gap to the outcomes",
    FindingKind.SKEW: "distributions",
    FindingKind.SKEW_MISMATCH: "values",
}
"""Kinds whose names are not words; where they stand, what they are about is known."""

_NOUNS = {
    "concept": "gap to the outcomes",
    "skew": "training-serving skew",
    "events": "business events",
    "score_count": "newest scores",
    "probabilities": "probabilities of classes",
    "schema_differences": "columns",
    "problems": "log files",
}
"""Sections of findings whose names are not words."""


def section_noun(section: str) -> str:
    """Return what people call the section of a finding, such as ``training-serving skew``."""
    return _NOUNS.get(section, section.replace("_", " "))


_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def minute(time: datetime) -> str:
    """Return a moment as people read it, in UTC."""
    return f"{time:%Y-%m-%d %H:%M}"


def span(window: Window) -> str:
    """Return an interval: ``2026-03-02 11:00 to 12:00 UTC``, with the second day where it is another."""
    end = f"{window.end:%H:%M}" if window.end.date() == window.start.date() else f"{window.end:%Y-%m-%d %H:%M}"
    return f"{window.start:%Y-%m-%d %H:%M} to {end} UTC"


def delay(seconds: float) -> str:
    """Return a delay in the largest unit it fills: ``3.2 h``."""
    size, unit = next((pair for pair in _UNITS if seconds >= pair[0]), _UNITS[-1])
    return f"{seconds / size:.3g} {unit}"


def interval(found: Interval | None, written: Callable[[float], str]) -> str:
    """Return the two ends of an interval, or nothing."""
    return f"{written(found.low)} to {written(found.high)}" if found else ""


def judged(what: str, found: Measure | None, written: Callable[[float], str]) -> str:
    """Return a judged statistic: ``fall 8.0%, noise 3.0%, warning``; nothing where it is undefined."""
    if found is None:
        return ""
    verdict = f", {found.severity}" if found.severity else ""
    return f"{what} {written(found.value)}, noise {written(found.critical_value)}{verdict}"


def signed_share(ratio: float) -> str:
    """Return a share of 1 that may go both ways: 0.25 -> +25.0%."""
    return f"{ratio:+.1%}"
