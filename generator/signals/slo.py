"""Service level objectives: their indicators, the remaining error budget, and how fast it is being spent.

Two series are recorded for each objective, errors and events. Everything else follows from their sums, so that no
ratio is ever averaged: an hour with much traffic weighs more than a quiet one, and one without traffic weighs nothing.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from mlvitals.generator import slo as names
from mlvitals.generator.contract import TOTAL_STAGE, Contract
from mlvitals.generator.promql import matching, number, one_of, selector
from mlvitals.generator.signals.building import SOURCE
from mlvitals.generator.signals.monitoring import stale_after
from mlvitals.generator.signals.signal import (
    Alert,
    Incident,
    Input,
    Layer,
    Level,
    Place,
    Query,
    Record,
    Scenario,
    Signal,
    View,
)
from mlvitals.generator.signals.text import Format, Found, FoundValue, Literal, Value, figure, text
from mlvitals.generator.signals.timing import past_jitter
from mlvitals.generator.spec.durations import duration, seconds
from mlvitals.generator.spec.model import STATES, Cooldown, Direction, Severity, Slo, SloKind, Spec, Timing

_panel = partial(Signal, place=Place.BUDGET, height=7)
_LONGEST_PACE = 60.0
_SAMPLES_A_WINDOW = 5
_SCRAPES_A_RATE = 4
_DAY = 86_400
_MANY = 1000.0
"""Errors per second in a test that is not about low traffic."""


def slo_signals(spec: Spec) -> Iterator[Signal]:
    """Yield the budgets of all objectives, the deployment gate, and the burn rate of each."""
    if not spec.slos:
        return
    yield _budgets(spec)
    yield _deployments(spec)
    for name, slo in spec.slos.items():
        yield _burn_rate(spec, name, slo)


# ---------------------------------------------------------------- indicators


@dataclass(frozen=True, slots=True)
class _Sli:
    """An indicator: expressions for errors and for events, absent if nothing is known."""

    errors: str
    events: str
    layer: Layer
    incident: Incident
    promise: str
    """The condition, as the end of the sentence "Met when ..."."""


def pace(spec: Spec) -> str:
    """Return the evaluation interval of objectives: a fifth of the shortest window, at least a minute."""
    shortest = seconds(names.windows(spec)[0])
    wanted = min(shortest / _SAMPLES_A_WINDOW, _LONGEST_PACE)
    return duration(max(wanted, seconds(spec.telemetry.evaluation_interval)))


def _rate_window(spec: Spec) -> str:
    """Four scrapes and two evaluations, so that neither a lost scrape nor the time between evaluations loses events."""
    scrapes = _SCRAPES_A_RATE * seconds(spec.telemetry.scrape_interval)
    return duration(max(scrapes, 2 * seconds(pace(spec))))


def _availability(spec: Spec, _: Slo) -> _Sli:
    contract, window = Contract(spec), _rate_window(spec)
    events = f"sum(rate({contract.name('predictions_total')}[{window}]))"
    failed = f"sum(rate({contract.name('prediction_errors_total')}[{window}]))"
    # A counter of errors may be missing before the first error; that means 0, not unknown.
    return _Sli(f"{failed} or 0 * {events}", events, Layer.SYSTEM, Incident.HIGH_LATENCY, "a prediction does not fail")


def _latency(spec: Spec, slo: Slo) -> _Sli:
    contract, window, stage = Contract(spec), _rate_window(spec), slo.stage or TOTAL_STAGE
    family, limit = contract.name("prediction_latency_seconds"), slo.threshold or 0.0
    events = f"sum(rate({selector(f'{family}_count', stage=stage)}[{window}]))"
    within = f"sum(rate({selector(f'{family}_bucket', stage=stage, le=repr(limit))}[{window}]))"
    answered = f"stage {stage} takes at most {figure(limit, Format.DURATION)}"
    return _Sli(f"clamp_min({events} - {within}, 0)", events, Layer.SYSTEM, Incident.HIGH_LATENCY, answered)


def _freshness(spec: Spec, _: Slo) -> _Sli:
    contract = Contract(spec)
    updated, limit, tolerance = (
        f"max by ({SOURCE}) ({contract.name(f'data_freshness_{what}_seconds')})"
        for what in ("timestamp", "max_age", "tolerance")
    )
    events = f"count({limit})"
    # A source whose age is unknown, or that is ahead of the clock, counts as an event but not as fresh.
    fresh = f"count((time() - {updated} <= {limit}) >= -{tolerance})"
    return _Sli(
        f"{events} - ({fresh} or 0 * {events})",
        events,
        Layer.DATA,
        Incident.STALE_DATA,
        "a feature source is no older than its limit",
    )


def _model_staleness(spec: Spec, slo: Slo) -> _Sli:
    trained = Contract(spec).name("model_trained_timestamp_seconds")
    limit = number((slo.threshold or 0.0) * _DAY)
    oldest = slo.direction is Direction.AT_MOST
    age = f"time() - min({trained})" if oldest else f"time() - max({trained})"
    errors = f"({age}) {'>' if oldest else '<'} bool {limit}"
    kept = f"the model in service is {'at most' if oldest else 'at least'} {number(slo.threshold or 0.0)} days old"
    return _Sli(errors, f"clamp_max(count({trained}), 1)", Layer.MODEL, Incident.PREDICTION_DRIFT, kept)


def _drift(spec: Spec, slo: Slo) -> _Sli:
    contract = Contract(spec)
    psi, floor = contract.name("drift_psi"), contract.name("drift_psi_critical_value")
    success = contract.name("exporter_last_success_timestamp_seconds")
    limit = number(slo.threshold or 0.0)
    # Old values say nothing about the current hour: only measured windows count.
    recent = f"and on () (time() - max({success}) < {number(stale_after(spec))})"
    return _Sli(
        f"max(({psi} > bool {limit}) * ({psi} > bool {floor})) {recent}",
        f"clamp_max(count({psi}), 1) {recent}",
        Layer.MODEL,
        Incident.FEATURE_DRIFT,
        f"no feature's PSI is above both {limit} and its noise floor",
    )


def _query(_: Spec, slo: Slo) -> _Sli:
    if slo.error_ratio is not None:
        # A share is sampled like a state: each sample is one event, and counts by its share.
        ratio = f"clamp_max(max({slo.error_ratio}) >= 0, 1)"  # a division by nothing is no sample
        return _Sli(ratio, f"1 + 0 * {ratio}", Layer.SYSTEM, Incident.HIGH_LATENCY, "its query says so")
    total, good = f"sum({slo.total})", f"sum({slo.good})"
    return _Sli(
        f"clamp_min({total} - ({good} or 0 * {total}), 0)",
        total,
        Layer.SYSTEM,
        Incident.HIGH_LATENCY,
        "its query counts an event as good",
    )


_SLI: dict[SloKind, Callable[[Spec, Slo], _Sli]] = {
    SloKind.AVAILABILITY: _availability,
    SloKind.LATENCY: _latency,
    SloKind.FRESHNESS: _freshness,
    SloKind.MODEL_STALENESS: _model_staleness,
    SloKind.DRIFT: _drift,
    SloKind.QUERY: _query,
}


# ---------------------------------------------------------------- records


def _records(spec: Spec) -> tuple[Record, ...]:
    """Return all records of the objectives, in order of dependency."""
    every = pace(spec)
    found = (
        *(record for name, slo in spec.slos.items() for record in _facts(spec, name, slo)),
        *_shares(spec),
        *_burn_rates(spec),
        *_gates(spec),
    )
    return tuple(Record(name, expression, tuple(labels.items()), every) for name, expression, labels in found)


_Recorded = tuple[str, str, dict[str, str]]


def _facts(spec: Spec, name: str, slo: Slo) -> Iterator[_Recorded]:
    """Yield the records of an objective's events and of its settings."""
    own, sli = names.identity(spec, name), _SLI[slo.kind](spec, slo)
    yield names.ERRORS, sli.errors, own
    yield names.EVENTS, sli.events, own
    yield names.OBJECTIVE, f"vector({number(slo.objective)})", own
    yield names.ERROR_BUDGET, f"vector({number(float(names.error_budget(slo)))})", own
    yield names.PERIOD_DAYS, f"vector({number(float(names.period_days(slo)))})", own
    percent = number(float(100 * names.exact(slo.objective)))
    yield names.INFO, "vector(1)", {**own, "sloth_mode": "mlvitals", "sloth_objective": percent}


def _shares(spec: Spec) -> Iterator[_Recorded]:
    """Yield the share of errors within each window, for all objectives at once."""
    always = names.windows(spec)
    for window in always:
        yield _share(spec, window, spec.slos)
    for period, members in names.periods(spec).items():
        if period not in always:
            yield _share(spec, period, members)


def _share(spec: Spec, window: str, members: Iterable[str]) -> _Recorded:
    errors, events = (f"sum_over_time({_of(spec, name, members)}[{window}])" for name in (names.ERRORS, names.EVENTS))
    return names.sli_error(window), f"{errors} / ({events} > 0)", {names.WINDOW: window}


def _burn_rates(spec: Spec) -> Iterator[_Recorded]:
    by = f"/ on ({names.ID}, {names.SLO}, {names.SERVICE}) group_left () {_of(spec, names.ERROR_BUDGET, spec.slos)}"
    current = _of(spec, names.sli_error(names.windows(spec)[0]), spec.slos)
    yield names.CURRENT_BURN_RATE, f"{current} {by}", {}
    of_periods = " or ".join(
        _of(spec, names.sli_error(period), members) for period, members in names.periods(spec).items()
    )
    yield names.PERIOD_BURN_RATE, f"({of_periods}) {by}", {}
    yield names.BUDGET_REMAINING, f"1 - {_of(spec, names.PERIOD_BURN_RATE, spec.slos)}", {}
    left, days, rate = (
        _of(spec, name, spec.slos) for name in (names.BUDGET_REMAINING, names.PERIOD_DAYS, names.CURRENT_BURN_RATE)
    )
    same = f"on ({names.ID}, {names.SLO}, {names.SERVICE})"
    yield names.BUDGET_LASTS, f"({left} > 0) * {same} {days} * {_DAY} / {same} ({rate} > 0)", {}


def _gates(spec: Spec) -> Iterator[_Recorded]:
    """Yield the records of the deployment gate: for each objective, and for all of them."""
    gating = {name: slo.deploy_above for name, slo in spec.slos.items() if slo.deploy_above is not None}
    for name, needed in gating.items():
        own = names.identity(spec, name)
        yield names.DEPLOY_ALLOWED, f"{selector(names.BUDGET_REMAINING, **own)} > bool {number(needed)}", own
    if gating:
        # One spent budget blocks; to allow a deployment, all must be known.
        gates = _of(spec, names.DEPLOY_ALLOWED, gating)
        expression = f"min({gates}) == 0 or min({gates}) and count({gates}) == {len(gating)}"
        yield Contract(spec).deploy_allowed, expression, {}


def _of(spec: Spec, metric: str, members: Iterable[str]) -> str:
    """Return a selector of the series of some objectives, or of all."""
    chosen, service = tuple(members), f'{names.SERVICE}="{spec.system.name}"'
    return matching(metric, service, *(() if len(chosen) == len(spec.slos) else (one_of(names.SLO, chosen),)))


# ---------------------------------------------------------------- panels


def slo_title(name: str) -> str:
    """Return an objective's display name."""
    return name.replace("_", " ").capitalize()


def _budgets(spec: Spec) -> Signal:
    return _panel(
        id="error_budgets",
        layer=Layer.SYSTEM if spec.serving.enabled else Layer.MODEL,
        title="Error budgets remaining",
        description="Share of each objective's error budget that remains in its period. Normal: above 0, and "
        "falling no faster than the period passes. Below 0 the objective is missed: stop risky changes until it "
        "recovers.",
        unit="percentunit",
        decimals=0,
        queries=(Query(_of(spec, names.BUDGET_REMAINING, spec.slos), f"{{{{{names.SLO}}}}}", instant=True),),
        incident=Incident.HIGH_LATENCY if spec.serving.enabled else Incident.FEATURE_DRIFT,
        view=View.BAR_GAUGE,
        width=8,
        minimum=-1,
        maximum=1,
        levels=(Level(Severity.CRITICAL, 0),),
        below=True,
        empty="No data: nothing has been counted yet, or the rules are not being evaluated.",
        records=_records(spec),
        alerts=(_unknown(spec),),
    )


def _deployments(spec: Spec) -> Signal:
    gates = _of(spec, names.DEPLOY_ALLOWED, spec.slos)
    return _panel(
        id="deploy_gate",
        layer=Layer.SYSTEM if spec.serving.enabled else Layer.MODEL,
        title="Deployments allowed",
        description="1 if the objective has enough budget left for a deployment. Normal: 1. At 0, deploy only "
        f"changes that restore the objective. A CI job queries {Contract(spec).deploy_allowed} or runs mlvitals slo.",
        unit="bool_yes_no",
        queries=(Query(gates, f"{{{{{names.SLO}}}}}", instant=True),),
        incident=Incident.HIGH_LATENCY if spec.serving.enabled else Incident.FEATURE_DRIFT,
        view=View.STAT,
        width=8,
        maximum=1,
        levels=(Level(Severity.CRITICAL, 1),),
        below=True,
        empty="No data: no objective gates deployments, or nothing has been counted yet.",
    )


def _burn_rate(spec: Spec, name: str, slo: Slo) -> Signal:
    sli, own = _SLI[slo.kind](spec, slo), names.identity(spec, name)
    return _panel(
        id=f"slo_{name}",
        layer=sli.layer,
        title=f"Burn rate: {slo_title(name).lower()}",
        description=f"{slo.description.rstrip('.') + '. ' if slo.description else ''}Met when {sli.promise}; the "
        f"objective is {figure(slo.objective, Format.PERCENT)} over {slo.period}. The line shows how many times "
        "faster than evenly the error budget is being spent. Normal: below 1. Above 1, the alert says how long the "
        "rest of the budget lasts at this rate.",
        unit="none",
        decimals=2,
        queries=(
            Query(selector(names.CURRENT_BURN_RATE, **own), "Now"),
            Query(selector(names.PERIOD_BURN_RATE, **own), f"Over {slo.period}", dimmed=True),
        ),
        incident=sli.incident,
        width=6,
        levels=(Level(Severity.WARNING, 1),),
        empty="No data: nothing was counted, so the objective cannot be evaluated.",
        alerts=tuple(_burn_alerts(spec, name, slo)),
    )


# ---------------------------------------------------------------- alerts


def _burn_alerts(spec: Spec, name: str, slo: Slo) -> Iterator[Alert]:
    """Yield one alert per severity, whichever of its tiers fires."""
    for severity, tiers in names.SEVERITIES.items():
        burns = tuple(names.burn(spec, slo, tier) for tier in tiers if tier in slo.tiers)
        if burns:
            first, *others = (_burn_alert(spec, name, slo, severity, burns, burn) for burn in burns)
            yield replace(first, alternatives=tuple(others))


def _burn_alert(
    spec: Spec, name: str, slo: Slo, severity: Severity, burns: tuple[names.Burn, ...], burn: names.Burn
) -> Alert:
    own = names.identity(spec, name)
    counted = slo.kind not in STATES and slo.error_ratio is None
    missed = f"sum_over_time({selector(names.ERRORS, **own)}[{burn.long}]) * {number(seconds(pace(spec)))}"
    enough = f"\n  and on ({names.ID}) {missed} >= {spec.alerts.burn_rate.minimum_events}" if counted else ""
    short, long = names.sli_error(burn.short), names.sli_error(burn.long)
    limit = float(burn.error_ratio)

    # Where the short window gives the current burn rate too, the time that a budget lasts would be recorded, besides given:
    # but not of a budget that is spent.
    left = -0.42 if burn.short == names.windows(spec)[0] else 0.42

    def scenario(value: float, lately: float | None = None) -> Scenario:
        return Scenario(
            (
                Input(long, {**own, names.WINDOW: burn.long}, value),
                Input(short, {**own, names.WINDOW: burn.short}, value if lately is None else lately),
                Input(names.BUDGET_REMAINING, own, left),
                *([Input(names.ERRORS, own, _MANY)] if counted else []),
                Input(names.BUDGET_LASTS, own, 98_000),
            ),
            own,
        )

    policy = _policy(spec, slo, severity)
    limits = ", or ".join(f"{figure(float(one.factor), Format.NUMBER)} times over {one.long}" for one in burns)
    return Alert(
        name="MLErrorBudgetBurn",
        severity=severity,
        expression=f"max without ({names.WINDOW}) ({selector(long, **own)})",
        threshold=limit,
        gate=f"and on ({names.ID}) {selector(short, **own)} > {number(limit)}{enough}",
        gated=lambda value: scenario(value, lately=limit / 2),
        summary="An error budget is being spent too fast.",
        description=text(
            f"{slo_title(name)} of {spec.title}: ",
            Value(Format.PERCENT),
            f" of events missed the objective, and {figure(float(names.error_budget(slo)), Format.PERCENT)} may. "
            f"The error budget for {slo.period} is being spent faster than {limits}.",
            Found(
                names.BUDGET_REMAINING,
                (),
                {names.ID: own[names.ID]},
                (Literal(" Left of it: "), FoundValue(Format.PERCENT), Literal(".")),
            ),
            Found(
                names.BUDGET_LASTS,
                (),
                {names.ID: own[names.ID]},
                (Literal(" At the current rate, that lasts "), FoundValue(Format.DURATION), Literal(".")),
            ),
        ),
        timing=_timing(spec, slo, policy),
        scenario=scenario,
        format=Format.PERCENT,
        labels=(("slo", name),),
        policy=policy,
    )


_POLICIES = {
    SloKind.AVAILABILITY: "error_rate",
    SloKind.LATENCY: "latency_p99",
    SloKind.FRESHNESS: "freshness",
    SloKind.DRIFT: "feature_psi",
}
"""The policy of the alert on what spends the budget: with it, an alert on the budget is one incident."""


def _policy(spec: Spec, slo: Slo, severity: Severity) -> str:
    """Return the policy that a burn-rate alert notifies by: a page, that of its cause; a ticket is no incident, but its own."""
    pages = severity is Severity.CRITICAL and not spec.alerts.burn_rate.cooldown
    return _POLICIES.get(slo.kind, "burn_rate") if pages else "burn_rate"


def _timing(spec: Spec, slo: Slo, policy: str) -> Timing:
    burns = spec.alerts.burn_rate
    of_cause = Cooldown() if policy == "burn_rate" else getattr(spec.alerts, policy).cooldown
    # The alert on drift or on a stale source is kept, and silences this one: it ends first.
    by_kind = "0s" if slo.kind in {SloKind.DRIFT, SloKind.FRESHNESS} else past_jitter(spec, policy="")
    return Timing(
        enabled=burns.enabled,
        for_=burns.for_,
        keep_firing_for=by_kind if burns.keep_firing_for is None else burns.keep_firing_for,
        cooldown=burns.cooldown or of_cause,
    )


def _unknown(spec: Spec) -> Alert:
    """Return one alert for all objectives: at the first start nothing is known about any of them."""
    known = sorted(spec.slos)

    def scenario(value: float) -> Scenario:
        promised = (Input(names.OBJECTIVE, names.identity(spec, name), spec.slos[name].objective) for name in known)
        counted = (Input(names.BUDGET_REMAINING, names.identity(spec, name), 0.5) for name in known[round(value) :])
        return Scenario((*promised, *counted))

    objectives, remaining = (
        f"count({_of(spec, metric, spec.slos)})" for metric in (names.OBJECTIVE, names.BUDGET_REMAINING)
    )
    return Alert(
        name="MLErrorBudgetUnknown",
        severity=Severity.WARNING,
        expression=f"{objectives} - ({remaining} or vector(0))",
        threshold=0,
        resolution=1,
        summary="Nothing was counted for an objective, so it is unknown if it is met.",
        description=text(
            f"An objective of {spec.title} has had no events within its period: there is no traffic, or the series "
            "that it is computed from are missing. The error budgets on the dashboard and mlvitals slo show which."
        ),
        timing=spec.alerts.monitoring,
        scenario=scenario,
        fires_without_data=True,
    )
