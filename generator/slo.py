"""Service level objectives in numbers: the names of their recorded series, and how fast a budget may be spent.

Names and labels are sloth's, so that its dashboards and tools read these series too. Arithmetic is in fractions of
what the spec says, so that 0.999 leaves 0.001 and never 0.0010000000000000009.
"""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from mlvitals.generator.spec.durations import milliseconds
from mlvitals.generator.spec.model import BurnTier, Severity, Slo, Spec

OBJECTIVE = "slo:objective:ratio"
ERROR_BUDGET = "slo:error_budget:ratio"
PERIOD_DAYS = "slo:time_period:days"
CURRENT_BURN_RATE = "slo:current_burn_rate:ratio"
PERIOD_BURN_RATE = "slo:period_burn_rate:ratio"
BUDGET_REMAINING = "slo:period_error_budget_remaining:ratio"
INFO = "sloth_slo_info"

ERRORS = "slo:sli_errors:sum"
"""Events that broke the promise: a rate where events are counted, 0 to n where states are sampled. Not sloth's."""
EVENTS = "slo:sli_events:sum"
"""All events, in the unit of `ERRORS`. Not sloth's."""
DEPLOY_ALLOWED = "slo:deploy_allowed:bool"
"""1 where an objective has budget enough left for a deployment. Not sloth's."""

ID, SERVICE, SLO, WINDOW = "sloth_id", "sloth_service", "sloth_slo", "sloth_window"

SEVERITIES = {
    Severity.CRITICAL: (BurnTier.PAGE_QUICK, BurnTier.PAGE_SLOW),
    Severity.WARNING: (BurnTier.TICKET_QUICK, BurnTier.TICKET_SLOW),
}
"""The tiers that make one alert each."""

_DAY = milliseconds("1d")


def sli_error(window: str) -> str:
    """The recorded share of events within a window that broke the promise."""
    return f"slo:sli_error:ratio_rate{window}"


def identity(spec: Spec, name: str) -> dict[str, str]:
    """The labels of an objective's series."""
    return {ID: f"{spec.system.name}-{name}", SERVICE: spec.system.name, SLO: name}


def exact(value: float) -> Fraction:
    """What a person wrote: 0.999 as 999/1000."""
    return Fraction(Decimal(repr(value)))


def error_budget(slo: Slo) -> Fraction:
    """The share of events that may break the promise."""
    return 1 - exact(slo.objective)


def period_days(slo: Slo) -> Fraction:
    """The period in days."""
    return Fraction(milliseconds(slo.period), _DAY)


@dataclass(frozen=True, slots=True)
class Burn:
    """When one tier alerts on one objective: both windows see a larger share of errors than `error_ratio`."""

    tier: BurnTier
    short: str
    long: str
    factor: Fraction
    """How many times faster than evenly over the period the budget is spent: 14.4 for 2 % of 30 days within an hour."""
    error_ratio: Fraction

    @property
    def can_fire(self) -> bool:
        """Whether any share of errors is beyond it: none exceeds 1."""
        return self.error_ratio < 1


def burn(spec: Spec, slo: Slo, tier: BurnTier) -> Burn:
    """What a tier asks of an objective: SRE workbook, "Alerting on SLOs", table 5-8, scaled to the period."""
    rate = getattr(spec.alerts.burn_rate, tier)
    factor = exact(rate.budget) * Fraction(milliseconds(slo.period), milliseconds(rate.long))
    return Burn(tier, rate.short, rate.long, factor, factor * error_budget(slo))


def windows(spec: Spec) -> tuple[str, ...]:
    """The windows over which errors are recorded for every objective, shortest first."""
    rates = (getattr(spec.alerts.burn_rate, tier) for tier in BurnTier)
    by_length = {milliseconds(window): window for rate in rates for window in (rate.short, rate.long)}
    return tuple(by_length[length] for length in sorted(by_length))


def periods(spec: Spec) -> dict[str, tuple[str, ...]]:
    """The objectives of each period, periods as they are written first."""
    found: dict[int, list[str]] = {}
    for name, slo in spec.slos.items():
        found.setdefault(milliseconds(slo.period), []).append(name)
    return {spec.slos[names[0]].period: tuple(names) for names in found.values()}
