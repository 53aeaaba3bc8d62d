"""An evaluation as one page: no scripts, no external requests, light or dark by the reader's setting."""

from collections.abc import Iterator
from datetime import timedelta
from html import escape
from importlib.resources import files

from mlvitals.evaluation.alerts import Firing
from mlvitals.evaluation.scoring import Catch, Evaluation, FaultResult, subject
from mlvitals.evaluation.wording import after, lasting, verdict
from mlvitals.exporters.wording import printable
from mlvitals.generator.spec.model import Severity

_WIDTH, _LEFT, _ROW, _HEAD = 1000, 250, 22, 58
_WEEK = timedelta(days=7)
_SHOWN = (Severity.WARNING, Severity.CRITICAL)
_STYLE = """
svg.time text { font-size: 12px; fill: currentColor; } svg.time .soft { opacity: .6; } svg.time .end { text-anchor: end; }
svg.time .fault { fill: #7a869a; opacity: .18; } svg.time .settling { fill: #7a869a; opacity: .08; }
svg.time .benign { fill: #2a9d5c; opacity: .2; } svg.time line { stroke: currentColor; opacity: .15; }
svg.time .warning { fill: #d99a00; } svg.time .critical { fill: #d03a3a; }
"""


def evaluation_page(evaluation: Evaluation) -> str:
    """Render an evaluation as a complete HTML document."""
    title = escape(
        f"{printable(evaluation.system)}: evaluation {evaluation.start:%Y-%m-%d} to {evaluation.end:%Y-%m-%d}"
    )
    style = files("mlvitals.exporters.publish.html").joinpath("page.css").read_text("utf-8") + _STYLE
    body = "".join(
        (_header(evaluation), _timeline(evaluation), _faults(evaluation), _alarms(evaluation), _remarks(evaluation))
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n"
    )


def _text(value: str) -> str:
    return escape(printable(value))


def _header(evaluation: Evaluation) -> str:
    caught = sum(result.caught for result in evaluation.faults)
    kind = "ok" if evaluation.is_perfect else "critical"
    pills = (
        f'<span class="pill {kind}">{caught} of {len(evaluation.faults)} faults caught at their layer</span>'
        f'<span class="pill {"critical" if evaluation.false_pages else "ok"}">{evaluation.false_pages} false pages</span>'
        f'<span class="pill">{evaluation.fault_free_days:.1f} days without a fault</span>'
    )
    return (
        f'<header>\n<h1>{_text(evaluation.system)}</h1>\n<p class="window">'
        f"{evaluation.start:%Y-%m-%d} to {evaluation.end:%Y-%m-%d}, "
        f'{evaluation.windows:,} windows, rules every {evaluation.step_seconds / 60:g} min</p>\n<p class="verdict">{pills}</p>\n'
        "</header>\n"
    )


# ---------------------------------------------------------------- the plot


def _timeline(evaluation: Evaluation) -> str:
    """Draw faults as bands, and below them the firings, one row for each alert."""
    names = sorted({firing.alert for firing in evaluation.firings if firing.severity in _SHOWN})
    height = _HEAD + _ROW * (len(evaluation.faults) + len(names)) + 30
    elements = "".join((*_weeks(evaluation, height), *_bands(evaluation, height), *_firings(evaluation, names)))
    return (
        '<h2>Faults and alerts</h2>\n<div class="card table">'
        f'<svg class="time" viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="Faults and alerts over time">'
        f"{elements}</svg></div>\n"
    )


def _x(evaluation: Evaluation, seconds: float) -> float:
    length = (evaluation.end - evaluation.start).total_seconds()
    return _LEFT + (_WIDTH - _LEFT - 10) * min(1.0, max(0.0, seconds / length))


def _weeks(evaluation: Evaluation, height: int) -> Iterator[str]:
    moment = evaluation.start
    while moment <= evaluation.end:
        x = _x(evaluation, (moment - evaluation.start).total_seconds())
        yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="30" y2="{height}"/>'
        yield f'<text class="soft" x="{x:.1f}" y="22">{moment:%d %b}</text>'
        moment += _WEEK


def _bands(evaluation: Evaluation, height: int) -> Iterator[str]:
    for index, result in enumerate(evaluation.faults):
        fault = result.fault
        times = (fault.start, fault.end, fault.settled)
        start, end, settled = (_x(evaluation, (time - evaluation.start).total_seconds()) for time in times)
        top = _HEAD - 20 + _ROW * index
        kind = "fault" if fault.pages else "benign"
        for css, left, right in ((kind, start, end), ("settling", end, settled)):
            yield f'<rect class="{css}" x="{left:.1f}" y="{top}" width="{max(1.5, right - left):.1f}" height="{height - top}"/>'
        yield f'<text class="end" x="{_LEFT - 8}" y="{top + 15}">{_text(fault.name)}</text>'
        yield f'<line x1="{_LEFT}" x2="{start:.1f}" y1="{top + 11}" y2="{top + 11}"/>'


def _firings(evaluation: Evaluation, names: list[str]) -> Iterator[str]:
    rows = {name: _HEAD + _ROW * (len(evaluation.faults) + index) for index, name in enumerate(names)}
    for name, top in rows.items():
        yield f'<text class="end soft" x="{_LEFT - 8}" y="{top + 14}">{_text(name)}</text>'
    for severity in _SHOWN:  # pages over warnings
        for left, right, name in _merged(
            evaluation, [item for item in evaluation.firings if item.severity is severity]
        ):
            width = max(2.0, right - left)
            yield f'<rect class="{severity}" x="{left:.1f}" y="{rows[name] + 4}" width="{width:.1f}" height="12"/>'


def _merged(evaluation: Evaluation, firings: list[Firing]) -> Iterator[tuple[float, float, str]]:
    """Yield the intervals in which an alert fires for any labels."""
    open_ones: dict[str, tuple[int, int]] = {}
    for firing in firings:
        start, end = open_ones.get(firing.alert, (firing.start, firing.start))
        if firing.start > end:
            yield _bar(evaluation, start, end, firing.alert)
            start, end = firing.start, firing.end
        open_ones[firing.alert] = (start, max(end, firing.end))
    for name, (start, end) in open_ones.items():
        yield _bar(evaluation, start, end, name)


def _bar(evaluation: Evaluation, start: int, end: int, name: str) -> tuple[float, float, str]:
    return _x(evaluation, start * evaluation.step_seconds), _x(evaluation, end * evaluation.step_seconds), name


# ---------------------------------------------------------------- the tables


def _table(title: str, heads: tuple[str, ...], rows: Iterator[str]) -> str:
    head = "".join(f"<th>{name}</th>" for name in heads)
    return (
        f'<h2>{title}</h2>\n<div class="card table"><table>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{''.join(rows)}</tbody></table></div>\n"
    )


def _faults(evaluation: Evaluation) -> str:
    heads = ("Fault", "Layer", "Verdict", "First at its layer", "First of all", "First page", "Drift type")
    return _table("All faults", heads, map(_fault_row, evaluation.faults))


def _fault_row(result: FaultResult) -> str:
    fault = result.fault
    kind = "ok" if result.caught and not result.false_page else "critical"
    drift = result.drift_type or "-"
    wrong = f" (expected {' or '.join(fault.drift_types)})" if result.drift_type_right is False else ""
    cells = (
        f"<b>{_text(fault.name)}</b><br><small>{fault.start:%Y-%m-%d %H:%M} to {fault.end:%Y-%m-%d %H:%M}, "
        f"strength {fault.strength:g}</small>",
        _text(fault.layer),
        f'<span class="pill {kind}">{verdict(result)}</span>',
        _catch(result.first_of_layer),
        _catch(result.first),
        _catch(result.page),
        _text(drift + wrong),
    )
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>\n"


def _catch(catch: Catch | None) -> str:
    if catch is None:
        return "-"
    about = subject(catch.labels)
    detail = f"<br><small>{_text(about)}</small>" if about else ""
    return f'<span class="{catch.severity}">{_text(catch.alert)}</span> {after(catch.delay_seconds)}{detail}'


def _alarms(evaluation: Evaluation) -> str:
    if not evaluation.false_alarms:
        return '<h2>False alarms</h2>\n<div class="card remarks"><p>No alert fired while nothing was wrong.</p></div>\n'
    rows = (
        f'<tr><td><span class="{alarm.severity}">{_text(alarm.alert)}</span></td><td>{alarm.severity}</td>'
        f"<td>{_text(alarm.layer)}</td><td>{alarm.times}</td><td>{alarm.per_day:.2f}</td>"
        f"<td>{lasting(alarm.seconds)} ({alarm.share:.1%})</td>"
        f"<td>{alarm.first:%Y-%m-%d %H:%M} {_text(subject(alarm.labels))}</td></tr>\n"
        for alarm in evaluation.false_alarms
    )
    return _table("False alarms", ("Alert", "Severity", "Layer", "Times", "Per day", "Lasted", "First"), rows)


def _remarks(evaluation: Evaluation) -> str:
    lines = [f"Not evaluated: {alert}: {reason}" for alert, reason in evaluation.not_understood.items()]
    if evaluation.without_data:
        lines.append(f"Not tested, for lack of data in this history: {', '.join(evaluation.without_data)}.")
    items = "".join(f"<p>{_text(line)}</p>" for line in lines)
    return f'<h2>Not evaluated</h2>\n<div class="card remarks">{items}</div>\n' if items else ""
