"""Arithmetic of service level objectives: the names of their recorded series, and how fast a budget may be spent.

Names and labels are sloth's, so that its dashboards and tools read these series too. The arithmetic uses fractions of
the numbers in the spec, so that 0.999 leaves 0.001 and never 0.0010000000000000009.
"""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from mlvitals.generator.spec.durations import milliseconds
from mlvitals.generator.spec.model import BurnTier, Severity, Slo, SloKind, Spec

OBJECTIVE = "slo:objective:ratio"
ERROR_BUDGET = "slo:error_budget:ratio"
PERIOD_DAYS = "slo:time_period:days"
CURRENT_BURN_RATE = "slo:current_burn_rate:ratio"
PERIOD_BURN_RATE = "slo:period_burn_rate:ratio"
BUDGET_REMAINING = "slo:period_error_budget_remaining:ratio"
BUDGET_LASTS = "slo:period_error_budget_lasts:seconds"
"""The time until the budget is spent, at the current burn rate. Not sloth's."""
INFO = "sloth_slo_info"

ERRORS = "slo:sli_errors:sum"
"""Events that missed the objective: a rate if events are counted, 0 to n if states are sampled. Not sloth's."""
EVENTS = "slo:sli_events:sum"
"""All events, in the unit of `ERRORS`. Not sloth's."""
DEPLOY_ALLOWED = "slo:deploy_allowed:bool"
"""1 if an objective has enough budget left for a deployment. Not sloth's."""

ID, SERVICE, SLO, WINDOW = "sloth_id", "sloth_service", "sloth_slo", "sloth_window"

SEVERITIES = {
    Severity.CRITICAL: (BurnTier.PAGE_QUICK, BurnTier.PAGE_SLOW),
    Severity.WARNING: (BurnTier.TICKET_QUICK, BurnTier.TICKET_SLOW),
}
"""The tiers of each severity, which share an alert."""

_DAY = milliseconds("1d")
_STATES_WITH_ALERTS = frozenset({SloKind.DRIFT, SloKind.FRESHNESS})
"""The kinds of objectives on a state that has an alert of its own."""


def sli_error(window: str) -> str:
    """Return the recorded share of events within a window that missed the objective."""
    return f"slo:sli_error:ratio_rate{window}"


def identity(spec: Spec, name: str) -> dict[str, str]:
    """Return the labels of an objective's series."""
    return {ID: f"{spec.system.name}-{name}", SERVICE: spec.system.name, SLO: name}


def exact(value: float) -> Fraction:
    """Return the number as written: 0.999 as 999/1000."""
    return Fraction(Decimal(repr(value)))


def error_budget(slo: Slo) -> Fraction:
    """Return the share of events that may miss the objective."""
    return 1 - exact(slo.objective)


def period_days(slo: Slo) -> Fraction:
    """Return the period in days."""
    return Fraction(milliseconds(slo.period), _DAY)


@dataclass(frozen=True, slots=True)
class Burn:
    """The condition of one tier for one objective: both windows see a larger share of errors than `error_ratio`."""

    tier: BurnTier
    short: str
    long: str
    factor: Fraction
    """The burn rate, relative to spending the budget evenly over the period: 14.4 for 2% of 30 days within an hour."""
    error_ratio: Fraction

    @property
    def can_fire(self) -> bool:
        """True if a share of errors can exceed it: no share exceeds 1."""
        return self.error_ratio < 1


def burn(spec: Spec, slo: Slo, tier: BurnTier) -> Burn:
    """Return the condition of a tier for an objective: SRE workbook, "Alerting on SLOs", table 5-8, scaled to the period."""
    rate = getattr(spec.alerts.burn_rate, tier)
    factor = exact(rate.budget) * Fraction(milliseconds(slo.period), milliseconds(rate.long))
    return Burn(tier, _still_seen_over(spec, slo, rate.short), rate.long, factor, factor * error_budget(slo))


def _still_seen_over(spec: Spec, slo: Slo, short: str) -> str:
    """Return the short window of a tier.

    A state is either there or not: the shortest window that holds a measurement shows if it still is. With it, the ticket on
    the budget ends before the alert on the state does, which silences it, and is not heard of after everything is over.
    """
    if slo.kind not in _STATES_WITH_ALERTS:
        return short
    step = milliseconds(spec.step) if slo.kind is SloKind.DRIFT else 0
    return next((window for window in windows(spec) if step <= milliseconds(window) < milliseconds(short)), short)


def windows(spec: Spec) -> tuple[str, ...]:
    """Return the windows over which errors are recorded for every objective, shortest first."""
    rates = (getattr(spec.alerts.burn_rate, tier) for tier in BurnTier)
    by_length = {milliseconds(window): window for rate in rates for window in (rate.short, rate.long)}
    return tuple(by_length[length] for length in sorted(by_length))


def periods(spec: Spec) -> dict[str, tuple[str, ...]]:
    """Return the objectives by period, in the order of their first appearance."""
    found: dict[int, list[str]] = {}
    for name, slo in spec.slos.items():
        found.setdefault(milliseconds(slo.period), []).append(name)
    return {spec.slos[names[0]].period: tuple(names) for names in found.values()}
