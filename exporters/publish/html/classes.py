"""Outcomes that are classes as parts of the page: the metrics of each class, and which was taken for which."""

from collections.abc import Callable, Iterator, Sequence
from html import escape
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlvitals.exporters.publish.html.document import safe
from mlvitals.exporters.publish.html.svg import shortened, text
from mlvitals.exporters.sections.outcomes.report import ClassesReport, ClassReport, Figure
from mlvitals.exporters.wording import number, printable, share

MOST_IN_MATRIX = 25
"""Classes of a drawn matrix; of more those are drawn that lost most of their recall."""
_WRITTEN_UP_TO = 12
"""In the cells of larger matrices no shares are written: they are said when pointed at."""
_OTHERS, _UNLISTED = "all others", "not listed"
_SIDE, _GAP = 330, 8
_SHORTEST, _LONGEST, _CHARACTER = 70, 190, 7.5
"""The room for names."""
_DARK = 0.6
"""Cells of this share and more are so dark that their text is light."""


def class_table(classes: ClassesReport) -> str:
    """Return the table of all classes, the worst first; every value of the window with that of the reference."""
    head = "".join(
        f"<th{' class=number' if index else ''}>{title}</th>"
        for index, title in enumerate(("Class", "Outcomes", "Share", "Recall", "Precision", "F1", "Recall lost"))
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(map(_row, classes.worst_first))}</tbody></table>\n"


def _row(item: ClassReport) -> str:
    loss = item.recall_loss
    lost = (
        ""
        if loss is None
        else f'<span class="{loss.severity or ""}">{share(loss.value)}</span> <small>noise {share(loss.critical_value)}</small>'
    )
    cells = (
        f"{item.true:,}",
        _compared(item.share, share),
        *(_compared(figure, number) for figure in (item.recall, item.precision, item.f1)),
        lost,
    )
    numbers = "".join(f'<td class="number">{cell}</td>' for cell in cells)
    return f"<tr><td>{safe(item.name)}</td>{numbers}</tr>"


def _compared(figure: Figure, written: Callable[[float], str]) -> str:
    value = "" if figure.value is None else written(figure.value)
    return value if figure.reference is None else f"{value} <small>({written(figure.reference)})</small>"


class _Drawn(NamedTuple):
    """A matrix as it is drawn: names of rows and columns, and counts."""

    names: list[str]
    counts: NDArray[np.int64]


def confusion_charts(classes: ClassesReport) -> str:
    """Return the matrices of the reference and of the window side by side, cells as shares of their row."""
    worst = {item.name for item in classes.worst_first[:MOST_IN_MATRIX]}
    kept = [place for place, item in enumerate(classes.classes) if item.name in worst]
    names = [item.name for item in classes.classes]
    matrices = [classes.matrix] if classes.reference_matrix is None else [classes.reference_matrix, classes.matrix]
    unlisted = any(any(matrix[-1]) or any(row[-1] for row in matrix) for matrix in matrices)
    titles = ["Now"] if classes.reference_matrix is None else ["Reference", "Now"]
    drawn = "".join(
        f"<div><h3>{title}</h3>{_chart(title, _folded(matrix, names, kept, unlisted=unlisted))}</div>"
        for title, matrix in zip(titles, matrices, strict=True)
    )
    return f'<div class="matrices">{drawn}</div>\n'


def _folded(matrix: Sequence[Sequence[int]], names: Sequence[str], kept: Sequence[int], *, unlisted: bool) -> _Drawn:
    """Return a matrix of the classes kept, of all others as one, and of those not listed where there are any."""
    counts, rest = np.array(matrix, np.int64), [place for place in range(len(names)) if place not in {*kept}]
    groups = [[place] for place in kept] + ([rest] if rest else []) + ([[len(names)]] if unlisted else [])
    rows = np.stack([counts[group].sum(axis=0) for group in groups])
    folded = np.stack([rows[:, group].sum(axis=1) for group in groups], axis=1)
    labels = [names[place] for place in kept] + ([_OTHERS] if rest else []) + ([_UNLISTED] if unlisted else [])
    return _Drawn(labels, folded)


def _chart(title: str, drawn: _Drawn) -> str:
    room = _room(drawn)
    width, height = room + _SIDE, room + _SIDE + 2
    label = escape(f"{title}: the predicted class by the true one")
    elements = "".join(_elements(drawn))
    return f'<svg class="chart matrix" viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{label}">{elements}</svg>'


def _room(drawn: _Drawn) -> float:
    """Return the room that the names take, before the rows and above the columns."""
    longest = max(len(shortened(printable(name))) for name in drawn.names)
    return min(max(_SHORTEST, _CHARACTER * longest + 2 * _GAP), _LONGEST)


def _elements(drawn: _Drawn) -> Iterator[str]:
    size, room = _SIDE / len(drawn.names), _room(drawn)
    for place, name in enumerate(drawn.names):
        middle = room + size * (place + 0.5)
        named = escape(shortened(printable(name)))
        yield text(room - _GAP, middle + 4, shortened(printable(name)), "label end")
        yield f'<text class="label" transform="translate({middle + 4:.1f} {room - _GAP:.1f}) rotate(-90)">{named}</text>'
    yield text(room - _GAP, room - _GAP - 14, "true \u2193", "tick end")
    yield text(room - _GAP, room - _GAP, "predicted \u2192", "tick end")
    for row, name in enumerate(drawn.names):
        whole = int(drawn.counts[row].sum())
        for column, count in enumerate(drawn.counts[row].tolist()):
            yield from _cell(row, column, size, count, whole, f"{name}, predicted as {drawn.names[column]}", drawn)


def _cell(row: int, column: int, size: float, count: int, whole: int, said: str, drawn: _Drawn) -> Iterator[str]:
    ratio = count / whole if whole else 0.0
    right = row == column and drawn.names[row] not in (_OTHERS, _UNLISTED)
    x, y = _room(drawn) + size * column, _room(drawn) + size * row
    yield f"<g><title>{escape(printable(said))}: {count:,} of {whole:,}</title>"
    yield (
        f'<rect class="{"hit" if right else "miss"}" x="{x:.1f}" y="{y:.1f}" width="{size - 1:.1f}" height="{size - 1:.1f}" '
        f'fill-opacity="{ratio:.3f}"/>'
    )
    if count and len(drawn.names) <= _WRITTEN_UP_TO:
        kind = f"value middle{' light' if ratio >= _DARK else ''}"
        yield text(x + size / 2, y + size / 2 + 4, f"{ratio:.0%}" if ratio >= 0.005 else "<1%", kind)
    yield "</g>"
