"""Rules for service level objectives: the settings that each kind needs, and burn-rate tiers that can fire."""

from collections.abc import Iterator

from mlvitals.generator.promql import metric_names, number
from mlvitals.generator.slo import Burn, burn, error_budget
from mlvitals.generator.spec.diagnostics import KeyPath, Problem
from mlvitals.generator.spec.durations import milliseconds
from mlvitals.generator.spec.model import BurnTier, Direction, Slo, SloKind, Spec

_THRESHOLDS = {SloKind.LATENCY: "seconds", SloKind.MODEL_STALENESS: "days", SloKind.DRIFT: "PSI"}
"""The kinds that have a threshold, and its unit."""
_QUERIES = ("total", "good", "error_ratio")
_OF_SERVING = {SloKind.AVAILABILITY, SloKind.LATENCY, SloKind.MODEL_STALENESS}


def check_slos(spec: Spec) -> Iterator[Problem]:
    """Yield every objective that could not be measured, or on which an alert could not fire."""
    yield from _windows(spec)
    for name, slo in spec.slos.items():
        yield from _kind(spec, ("slos", name), slo)
        yield from _tiers(spec, ("slos", name), slo)


def _windows(spec: Spec) -> Iterator[Problem]:
    for tier in BurnTier:
        rate, path = getattr(spec.alerts.burn_rate, tier), ("alerts", "burn_rate", tier.value)
        if milliseconds(rate.short) >= milliseconds(rate.long):
            message = f"{rate.short} is not shorter than long {rate.long}"
            yield Problem(((*path, "short"), (*path, "long")), message, "order")


def _kind(spec: Spec, path: KeyPath, slo: Slo) -> Iterator[Problem]:
    kind, threshold = (*path, "kind"), (*path, "threshold")
    if slo.kind in _THRESHOLDS and not slo.threshold:
        message = f"is {slo.kind}, which needs a threshold above 0 in {_THRESHOLDS[slo.kind]}"
        yield Problem((kind, threshold), message, "consistency")
    elif slo.kind not in _THRESHOLDS and slo.threshold is not None:
        message = f"has no effect if kind is {slo.kind}"
        yield Problem((threshold, kind), message, "consistency")
    if slo.direction is Direction.AT_LEAST and slo.kind is not SloKind.MODEL_STALENESS:
        message = "at_least has an effect only if kind is model_staleness"
        yield Problem(((*path, "direction"), kind), message, "consistency")
    if slo.kind in _OF_SERVING and not spec.serving.enabled:
        message = f"is {slo.kind}, measured at the serving application, which serving.enabled: false turns off"
        yield Problem((kind, ("serving", "enabled")), message, "consistency")
    yield from _queries(path, slo)
    if slo.kind is SloKind.FRESHNESS and not spec.sources:
        yield Problem((kind,), "is freshness, but no sources are defined", "consistency")


def _queries(path: KeyPath, slo: Slo) -> Iterator[Problem]:
    """Check that an objective on queries has either total and good or an error ratio, and that they are PromQL."""
    given = {name: getattr(slo, name) for name in _QUERIES if getattr(slo, name) is not None}
    kind = (*path, "kind")
    if slo.kind is not SloKind.QUERY:
        for name in given:
            yield Problem(((*path, name), kind), "has an effect only if kind is query", "consistency")
    elif given.keys() not in ({"total", "good"}, {"error_ratio"}):
        yield Problem((kind, path), "is query, which needs either total and good, or error_ratio", "consistency")
    else:
        for name, query in given.items():
            try:
                metric_names(query)
            except ValueError as problem:
                yield Problem(((*path, name),), f"is no PromQL: {problem}", "promql")


def _tiers(spec: Spec, path: KeyPath, slo: Slo) -> Iterator[Problem]:
    for tier in slo.tiers:
        found = burn(spec, slo, tier)
        hint = f"leave {tier} out of burn_alerts, or change alerts.burn_rate.{tier}"
        if milliseconds(found.long) > milliseconds(slo.period):
            message = f"{slo.period} is shorter than the {found.long} that {tier} looks back"
            yield Problem(((*path, "period"), path), message, "consistency", hint)
        elif not found.can_fire:
            where = ((*path, "objective"), (*path, "burn_alerts"))
            yield Problem(where, f"{number(slo.objective)} {_never(slo, found)}", "consistency", hint)


def _never(slo: Slo, found: Burn) -> str:
    factor, budget, needed = (number(float(x)) for x in (found.factor, error_budget(slo), found.error_ratio))
    return f"never lets {found.tier} fire: it needs more than {factor} x {budget} = {needed} of all events to fail"
