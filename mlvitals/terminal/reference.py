"""References on the terminal."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mlvitals.exporters.parts import Window
from mlvitals.exporters.reference.artifact import FeatureReference, Reference
from mlvitals.exporters.reference.diff import Change, Facts, FeatureDiff, ReferenceDiff
from mlvitals.exporters.statistics.judging import MINIMUM_VALUES
from mlvitals.exporters.wording import printable
from mlvitals.generator.contract import STATISTICS
from mlvitals.generator.spec.model import Condition


def reference_table(reference: Reference, console: Console) -> None:
    """Print a reference: its origin, and the baseline of each feature."""
    console.print(f"{reference.system} reference {reference.version}, created {reference.created:%Y-%m-%d %H:%M} UTC")
    console.print(f"rows       {reference.rows:,}")
    console.print(f"span       {_span(reference.span)}")
    console.print(f"condition  {_condition(reference)}")
    console.print(Text(f"model      {printable(reference.model_version or 'not given')}"))
    console.print(f"source     {reference.source_hash}")
    table = _table(("feature", "type", "values", "nulls", "mean", "std", "min", "median", "max"), 2)
    features = [*reference.features.items(), *([("(score)", reference.score)] if reference.score else [])]
    for name, feature in features:
        table.add_row(Text(printable(name)), *_figures(feature))
    console.print(table)


def diff_table(diff: ReferenceDiff, console: Console) -> None:
    """Print the differences between two references, features that changed most first."""
    console.print(f"{diff.system}: reference {diff.old.version} to {diff.new.version}")
    for title, old, new in zip(_FACTS, _facts(diff.old), _facts(diff.new), strict=True):
        console.print(Text(f"{title:<11}{old if old == new else f'{old} -> {new}'}"))
    columns = (statistic.column for statistic in STATISTICS)
    table = _table(("feature", "change", *columns, "nulls", "cells changed"), 2)
    features = sorted(diff.features.items(), key=lambda item: -_movement(item[1]))
    for name, feature in [*features, *([("(score)", diff.score)] if diff.score else [])]:
        table.add_row(Text(printable(name)), *_changes(feature))
    console.print(table)


_FACTS = ("created", "rows", "span", "condition", "model")


def _facts(facts: Facts) -> tuple[str, ...]:
    created, model = f"{facts.created:%Y-%m-%d %H:%M} UTC", printable(facts.model_version or "not given")
    return created, f"{facts.rows:,}", _span(facts.span), str(facts.condition), model


def _table(titles: tuple[str, ...], texts: int) -> Table:
    """Return a table without lines: the first columns are texts, the others numbers; long names wrap, numbers never."""
    table = Table(box=None, pad_edge=False)
    for place, title in enumerate(titles):
        name = place == 0
        table.add_column(
            title,
            justify="left" if place < texts else "right",
            no_wrap=not name,
            overflow="fold",
            min_width=16 if name else None,
        )
    return table


def _span(span: Window | None) -> str:
    return (
        "unknown: no time column" if span is None else f"{span.start:%Y-%m-%d %H:%M} to {span.end:%Y-%m-%d %H:%M} UTC"
    )


def _condition(reference: Reference) -> str:
    """Describe the condition, and name the hours or days with too few values for a comparison."""
    if reference.condition is Condition.NONE:
        return "none"
    values: dict[str, int] = {}
    for feature in reference.features.values():
        for key, counts in feature.counts.items():
            values[key] = max(values.get(key, 0), sum(counts))
    thin = sorted((int(key) for key, count in values.items() if count < MINIMUM_VALUES))
    named = f"{reference.condition} (UTC), {len(values)} with rows"
    return named + (f"; under {MINIMUM_VALUES} values: {', '.join(map(str, thin))}" if thin else "")


def _figures(feature: FeatureReference) -> tuple[str, ...]:
    summary, values = feature.summary, int(feature.total.sum())
    missing = feature.nulls + feature.nans
    figures = (summary.mean, summary.std, summary.minimum, summary.median, summary.maximum)
    return (
        str(feature.type),
        f"{values:,}",
        f"{missing / (missing + values):.1%}" if missing + values else "",
        *("" if figure is None else f"{figure:.4g}" for figure in figures),
    )


def _changes(feature: FeatureDiff) -> tuple[str, ...]:
    changed = len(feature.cells_added)
    nulls = [f"{rate:.1%}" for rate in (feature.old_null_rate, feature.new_null_rate) if rate is not None]
    return (
        f"{feature.old_type} -> {feature.new_type}"
        if feature.status == "type_changed"
        else feature.status.replace("_", " "),
        *(_change(getattr(feature, statistic.name)) for statistic in STATISTICS),
        " -> ".join(dict.fromkeys(nulls)),
        f"{changed} of {feature.cells}" if feature.status in {"compared", "insufficient_data"} else "",
    )


def _change(change: Change | None) -> str:
    """Format the value, in parentheses if it may be noise alone."""
    if change is None:
        return ""
    return f"{change.value:.3f}" if change.value > change.critical_value else f"({change.value:.3f})"


def _movement(feature: FeatureDiff) -> float:
    return feature.psi.value if feature.psi else 1e9 if feature.status != "insufficient_data" else 0.0
