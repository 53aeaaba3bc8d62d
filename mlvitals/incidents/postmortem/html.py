"""A post-mortem as one page: the text as people left it, with the feature's PSI over time and its cells. No script."""

import re
from collections.abc import Iterator
from html import escape
from importlib.resources import files

from mlvitals.exporters.publish.html.charts import bin_chart
from mlvitals.exporters.sections.features.report import Bin
from mlvitals.incidents.analysis.fault import Fault
from mlvitals.incidents.analysis.whole import Analysis
from mlvitals.incidents.evidence import WindowFacts
from mlvitals.incidents.postmortem.chart import charts

_STYLE = """
main { max-width: 900px; } article > p, article > ul { max-width: 78ch; }
article { overflow-wrap: break-word; } code { font-size: 13px; }
blockquote { margin: 14px 0; padding: 8px 16px; border-left: 4px solid var(--warning); background: var(--warning-wash); }
blockquote p { margin: 0; } .card.plot { padding: 16px 20px; margin: 14px 0 22px; }
.chart .line { fill: none; stroke: var(--current); stroke-width: 2; } .chart .dot { fill: var(--current); }
.chart .noise { fill: none; stroke: var(--reference); stroke-width: 1.5; stroke-dasharray: 4 4; }
.chart .mark { stroke: var(--critical); stroke-width: 1.2; stroke-dasharray: 2 3; }
.chart .mark-text { fill: var(--critical); font-size: 11.5px; }
.table { margin: 12px 0 20px; } td:first-child { white-space: nowrap; }
"""
_COMMENT = re.compile(r"^<!-- (/?)mlvitals:(\w+)(?: [0-9a-f]{12})? -->$")
_INLINE = re.compile(
    r"\\(?P<escaped>.)|&(?P<entity>lt|gt|amp);|`(?P<code>[^`]+)`|\*\*(?P<bold>.+?)\*\*"
    r"|\[(?P<text>[^\]]+)\]\((?P<url>https?://[^)\s]+)\)"
)
_ENTITIES = {"lt": "&lt;", "gt": "&gt;", "amp": "&amp;"}
_CELL = re.compile(r"(?<!\\)\|")
_RULE = re.compile(r"^\|[\s:|-]*-[\s:|-]*\|$")


def postmortem_page(text: str, analysis: Analysis) -> str:
    """Return the page of a post-mortem: its Markdown, and plots at the end of the sections on impact and the model."""
    title = escape(f"Post-mortem: {analysis.incident.title}")
    style = files("mlvitals.exporters.publish.html").joinpath("page.css").read_text("utf-8")
    body = "\n".join(_blocks(text.split("\n"), _plots(analysis)))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>\n{style}{_STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n<article>\n{body}\n</article>\n</main>\n</body>\n</html>\n"
    )


# ---------------------------------------------------------------- Markdown as the post-mortem uses it


def _blocks(lines: list[str], plots: dict[str, str]) -> Iterator[str]:
    """Headings, paragraphs, lists, tables and quotes; the plots of a region follow where it ends."""
    place = 0
    while place < len(lines):
        line = lines[place]
        end = place + 1
        if comment := _COMMENT.match(line):
            if comment[1]:
                yield plots.get(comment[2], "")
        elif heading := re.match(r"(#{1,3})\s+(.*)", line):
            level = len(heading[1])
            yield f"<h{level}>{_inline(heading[2])}</h{level}>"
        elif line.strip():
            kind = _kind(line)
            while end < len(lines) and lines[end].strip() and _kind(lines[end]) == kind and not _is_single(lines[end]):
                end += 1
            yield _BLOCKS[kind](lines[place:end])
        place = end


def _kind(line: str) -> str:
    return {"|": "table", ">": "quote"}.get(line[0], "list" if line.startswith("- ") else "text")


def _is_single(line: str) -> bool:
    return line.startswith("#") or bool(_COMMENT.match(line))


def _quote(lines: list[str]) -> str:
    return "<blockquote>" + "".join(f"<p>{_inline(line[1:].strip())}</p>" for line in lines) + "</blockquote>"


def _list(lines: list[str]) -> str:
    return "<ul>" + "".join(f"<li>{_inline(line[2:])}</li>" for line in lines) + "</ul>"


def _paragraph(lines: list[str]) -> str:
    return f"<p>{_inline(' '.join(lines))}</p>"


def _table(lines: list[str]) -> str:
    head, *rows = [_CELL.split(line.strip().strip("|")) for line in lines if not _RULE.match(line.strip())]
    titles = "".join(f"<th>{_inline(cell.strip())}</th>" for cell in head)
    shown = f"<thead><tr>{titles}</tr></thead>" if any(cell.strip() for cell in head) else ""
    body = "".join("<tr>" + "".join(f"<td>{_inline(cell.strip())}</td>" for cell in row) + "</tr>\n" for row in rows)
    return f'<div class="card table"><table>{shown}<tbody>\n{body}</tbody></table></div>'


_BLOCKS = {"table": _table, "quote": _quote, "list": _list, "text": _paragraph}


def _inline(text: str) -> str:
    """Markup within a line; everything else is text, whatever it looks like."""
    parts, place = [], 0
    for found in _INLINE.finditer(text):
        parts.append(escape(text[place : found.start()]))
        parts.append(_markup(found))
        place = found.end()
    return "".join([*parts, escape(text[place:])])


def _markup(found: re.Match[str]) -> str:
    if found["escaped"]:
        return escape(found["escaped"])
    if found["entity"]:
        return _ENTITIES[found["entity"]]
    if found["code"]:
        return f"<code>{escape(found['code'])}</code>"
    if found["bold"]:
        return f"<strong>{_inline(found['bold'])}</strong>"
    return f'<a href="{escape(found["url"])}" rel="noreferrer">{_inline(found["text"])}</a>'


# ---------------------------------------------------------------- plots


def _plots(analysis: Analysis) -> dict[str, str]:
    """The plots by the region that they follow."""
    fault = analysis.fault
    if fault is None:
        return {}
    evidence = analysis.evidence
    drawn = "".join(charts(fault.feature, evidence.windows, evidence.lines, analysis.times))
    cells = "".join(_cells(fault, window, what) for window, what in _moments(fault))
    return {
        "impact": f'<div class="card plot">{drawn}</div>',
        "model": f'<div class="card plot">{cells}</div>' if cells else "",
    }


def _moments(fault: Fault) -> list[tuple[WindowFacts, str]]:
    moments = [(fault.before, "before"), (fault.worst, "worst window"), (fault.after, "after")]
    return [(window, what) for window, what in moments if window is not None]


def _cells(fault: Fault, window: WindowFacts, what: str) -> str:
    facts = fault.in_window(window)
    if not facts.bins:
        return ""
    bins = [Bin(label=cell.label, reference=cell.reference, current=cell.current, psi=cell.psi) for cell in facts.bins]
    title = f"{escape(fault.feature)}, {what}: {window.start:%Y-%m-%d %H:%M:%S} to {window.end:%H:%M:%S} UTC"
    legend = '<div class="legend"><span>reference</span><span class="now">window</span></div>'
    return f"<h3>{title}</h3>{legend}{bin_chart(bins)}"
