"""Text from a spec on a dashboard: shown as written, never expanded."""

import re

_EXPANDED = re.compile(r"\$(?=[\w{])|\[(?=\[)")
_WORD_JOINER = "\u2060"


def literal(text: str) -> str:
    """Keep Grafana from reading ``$x``, ``${x}`` or ``[[x]]`` as a variable: an invisible word joiner separates them."""
    return _EXPANDED.sub(lambda found: found[0] + _WORD_JOINER, text)


def literal_strings(expression: str) -> str:
    """Return the same PromQL without ``[[``, which can occur only in its strings and which Grafana would expand.

    The dollar sign needs no care here: `mlvitals.generator.promql.quote` never writes it.
    """
    return expression.replace("[[", r"[\x5b")


def literal_url(url: str) -> str:
    """Return the same address without a dollar sign that Grafana could expand."""
    return url.replace("$", "%24")
