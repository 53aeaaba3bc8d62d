"""How fast a budget may be spent, against sloth's published numbers and for other periods."""

import msgspec
import pytest

from mlvitals.generator.promql import number
from mlvitals.generator.signals import signals
from mlvitals.generator.slo import burn, error_budget, period_days, periods, windows
from mlvitals.generator.spec.compression import compress_time
from mlvitals.generator.spec.model import BurnTier, Slo, SloKind


def an_slo(objective: float = 0.999, period: str = "30d") -> Slo:
    return Slo(kind=SloKind.AVAILABILITY, objective=objective, period=period)


def factors(spec, slo: Slo) -> list[str]:
    return [number(float(burn(spec, slo, tier).factor)) for tier in BurnTier]


def limits(spec, slo: Slo) -> list[str]:
    return [number(float(burn(spec, slo, tier).error_ratio)) for tier in BurnTier]


def test_sloths_numbers_for_three_nines_over_thirty_days(tiny_spec):
    """Published in sloth's examples/_gen/getting-started.yml, there with 0.0009999999999999432 for the budget."""
    assert factors(tiny_spec, an_slo()) == ["14.4", "6", "3", "1"]
    assert limits(tiny_spec, an_slo()) == ["0.0144", "0.006", "0.003", "0.001"]
    assert number(float(error_budget(an_slo()))) == "0.001"


def test_a_shorter_period_has_smaller_factors(tiny_spec):
    assert factors(tiny_spec, an_slo(period="28d")) == ["13.44", "5.6", "2.8", "0.9333333333333333"]


def test_sloths_windows_are_recorded(tiny_spec):
    assert windows(tiny_spec) == ("5m", "30m", "1h", "2h", "6h", "1d", "3d")


def test_a_period_in_days_is_exact():
    assert period_days(an_slo(period="28d")) == 28
    assert period_days(an_slo(period="36h")) == pytest.approx(1.5)


def test_a_share_of_errors_that_nothing_exceeds_can_never_alert(tiny_spec):
    assert not burn(tiny_spec, an_slo(objective=0.9), BurnTier.PAGE_QUICK).can_fire
    assert burn(tiny_spec, an_slo(objective=0.9), BurnTier.PAGE_SLOW).can_fire


def test_one_period_written_in_two_ways_is_one(tiny_spec):
    two = msgspec.structs.replace(tiny_spec, slos={"a": an_slo(period="28d"), "b": an_slo(period="4w")})
    assert periods(two) == {"28d": ("a", "b")}


def test_compressed_time_changes_no_factor_where_windows_stay_visible(streamrec):
    fast = compress_time(streamrec, 180)
    before, after = (spec.slos["prediction_availability"] for spec in (streamrec, fast))
    assert factors(fast, after) == factors(streamrec, before)
    assert windows(fast)[0] == "4s"


def test_each_severity_of_an_objective_has_one_alert(streamrec):
    watched = next(signal for signal in signals(streamrec) if signal.id == "slo_prediction_availability")
    assert [(alert.severity, len(alert.alternatives)) for alert in watched.alerts] == [("critical", 1), ("warning", 1)]
