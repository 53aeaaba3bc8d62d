"""Text from a spec on a dashboard: shown as it was written, never expanded."""

import re

_EXPANDED = re.compile(r"\$(?=[\w{])|\[(?=\[)")
_WORD_JOINER = "\u2060"


def literal(text: str) -> str:
    """Keep Grafana from taking ``$x``, ``${x}`` or ``[[x]]`` for a variable: an invisible word joiner parts them."""
    return _EXPANDED.sub(lambda found: found[0] + _WORD_JOINER, text)


def literal_strings(expression: str) -> str:
    """The same PromQL without ``[[``, which can stand only in its strings and which Grafana would expand.

    The dollar sign needs no care here: `mlvitals.generator.promql.quote` never writes it.
    """
    return expression.replace("[[", r"[\x5b")


def literal_url(url: str) -> str:
    """The same address without a dollar sign that Grafana could expand."""
    return url.replace("$", "%24")
