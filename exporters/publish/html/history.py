"""Many windows as one page: what was found when, the scores and outcomes over time, and the windows worth reading."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter
from statistics import NormalDist

from mlvitals.exporters.parts import Window
from mlvitals.exporters.publish.html.document import breakable, document, safe
from mlvitals.exporters.publish.html.timelines import WIDTH, Axis, Line, Span, Target, broken, heatmap, line_chart
from mlvitals.exporters.window.summary import CellLevel, FeatureSummary, WindowSummary, key_of, worst_level
from mlvitals.exporters.wording import minute, number, section_noun, span
from mlvitals.generator.spec.levels import ALERTING

_MOST_COLUMNS = 800
"""Windows that are nearer than this many on the axis are drawn together, as the worst of them."""
_MOST_FEATURES = 60
_NOISE = NormalDist().inv_cdf(1 - 0.001 / 2)
"""Standard deviations that chance alone exceeds once in 1000 windows, to either side."""
_MOST_LISTED = 300
_FOOTER = (
    "Each cell is a window: coloured by the worst finding, a deeper green where PSI is beyond noise but below every threshold, "
    "grey where it was not measured, empty where no window was. Outcomes and the gap stand where their predictions "
    "were made."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """Where the page leads. Addresses are plain text."""

    report: Callable[[Window], str] = lambda _: ""
    """The report of a window; empty where it has no page."""
    others: tuple[tuple[str, str], ...] = ()
    """Names and addresses of other pages."""


def history_page(system: str, windows: Sequence[WindowSummary], step: timedelta, links: Links) -> str:
    """Return the page of some windows, as a whole HTML document.

    Args:
        system: the system's name.
        windows: oldest first; there may be none.
        step: the time between two windows: where more than that lies between them, windows are missing.
        links: where the page leads.
    """
    if not windows:
        return document(f"{system}: history", f"{_header(system, windows, links)}<p>No window is kept yet.</p>", "")
    axis = Axis(windows[0].window.end - step, windows[-1].window.end)
    body = "".join(
        (
            _header(system, windows, links),
            _overview(windows, step, axis, links),
            *_charts(windows, step, axis),
            _table(windows, links),
        )
    )
    return document(f"{system}: history", body, _FOOTER)


def _header(system: str, windows: Sequence[WindowSummary], links: Links) -> str:
    others = "".join(f'<a href="{safe(address)}">{safe(name)}</a>' for name, address in links.others)
    period = f'<p class="window">{_period(windows)} UTC</p>\n' if windows else ""
    counts = Counter(window.level for window in windows)
    pills = [
        f'<span class="pill {level if counts[level] else ""}">{counts[level]:,} {name}</span>'
        for level, name in _COUNTED
        if counts[level]
    ]
    return (
        f"<header>\n<h1>{safe(system)}</h1>\n{period}"
        f'<p class="verdict">{"".join(pills)}</p>\n<nav>{others}</nav>\n</header>\n'
    )


_COUNTED = (
    *((CellLevel(severity.value), severity.value) for severity in reversed(ALERTING)),
    (CellLevel.UNMEASURED, "not measured"),
    (CellLevel.QUIET, "nothing found"),
)


def _period(windows: Sequence[WindowSummary]) -> str:
    count = "1 window" if len(windows) == 1 else f"{len(windows):,} windows"
    return f"{count}, {minute(windows[0].window.start)} to {minute(windows[-1].window.end)}"


# ---------------------------------------------------------------- the heatmap


@dataclass(frozen=True, slots=True)
class _Column:
    """Windows that are drawn together, and the interval of the axis they are drawn in."""

    windows: Sequence[WindowSummary]
    start: float
    end: float

    def level(self, of: Callable[[WindowSummary], CellLevel | None]) -> Span | None:
        """Return the worst level of the windows that have one."""
        levels = [level for window in self.windows if (level := of(window)) is not None]
        return Span(self.start, self.end, worst_level(levels)) if levels else None


def _columns(windows: Sequence[WindowSummary], step: timedelta, axis: Axis) -> list[_Column]:
    """Return the columns of the heatmap: windows so near that they would be drawn in one place are one column."""
    place = [int(_MOST_COLUMNS * axis.x(window.window.end) / (WIDTH + 1)) for window in windows]
    groups = [[window for _, window in group] for _, group in groupby(zip(place, windows, strict=True), itemgetter(0))]
    columns, drawn_to = [], axis.start
    for group in groups:
        start = max(group[0].window.end - step, drawn_to)
        drawn_to = max(group[-1].window.end, drawn_to)
        columns.append(_Column(group, axis.x(start), axis.x(drawn_to)))
    return columns


def _overview(windows: Sequence[WindowSummary], step: timedelta, axis: Axis, links: Links) -> str:
    columns = _columns(windows, step, axis)
    features, left_out = _features(windows)
    rows = [
        ("<b>All</b>", _spans(columns, lambda window: window.level)),
        *((name, _spans(columns, of)) for name, of in _sections(windows)),
        ("prediction score", _spans(columns, lambda window: window.score.level if window.score else None)),
        *((f"<i>{breakable(name)}</i>", _spans(columns, _level_of(name))) for name in features),
    ]
    drawn = [(name, spans) for name, spans in rows if spans]
    targets = (Target(column.start, column.end, _told(column), _href(column, links)) for column in columns)
    rest = f'<p class="soft">{left_out:,} more features, less bad than these, are not drawn.</p>' if left_out else ""
    legend = "".join(f'<span class="{level}">{name}</span>' for level, name in _LEGEND)
    return (
        f'<h2>Found over time</h2>\n<section class="card chart-card"><div class="levels">{legend}</div>\n'
        f"{heatmap(drawn, targets, axis)}{rest}</section>\n"
    )


_LEGEND = (
    *((CellLevel(severity.value), severity.value) for severity in reversed(ALERTING)),
    (CellLevel.MOVED, "beyond noise, below thresholds"),
    (CellLevel.QUIET, "within noise"),
    (CellLevel.UNMEASURED, "not measured"),
)


def _spans(columns: Sequence[_Column], of: Callable[[WindowSummary], CellLevel | None]) -> list[Span]:
    return [span for column in columns if (span := column.level(of)) is not None]


def _sections(windows: Sequence[WindowSummary]) -> Iterator[tuple[str, Callable[[WindowSummary], CellLevel | None]]]:
    """Yield the sections in which anything was found; where nothing was, nothing is known but that."""

    def found_in(section: str) -> Callable[[WindowSummary], CellLevel | None]:
        def level(window: WindowSummary) -> CellLevel | None:
            severity = window.sections.get(section)
            return None if severity is None else CellLevel(severity.value)

        return level

    for section in dict.fromkeys(name for window in windows for name in window.sections):
        yield safe(section_noun(section)), found_in(section)


def _level_of(feature: str) -> Callable[[WindowSummary], CellLevel | None]:
    return lambda window: window.features[feature].level if feature in window.features else None


def _features(windows: Sequence[WindowSummary]) -> tuple[list[str], int]:
    """Return the features to draw, worst first, and how many are left out."""
    found: Counter[str] = Counter()
    worst: dict[str, FeatureSummary] = {}
    for window in windows:
        for name, feature in window.features.items():
            found[name] += 0 if feature.severity is None else 1 + 1000 * ALERTING.index(feature.severity)
            if name not in worst or feature.rank > worst[name].rank:
                worst[name] = feature
    ordered = sorted(worst, key=lambda name: (-worst[name].rank[0], -found[name], -worst[name].rank[1], name))
    return ordered[:_MOST_FEATURES], len(ordered[_MOST_FEATURES:])


def _told(column: _Column) -> str:
    """Return what pointing at a column says: the worst of its windows."""
    window = _worst(column)
    lines = [f"{span(window.window)}: {window.verdict}"]
    if worst := window.worst_feature:
        lines.append(f"{worst[0]}{_psi(worst[1])}")
    if len(column.windows) > 1:
        lines.append(f"the worst of {len(column.windows)} windows")
    return "; ".join(lines)


def _href(column: _Column, links: Links) -> str:
    return links.report(_worst(column).window)


def _worst(column: _Column) -> WindowSummary:
    return max(column.windows, key=lambda window: window.level.rank)


def _psi(feature: FeatureSummary) -> str:
    return f" PSI {feature.psi.value:.3f}" if feature.psi else f" {feature.status.value.replace('_', ' ')}"


# ---------------------------------------------------------------- the lines


def _charts(windows: Sequence[WindowSummary], step: timedelta, axis: Axis) -> Iterator[str]:
    """Yield the charts for which there are values."""
    reach = 1.5 * step

    def series(points: list[tuple[datetime, float | None]], kind: str) -> Line:
        inside = [(moment, value) for moment, value in points if moment >= axis.start]
        return Line(kind, broken(inside, reach, axis))

    by_end = [(window.window.end, window) for window in windows]
    yield _chart(
        "Mean score",
        (("now", "scores"), ("then", "reference")),
        [
            series([(end, window.score_mean) for end, window in by_end], "now"),
            series([(end, window.score.reference_mean if window.score else None) for end, window in by_end], "then"),
        ],
        axis,
    )
    outcomes = [window.outcomes for window in windows if window.outcomes]
    yield _chart(
        "Outcomes",
        (("now", "mean outcome"), ("predicted", "mean prediction")),
        [
            series([(item.window.end, item.observed_mean) for item in outcomes], "now"),
            series([(item.window.end, item.predicted_mean) for item in outcomes], "predicted"),
        ],
        axis,
    )
    gaps = [(window.concept.sample, window.concept) for window in windows if window.concept and window.concept.sample]
    limits = [(sample.window_end, _limits(found.expected_gap, found.gap_deviation)) for sample, found in gaps]
    yield _chart(
        "Gap: prediction minus outcome",
        (("now", "gap"), ("then", "expected"), ("limit", "noise of one window")),
        [
            series([(sample.window_end, sample.gap) for sample, _ in gaps], "now"),
            series([(sample.window_end, found.expected_gap) for sample, found in gaps], "then"),
            series([(end, low) for end, (low, _) in limits], "limit"),
            series([(end, high) for end, (_, high) in limits], "limit"),
        ],
        axis,
    )


def _limits(expected: float | None, deviation: float | None) -> tuple[float | None, float | None]:
    if expected is None or deviation is None:
        return None, None
    return expected - _NOISE * deviation, expected + _NOISE * deviation


def _chart(title: str, keys: Sequence[tuple[str, str]], lines: Sequence[Line], axis: Axis) -> str:
    measured = any(value is not None for _, value in lines[0].points)
    drawing = line_chart(lines, axis, title) if measured else ""
    if not drawing:
        return ""
    legend = "".join(f'<span class="line {kind}">{name}</span>' for kind, name in keys)
    return (
        f'<h2>{title}</h2>\n<section class="card chart-card"><div class="legend">{legend}</div>\n{drawing}</section>\n'
    )


# ---------------------------------------------------------------- the list


_COLUMNS = (
    ("Window, UTC", ""),
    ("Found", ""),
    ("Worst feature", ""),
    ("PSI", "number"),
    ("Drift type", ""),
    ("Rows", "number wide"),
    ("Score", "number wide"),
    ("Outcomes", "number wide"),
    ("Gap", "number wide"),
)


def _table(windows: Sequence[WindowSummary], links: Links) -> str:
    found = [window for window in reversed(windows) if window.is_found]
    if not found:
        return '<h2>Windows with findings</h2>\n<div class="card remarks"><p>None.</p></div>\n'
    head = "".join(f'<th class="{kind}">{title}</th>' for title, kind in _COLUMNS)
    body = "".join(_row(window, links) for window in found[:_MOST_LISTED])
    older = len(found) - _MOST_LISTED
    rest = f'<p class="soft">{older:,} older ones are not listed.</p>\n' if older > 0 else ""
    return (
        '<h2>Windows with findings</h2>\n<div class="card table"><table>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table></div>\n{rest}"
    )


def _row(window: WindowSummary, links: Links) -> str:
    level = window.level
    when, address = safe(span(window.window).removesuffix(" UTC")), links.report(window.window)
    name, feature = window.worst_feature or ("", None)
    cells = (
        f'<a href="{safe(address)}">{when}</a>' if address else when,
        f'<span class="pill">{safe(window.verdict)}</span>',
        breakable(name),
        "" if feature is None else f"{feature.psi.value:.3f}" if feature.psi else safe(_psi(feature)),
        window.drift_type.kind.value.replace("_", " ") if window.drift_type else "",
        f"{window.rows:,}",
        _number(window.score_mean),
        _number(window.observed_mean),
        "" if window.gap is None else f"{window.gap.gap:+.3g}",
    )
    columns = "".join(f'<td class="{kind}">{cell}</td>' for cell, (_, kind) in zip(cells, _COLUMNS, strict=True))
    shown = "" if level is CellLevel.UNMEASURED else level
    return f'<tr class="{shown}" id="{key_of(window.window)}">{columns}</tr>\n'


def _number(value: float | None) -> str:
    return "" if value is None else number(value)
