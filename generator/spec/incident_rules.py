"""Rules on the criteria of incidents: what they name exists, and a graver severity asks for more."""

from collections.abc import Iterator, Mapping
from itertools import pairwise

from mlvitals.generator.spec.diagnostics import KeyPath, Problem, did_you_mean, dotted, quoted
from mlvitals.generator.spec.durations import milliseconds
from mlvitals.generator.spec.model import Spec

LEVELS = ("sev1", "sev2", "sev3")
"""Severities with criteria, gravest first; SEV-4 is the rest."""


def check_incidents(spec: Spec) -> Iterator[Problem]:
    """Yield what is contradictory in the policy of incidents."""
    yield from _names(spec)
    yield from _orders(spec)
    targets = spec.incidents.targets
    if milliseconds(targets.acknowledge) > milliseconds(targets.mitigate):
        path: KeyPath = ("incidents", "targets")
        message = f"{targets.acknowledge} is later than mitigate {targets.mitigate}"
        yield Problem(((*path, "acknowledge"), (*path, "mitigate")), message, "order")


def _names(spec: Spec) -> Iterator[Problem]:
    counted = {name: event for name, event in spec.business.events.items() if name not in spec.business.unique}
    for level in LEVELS:
        criteria = getattr(spec.incidents, level)
        for key, names, known in (
            ("kpi_loss", criteria.kpi_loss, spec.business.kpis),
            ("lost_per_hour", criteria.lost_per_hour, counted),
        ):
            section: KeyPath = ("business", "kpis" if key == "kpi_loss" else "events")
            for name in names:
                yield from _unknown(("incidents", level, key, name), section, known)
        if criteria.budget_spent is not None and not spec.slos:
            path = ("incidents", level, "budget_spent")
            yield Problem((path, ("slos",)), "has no effect without an objective in slos", "consistency")


def _unknown(path: KeyPath, section: KeyPath, known: Mapping[str, object]) -> Iterator[Problem]:
    name = str(path[-1])
    if name not in known:
        message = f"{quoted(name)} is nothing that {dotted(section)} counts"
        yield Problem((path, section), message, "dangling-reference", did_you_mean(name, known), at_key=True)


def _orders(spec: Spec) -> Iterator[Problem]:
    for graver, milder in pairwise(LEVELS):
        above, below = getattr(spec.incidents, graver), getattr(spec.incidents, milder)
        pairs: list[tuple[KeyPath, float | None, float | None]] = [
            ((key,), getattr(above, key), getattr(below, key)) for key in ("affected_ratio", "budget_spent")
        ]
        for key in ("kpi_loss", "lost_per_hour"):
            of_above, of_below = getattr(above, key), getattr(below, key)
            pairs += [((key, name), of_above[name], of_below[name]) for name in of_above.keys() & of_below.keys()]
        for place, more, less in pairs:
            if more is not None and less is not None and more < less:
                paths = (("incidents", graver, *place), ("incidents", milder, *place))
                yield Problem(paths, f"{more:g} is below {milder}'s {less:g}", "order")
