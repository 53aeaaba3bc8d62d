"""Text from a spec on a dashboard: shown as it was written, never expanded; and expressions under the feature filter."""

import re
from collections.abc import Collection

FEATURE_MATCHER = 'feature_name=~"$feature_name"'

_EXPANDED = re.compile(r"\$(?=[\w{])|\[(?=\[)")
_WORD_JOINER = "\u2060"
_TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|(?P<name>[A-Za-z_:][\w:]*)(?P<brace>\{)?')


def literal(text: str) -> str:
    """Keep Grafana from taking ``$x``, ``${x}`` or ``[[x]]`` for a variable: an invisible word joiner parts them."""
    return _EXPANDED.sub(lambda found: found[0] + _WORD_JOINER, text)


def literal_strings(expression: str) -> str:
    """The same PromQL without ``[[``, which can stand only in its strings and which Grafana would expand.

    The dollar sign needs no care here: `generator.promql.quote` never writes it.
    """
    return expression.replace("[[", r"[\x5b")


def literal_url(url: str) -> str:
    """The same address without a dollar sign that Grafana could expand."""
    return url.replace("$", "%24")


def of_chosen_features(expression: str, metrics: Collection[str]) -> str:
    """Restrict every selector of the given metrics to the features that are chosen at the top of the dashboard.

    It works on tokens: metric names are told from labels and functions by their system prefix, and what stands
    inside a string is left alone.
    """

    def restricted(token: re.Match[str]) -> str:
        if token["name"] not in metrics:
            return token[0]
        return f"{token['name']}{{{FEATURE_MATCHER}" + ("," if token["brace"] else "}")

    return _TOKEN.sub(restricted, expression)
