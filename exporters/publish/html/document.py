"""The frame of every page: the document around its parts, and text made safe. No script, no request to anywhere."""

from functools import cache
from html import escape
from importlib.resources import files

from mlvitals.exporters.wording import printable


def document(title: str, body: str, footer: str) -> str:
    """Return a whole HTML document.

    Args:
        title: plain text.
        body: HTML of the page's parts.
        footer: HTML of its last lines.
    """
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{safe(title)}</title>\n<style>\n{_style()}</style>\n</head>\n"
        f"<body>\n<main>\n{body}<footer>{footer}</footer>\n</main>\n</body>\n</html>\n"
    )


@cache
def _style() -> str:
    return files(__package__).joinpath("page.css").read_text("utf-8")


def safe(text: str) -> str:
    """Return text of unknown origin, safe between tags and within quotes."""
    return escape(printable(text))


def breakable(name: str) -> str:
    """Return a name, safe, that may be broken after its underscores."""
    return safe(name).replace("_", "_<wbr>")


def facts(items: dict[str, str], kind: str = "") -> str:
    """Return a list of names and values; both are HTML."""
    rows = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in items.items())
    return f'<dl class="{kind}">{rows}</dl>\n'
