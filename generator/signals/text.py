"""Alert texts: one definition gives the Go template for Prometheus and the text it must render to in a test.

A text is a sequence of pieces. Text from a spec enters only as a literal, which is escaped, so that nothing in a
name or a description is ever expanded.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol
from urllib.parse import quote_plus

from mlvitals.generator.promql import number, quote


class Format(StrEnum):
    """The format of a value in an alert."""

    NUMBER = "number"
    PERCENT = "percent"
    DURATION = "duration"


_BRACES = re.compile(r"\{{2,}|\{\Z")
_PIPES = {
    Format.NUMBER: 'printf "%.3g"',
    Format.PERCENT: "humanizePercentage",
    Format.DURATION: "humanizeDuration",
}


def figure(value: float, form: Format) -> str:
    """Format a value exactly as Prometheus' template functions do."""
    if form is Format.PERCENT:
        return f"{value * 100:.4g}%"
    if form is Format.DURATION:
        return _humanize_duration(value)
    return f"{value:.3g}"


def threshold(value: float, form: Format) -> str:
    """Format a limit from the spec, exactly."""
    return number(value) if form is Format.NUMBER else figure(value, form)


def _humanize_duration(value: float) -> str:
    if value == 0:
        return "0s"
    if abs(value) < 1:
        thousands = next((n for n in range(1, 9) if abs(value) * 1000**n >= 1), 8)
        return f"{value * 1000**thousands:.4g}{'munpfazy'[thousands - 1]}s"
    sign, value = ("-", -value) if value < 0 else ("", value)
    minutes, seconds = divmod(int(value), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{sign}{days}d {hours}h {minutes}m {seconds}s"
    if hours:
        return f"{sign}{hours}h {minutes}m {seconds}s"
    if minutes:
        return f"{sign}{minutes}m {seconds}s"
    return f"{sign}{value:.4g}s"


@dataclass(frozen=True, slots=True)
class Sample:
    """A stored sample: metric name, labels, value."""

    metric: str
    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Situation:
    """The context of rendering a text: the alert's value and labels, and the samples that a query would find."""

    value: float
    labels: Mapping[str, str]
    samples: tuple[Sample, ...] = ()
    found: Sample | None = None

    def find(self, metric: str, labels: Mapping[str, str]) -> Sample | None:
        """Return the first sample of a metric that carries all the labels."""
        return next(self.find_all(metric, labels), None)

    def find_all(self, metric: str, labels: Mapping[str, str]) -> Iterator[Sample]:
        """Return the samples of a metric that carry all the labels; an empty one is one that is missing."""
        return (
            sample
            for sample in self.samples
            if sample.metric == metric and all(sample.labels.get(name, "") == value for name, value in labels.items())
        )


class Piece(Protocol):
    """A part of a text."""

    def template(self) -> str:
        """Return the Go template."""

    def rendered(self, situation: Situation) -> str:
        """Render the text in a situation."""


@dataclass(frozen=True, slots=True)
class Literal:
    """Text that stands for itself."""

    text: str

    def template(self) -> str:
        """Return the text with escaped template braces, including a last brace, which could join one of the next piece."""
        return _BRACES.sub(lambda braces: f'{{{{ "{braces[0]}" }}}}', self.text)

    def rendered(self, situation: Situation) -> str:
        """Return the text itself."""
        return self.text


@dataclass(frozen=True, slots=True)
class Value:
    """The value of the alert."""

    format: Format

    def template(self) -> str:
        """Return the value, piped through its format."""
        return f"{{{{ $value | {_PIPES[self.format]} }}}}"

    def rendered(self, situation: Situation) -> str:
        """Return the formatted value."""
        return figure(situation.value, self.format)


@dataclass(frozen=True, slots=True)
class LabelOf:
    """The value of a label of the alert, escaped for a URL if requested."""

    name: str
    in_url: bool = False

    def template(self) -> str:
        """Return the label."""
        return f"{{{{ $labels.{self.name}{' | urlquery' if self.in_url else ''} }}}}"

    def rendered(self, situation: Situation) -> str:
        """Return the label's value."""
        text = situation.labels.get(self.name, "")
        return quote_plus(text) if self.in_url else text


@dataclass(frozen=True, slots=True)
class IfLabel:
    """The value of a label of the alert, with text around it; empty where the alert has no such label."""

    name: str
    before: str
    after: str

    def template(self) -> str:
        """Return a `with` around the label."""
        before, after = Literal(self.before).template(), Literal(self.after).template()
        return f"{{{{ with $labels.{self.name} }}}}{before}{{{{ . }}}}{after}{{{{ end }}}}"

    def rendered(self, situation: Situation) -> str:
        """Return the text, if the label has a value."""
        value = situation.labels.get(self.name, "")
        return f"{self.before}{value}{self.after}" if value else ""


@dataclass(frozen=True, slots=True)
class FoundLabel:
    """A label of the sample that the surrounding `Found` found."""

    name: str

    def template(self) -> str:
        """Return the label of the found sample."""
        return f'{{{{ . | first | label "{self.name}" }}}}'

    def rendered(self, situation: Situation) -> str:
        """Return the label's value."""
        assert situation.found is not None
        return situation.found.labels.get(self.name, "")


@dataclass(frozen=True, slots=True)
class FoundValue:
    """The value of the sample that the surrounding `Found` found."""

    format: Format

    def template(self) -> str:
        """Return the value of the found sample."""
        return f"{{{{ . | first | value | {_PIPES[self.format]} }}}}"

    def rendered(self, situation: Situation) -> str:
        """Return the formatted value."""
        assert situation.found is not None
        return figure(situation.found.value, self.format)


def _asked(by: Iterable[str], fixed: Mapping[str, str]) -> str:
    """Return matchers inside a raw string that `printf` formats: labels of the alert, and fixed values as they are."""
    values = (f"{name}={quote(value)}" for name, value in fixed.items())
    return ",".join(
        [*(f"{name}=%q" for name in by), *(each.replace("%", "%%").replace("`", r"\x60") for each in values)]
    )


@dataclass(frozen=True, slots=True)
class Found:
    """Text about another sample, looked up by labels of the alert; empty if there is no such sample.

    A query in the text rather than a join in the expression: the alert keeps its identity, and so its `for`,
    when another bin becomes the top one.
    """

    metric: str
    by: tuple[str, ...]
    fixed: Mapping[str, str]
    pieces: tuple[Piece, ...]
    above: float | None = None
    """Only a sample above this value counts."""
    below: float | None = None
    """Only a sample below this value counts."""

    def template(self) -> str:
        """Return a `with` around the query."""
        matchers = _asked(self.by, self.fixed)
        labels = "".join(f" $labels.{name}" for name in self.by)
        inside = "".join(piece.template() for piece in self.pieces)
        limits = ((" > ", self.above), (" < ", self.below))
        condition = "".join(f"{sign}{number(limit)}" for sign, limit in limits if limit is not None)
        return f"{{{{ with printf `{self.metric}{{{matchers}}}{condition}`{labels} | query }}}}{inside}{{{{ end }}}}"

    def rendered(self, situation: Situation) -> str:
        """Return the text, or nothing."""
        wanted = {**{name: situation.labels.get(name, "") for name in self.by}, **self.fixed}
        found = next(filter(self._counts, situation.find_all(self.metric, wanted)), None)
        if found is None:
            return ""
        inner = Situation(situation.value, situation.labels, situation.samples, found)
        return "".join(piece.rendered(inner) for piece in self.pieces)

    def _counts(self, sample: Sample) -> bool:
        return (self.above is None or sample.value > self.above) and (self.below is None or sample.value < self.below)


@dataclass(frozen=True, slots=True)
class Listed:
    """A label of other samples, looked up by labels of the alert: the first `most` of them, in alphabetical order."""

    metric: str
    by: tuple[str, ...]
    label: str
    most: int = 30
    fixed: Mapping[str, str] = field(default_factory=dict)

    def template(self) -> str:
        """Return a `range` over the query."""
        matchers = _asked(self.by, self.fixed)
        labels = "".join(f" $labels.{name}" for name in self.by)
        query = f'printf `{self.metric}{{{matchers}}}`{labels} | query | sortByLabel "{self.label}"'
        named = f'{{{{ if $place }}}}, {{{{ end }}}}{{{{ $found | label "{self.label}" }}}}'
        more = f"{{{{ else if eq $place {self.most} }}}} and more"
        each = f"{{{{ if lt $place {self.most} }}}}{named}{more}{{{{ end }}}}"
        return f"{{{{ range $place, $found := {query} }}}}{each}{{{{ end }}}}"

    def rendered(self, situation: Situation) -> str:
        """Return the names, separated by commas."""
        wanted = {**{name: situation.labels.get(name, "") for name in self.by}, **self.fixed}
        found = sorted(sample.labels.get(self.label, "") for sample in situation.find_all(self.metric, wanted))
        return ", ".join(found[: self.most]) + (" and more" if len(found) > self.most else "")


@dataclass(frozen=True, slots=True)
class AlertText:
    """A whole text."""

    pieces: tuple[Piece, ...]

    def template(self) -> str:
        """Return the Go template of the whole."""
        return "".join(piece.template() for piece in self.pieces)

    def rendered(self, situation: Situation) -> str:
        """Render the text that Prometheus will send in a situation."""
        return "".join(piece.rendered(situation) for piece in self.pieces)


def text(*pieces: Piece | str) -> AlertText:
    """Make a text of pieces and plain strings."""
    return AlertText(tuple(Literal(piece) if isinstance(piece, str) else piece for piece in pieces))
