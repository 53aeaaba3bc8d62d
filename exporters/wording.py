"""Names and figures as people read them, on the terminal and on paper."""

from exporters.report import Bin, FeatureReport


def printable(text: str) -> str:
    """Text without characters that could steer a terminal or turn the reading direction."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


def sentence(text: str) -> str:
    """A remark as a sentence of its own."""
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}" if text else ""


def share(ratio: float) -> str:
    """A share of 1 in per cent: 0.402 -> 40.2%."""
    return f"{ratio:.1%}"


def number(value: float) -> str:
    """A figure in a unit of its own: four digits, or all of those before the point where they are more."""
    return f"{value:,.0f}" if 1_000 <= abs(value) < 1e15 or value == 0 else f"{value:.4g}"


def shift(item: Bin) -> str:
    """What happened to a bin: ``> 365: 0.0% to 40.2%``."""
    return f"{printable(item.label)}: {share(item.reference)} to {share(item.current)}"


def state(feature: FeatureReport) -> str:
    """The severity, else the status in words."""
    return feature.severity or feature.status.value.replace("_", " ")
