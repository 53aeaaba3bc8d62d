"""Advice on a valid spec: defaults that work on no real system, which a newcomer finds out only when nobody is paged.

Advice never refuses a spec: what it names is fine while one tries things out.
"""

from collections.abc import Iterator

from mlvitals.generator.spec.diagnostics import Problem, quoted
from mlvitals.generator.spec.durations import milliseconds
from mlvitals.generator.spec.model import Alerts, Links, Severity, Spec
from mlvitals.generator.spec.people import NOBODY, receiver_of

RULE = "advice"


def advice(spec: Spec) -> Iterator[Problem]:
    """Yield what should be set before anyone relies on the system's alerts."""
    yield from _receivers(spec)
    yield from _links(spec)
    yield from _sources(spec)
    yield from _short_keeps(spec)


def _receivers(spec: Spec) -> Iterator[Problem]:
    routing = spec.routing
    silent = [
        severity.value
        for severity in (Severity.CRITICAL, Severity.WARNING)
        if getattr(routing, severity) is None and receiver_of(routing, severity) == NOBODY
    ]
    if silent:
        hint = "name receivers in routing, see docs/alerting.md"
        yield _advice(("routing",), f"sends {' and '.join(silent)} alerts to nobody", hint)
    elif routing.critical is None:
        where = f"critical alerts go to {quoted(receiver_of(routing, Severity.CRITICAL))}, where milder ones go"
        yield _advice(("routing", "critical"), f"is not set: {where}", "name a receiver that pages somebody")
    if routing.receivers and routing.watchdog is None:
        hint = "a dead man's switch notices where Prometheus or Alertmanager has stopped"
        yield _advice(("routing", "watchdog"), "is not set: nobody hears of it when alerting itself is down", hint)


def _links(spec: Spec) -> Iterator[Problem]:
    defaults, set_ = Links(), spec.links
    if set_.runbooks == defaults.runbooks:
        yield _advice(("links", "runbooks"), "is example.com: the runbook link of every alert leads nowhere", "")
    if set_.alertmanager == defaults.alertmanager and receiver_of(spec.routing, Severity.CRITICAL) != NOBODY:
        where = f"{set_.alertmanager}: links to silence an alert lead to the reader's own machine"
        yield _advice(("links", "alertmanager"), f"is {where}", "set it to Alertmanager as people reach it")


def _sources(spec: Spec) -> Iterator[Problem]:
    without = [name for name, feature in spec.features.items() if feature.source is None]
    if len(without) == len(spec.features):
        message = "have no source: no alert can say where a feature comes from, and no age of data is watched"
        yield _advice(("features",), message, "name sources, see docs/spec.md")


def _short_keeps(spec: Spec) -> Iterator[Problem]:
    """Yield the times to keep firing that do not bridge one window: each better window resolves, and the next one fires."""
    policies = {name: getattr(spec.alerts, name) for name in spec.alerts.__struct_fields__}
    given = {name: kept for name, one in policies.items() if (kept := getattr(one, "keep_firing_for", None))}
    if given == {name: getattr(Alerts(), name).keep_firing_for for name in ("latency_p99", "error_rate")}:
        return
    from mlvitals.generator.signals import signals  # noqa: PLC0415  (signals read the spec)
    from mlvitals.generator.signals.timing import past_a_window, policies_of_windows  # noqa: PLC0415

    needed = past_a_window(spec)
    for name in policies_of_windows(spec, signals(spec)) & given.keys():
        if milliseconds(given[name]) < milliseconds(needed):
            message = f"is {given[name]}: one window without the condition resolves the alert, and the next one fires it again"
            yield _advice(("alerts", name, "keep_firing_for"), message, f"leave it out, or set it to at least {needed}")


def _advice(path: tuple[str, ...], message: str, hint: str) -> Problem:
    return Problem((path, path[:1], ("system", "name")), message, RULE, hint)
