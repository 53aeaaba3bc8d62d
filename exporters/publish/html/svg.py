"""Elements that the drawings of the pages share: SVG without any style of its own, by class."""

from html import escape

_LABEL_CHARACTERS = 24


def text(x: float, y: float, content: str, kind: str) -> str:
    """Return a text element, given the classes that the page's style knows."""
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(content)}</text>'


def shortened(label: str) -> str:
    """Return a label that fits before its bar."""
    return label if len(label) <= _LABEL_CHARACTERS else f"{label[: _LABEL_CHARACTERS - 1]}…"
