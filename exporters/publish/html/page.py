"""A report as one page to read, send or print: no script, no request to anywhere, light or dark as the reader has it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from mlvitals.exporters.parts import Finding, FindingKind, Measure
from mlvitals.exporters.publish.html.charts import bin_chart
from mlvitals.exporters.publish.html.document import breakable, document, facts, safe
from mlvitals.exporters.publish.html.outcomes import outcome_section
from mlvitals.exporters.publish.html.segments import segment_chart
from mlvitals.exporters.sections.concept.report import DriftType
from mlvitals.exporters.sections.concept.views import evidence_facts, gap_lines
from mlvitals.exporters.sections.features.report import FeatureReport
from mlvitals.exporters.sections.features.views import difference, nulls, quality_findings, shift, state
from mlvitals.exporters.statistics.judging import worst
from mlvitals.exporters.window.headline import counted_rows, headline
from mlvitals.exporters.window.report import Compared, WindowReport
from mlvitals.exporters.window.sections import SECTIONS, unread
from mlvitals.exporters.wording import found, minute, number, printable, sentence, share
from mlvitals.generator.contract import STATISTICS, DriftKind, Status
from mlvitals.generator.spec.model import Severity

SCORE = "Prediction score"
_TOP_BINS = 3
_FOOTER = (
    "PSI, D and JS compare the window with the reference; after each stands the noise, the value that chance alone "
    "exceeds once in 1000 windows. A severity holds only above both its threshold and the noise. A bin's bars are its "
    "share of the values; what it adds to PSI shows where the distribution moved."
)


def html_page(report: WindowReport, home: str = "") -> str:
    """Return the page of a report, as a whole HTML document; `home` is the address of the windows around it, if any."""
    rows = report.worst_first(SCORE)
    title = f"{printable(report.system)}: drift {minute(report.window.start)} to {minute(report.window.end)} UTC"
    body = "".join(
        (
            _header(report, home),
            *_kind(report),
            *_findings(rows),
            *_outcomes(report),
            *_segments(report),
            *_remarks(report),
            _all(rows),
        )
    )
    return document(title, body, _FOOTER)


def _header(report: WindowReport, home: str) -> str:
    wrong, unmeasured = headline(report)
    quiet = ("" if unmeasured else "ok", "nothing drifted")
    pills = [(line.severity or "", line.text) for line in wrong] or [quiet]
    pills += [(line.severity or "", line.text) for line in unmeasured]
    verdict = "".join(f'<span class="pill {kind}">{safe(text)}</span>' for kind, text in pills)
    way_home = f'<nav><a href="{safe(home)}">All windows</a></nav>\n' if home else ""
    known = {
        "Rows": safe(counted_rows(report).replace(" rows", "", 1)),
        "Features": f"{len(report.features)}{' and the score' if report.score else ''}",
        "Reference": f"{safe(report.reference_version)} <small>of {report.reference_created:%Y-%m-%d}</small>",
        "Measured": f"{minute(report.measured_at)} <small>UTC</small>",
    }
    return (
        f'<header>\n{way_home}<h1>{safe(report.system)}</h1>\n<p class="window">{minute(report.window.start)} to '
        f'{minute(report.window.end)} UTC</p>\n<p class="verdict">{verdict}</p>\n{facts(known, "card")}</header>\n'
    )


def _kind(report: WindowReport) -> Iterator[str]:
    """Yield the drift type, why, what to do, and what that was decided from."""
    found = report.drift_type
    if found is None:
        return
    gap = "".join(f"<p>{safe(line)}</p>\n" for line in (gap_lines(report.concept) if report.concept else ()))
    response = f'<p class="action">{safe(found.response)}</p>\n' if found.response else ""
    evidence = {name: breakable(told) for name, told in evidence_facts(found.evidence).items()}
    yield (
        f'<h2>Drift type</h2>\n<section class="card finding {_kind_class(found, report)}">\n'
        f'<div class="name"><span class="pill">{found.kind.value}</span></div>\n'
        f'<p class="lead">{safe(found.reason)}</p>\n{response}{gap}{facts(evidence, "evidence")}</section>\n'
    )


def _kind_class(found: DriftType, report: WindowReport) -> str:
    """Return the class of the severity that the page shows: the worst that was found, or well."""
    return _QUIET.get(found.kind, report.severity or Severity.WARNING)


_QUIET = {DriftKind.NONE: "ok", DriftKind.UNKNOWN: ""}


def _outcomes(report: WindowReport) -> Iterator[str]:
    if report.outcomes is not None:
        yield outcome_section(report.outcomes, found(report.found_in("outcomes")))


class _Judged(NamedTuple):
    """The severities of what is judged of a feature besides its distribution."""

    nulls: Severity | None
    out_of_range: Severity | None


def _findings(rows: Sequence[Compared]) -> Iterator[str]:
    urgent = [item for item in rows if item.report.severity]
    if urgent:
        yield "<h2>What needs attention</h2>\n"
    for name, feature, findings in urgent:
        yield (
            f'<section class="card finding {feature.severity}">\n<div class="name"><span class="pill">'
            f'{state(feature)}</span><h3>{breakable(name)}</h3><span class="soft">{feature.type}</span></div>\n'
            f'{_lead(feature)}{_quality(feature)}{_found(findings)}<p class="action">{safe(feature.action)}</p>\n'
            f"{_plot(feature, _judged(findings))}</section>\n"
        )


def _lead(feature: FeatureReport) -> str:
    """Return the most important thing there is to say, in a sentence."""
    text = sentence(feature.reason)
    if feature.bins and any(item.severity for item in feature.distances.values()):
        top = feature.top_bins(1)[0]
        text = f"Bin {top.label} held {share(top.reference)} of the reference and holds {share(top.current)} now."
    return f'<p class="lead">{safe(text)}</p>\n' if text else ""


def _found(findings: Sequence[Finding]) -> str:
    return f"<p>Found: {safe(found(findings))}.</p>\n" if findings else ""


def _quality(feature: FeatureReport) -> str:
    found = quality_findings(feature.quality)
    return f"<p>Quality: {safe(found)}</p>\n" if found else ""


def _plot(feature: FeatureReport, judged: _Judged) -> str:
    known = facts(dict(_figures(feature, judged)))
    if not feature.bins:
        return f'<div class="plot">{known}</div>\n' if feature.rows else ""
    legend = '<div class="legend"><span>reference</span><span class="now">this window</span></div>'
    return f'<div class="plot"><div>{legend}{bin_chart(feature.bins)}</div>{known}</div>\n'


_NULLS = frozenset({FindingKind.NULL_RATE, FindingKind.REQUIRED_NULL_RATE, FindingKind.SCORE_NULL_RATE})
_OUT_OF_RANGE = frozenset(
    {FindingKind.OUT_OF_RANGE_RATIO, FindingKind.RANGE_EXCESS, FindingKind.SCORE_OUT_OF_RANGE_RATIO}
)
_TITLES = {statistic.name: statistic.title for statistic in STATISTICS}


def _judged(findings: Sequence[Finding]) -> _Judged:
    nulls, out = (worst(item.severity for item in findings if item.kind in kinds) for kinds in (_NULLS, _OUT_OF_RANGE))
    return _Judged(nulls, out)


def _coloured(text: str, severity: Severity | None) -> str:
    return f'<span class="{severity}">{text}</span>' if severity and text else text


def _figures(feature: FeatureReport, judged: _Judged) -> Iterator[tuple[str, str]]:
    for name, measure in feature.distances.items():
        yield _TITLES[name], f"{_measured(measure)} <small>noise {measure.critical_value:.3f}</small>"
    if feature.mean is not None:
        was = "" if feature.reference_mean is None else f" <small>was {number(feature.reference_mean)}</small>"
        yield "Mean", f"{number(feature.mean)}{was}"
    if feature.out_of_range_ratio is not None:
        yield "Out of range", _coloured(share(feature.out_of_range_ratio), judged.out_of_range)
    if feature.null_rate is not None:
        was = f" <small>was {share(feature.reference_null_rate)}</small>" if feature.reference_null_rate else ""
        yield "Nulls", f"{_coloured(share(feature.null_rate), judged.nulls)}{was}"
    yield "Values", f"{feature.rows:,}"


_DRAWN = ("concept", "outcomes", "segments")
"""Sections that have more than lines to show."""


def _segments(report: WindowReport) -> Iterator[str]:
    """Yield a chart of each segment column, and what was found in words."""
    charts = [
        f"<h3>By {breakable(column)}</h3>\n{segment_chart(column, found.values)}"
        for column, found in report.segments.items()
        if found.values
    ]
    section = next(section for section in SECTIONS if section.name == "segments")
    lines = "".join(f"<p>{safe(line.text)}</p>" for line in section.lines_of(report))
    if charts:
        yield f'<h2>Segments</h2>\n<section class="card segments">{lines}\n{"".join(charts)}</section>\n'
    elif lines:
        yield f'<h2>Segments</h2>\n<div class="card remarks">{lines}</div>\n'


def _remarks(report: WindowReport) -> Iterator[str]:
    for section in SECTIONS:
        if section.name not in _DRAWN and (lines := section.lines_of(report)):
            yield _card(section.title, (line.text for line in lines))
    if report.schema_differences:
        yield _card("Columns that differ", map(difference, report.schema_differences))
    if problems := unread(report):
        yield _card("Files that could not be read in full", problems)


def _card(title: str, lines: Iterable[str]) -> str:
    items = "".join(f"<p>{safe(line)}</p>" for line in lines)
    return f'<h2>{title}</h2>\n<div class="card remarks">{items}</div>\n'


_COLUMNS = (
    ("State", ""),
    ("Feature", ""),
    ("Type", "wide"),
    *((statistic.column, "number") for statistic in STATISTICS),
    ("Nulls", "number"),
    ("Out of range", "number wide"),
    ("Mean then", "number wide"),
    ("Mean now", "number wide"),
)


def _all(rows: Sequence[Compared]) -> str:
    head = "".join(f'<th class="{kind}">{title}</th>' for title, kind in _COLUMNS)
    body = "".join(_row(name, feature, _judged(findings)) for name, feature, findings in rows)
    return (
        '<h2>All features</h2>\n<div class="card table"><table>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table></div>\n"
    )


def _row(name: str, feature: FeatureReport, judged: _Judged) -> str:
    kind = feature.severity or ("ok" if feature.status is Status.OK else "")
    numbers = (
        *((_measured(getattr(feature, statistic.name)), "number") for statistic in STATISTICS),
        (_coloured(nulls(feature), judged.nulls), "number"),
        (_coloured(_optional(feature.out_of_range_ratio, share), judged.out_of_range), "number wide"),
        (_optional(feature.reference_mean, number), "number wide"),
        (_optional(feature.mean, number), "number wide"),
    )
    cells = "".join(f'<td class="{kind_of_cell}">{text}</td>' for text, kind_of_cell in numbers)
    return (
        f'<tr class="{kind}"><td><span class="pill">{state(feature)}</span></td>'
        f'<td class="name">{breakable(name)}</td><td class="wide soft">{feature.type}</td>{cells}</tr>\n'
        f"{_told(feature, kind)}"
    )


def _told(feature: FeatureReport, kind: str) -> str:
    """Return a row of words below a feature's numbers; what its card above says is not said again."""
    if feature.severity:
        lines = [shift(item) for item in feature.top_bins(_TOP_BINS)]
    else:
        lines = list(filter(None, (" ".join(filter(None, (sentence(feature.reason), feature.action))),)))
    if found := quality_findings(feature.quality):
        lines.append(f"quality: {found}")
    if not lines:
        return ""
    return f'<tr class="{kind} told"><td></td><td colspan="{len(_COLUMNS) - 1}">{safe("; ".join(lines))}</td></tr>\n'


def _measured(measure: Measure | None) -> str:
    if measure is None:
        return ""
    return f'<span class="{measure.severity or ""}">{measure.value:.3f}</span>'


def _optional(value: float | None, written: Callable[[float], str]) -> str:
    return "" if value is None else written(value)
