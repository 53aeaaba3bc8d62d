"""The dashboard of objectives: what is left of each error budget, and how fast it is spent. Series have sloth's names."""

from collections.abc import Iterator, Sequence

from mlvitals.generator.boards import Board
from mlvitals.generator.grafana.page import Page, Row
from mlvitals.generator.promql import matching, selector
from mlvitals.generator.signals.signal import Incident, Layer, Level, Query, Signal, View
from mlvitals.generator.spec.model import Severity, Spec

_BY = "by (sloth_slo)"
_OBJECTIVE = "{{sloth_slo}}"
_WINDOWS = ("5m", "1h", "6h", "1d", "3d")
_EMPTY = "No data: the rules have not recorded any budget yet, or the system has received no requests."


def budgets_left(spec: Spec, width: int, height: int) -> Signal:
    """Return the panel of the remaining budgets, one bar per objective."""
    remaining = selector("slo:period_error_budget_remaining:ratio", sloth_service=spec.system.name)
    return Signal(
        id="budgets_left",
        layer=Layer.SYSTEM,
        title="Error budgets remaining",
        description="Share of each error budget that remains in its period. Normal: above 25%. Below 0% the "
        "objective is missed: deploy only fixes until it recovers.",
        unit="percentunit",
        decimals=0,
        queries=(Query(f"max {_BY} ({remaining})", _OBJECTIVE, instant=True),),
        incident=Incident.HIGH_LATENCY,
        view=View.BAR_GAUGE,
        width=width,
        height=height,
        maximum=1,
        levels=(Level(Severity.WARNING, 0.25), Level(Severity.CRITICAL, 0)),
        below=True,
        empty=_EMPTY,
    )


def page(spec: Spec, signals: Sequence[Signal]) -> Page:
    """Return the page, with the signals that belong on it."""
    return Page(
        Board.SLO,
        "objectives and budgets",
        "How much may still go wrong before an objective is missed, and when that will be at the current rate.",
        [
            Row("", (_objectives(spec), *signals)),
            Row("How fast the budgets are spent", tuple(_burning(spec))),
        ],
    )


def _of(spec: Spec, series: str) -> str:
    return f"max {_BY} ({selector(series, sloth_service=spec.system.name)})"


def _signal(title: str, description: str, *queries: Query, unit: str, view: View, width: int, **more: object) -> Signal:
    return Signal(
        id=title,
        layer=Layer.SYSTEM,
        title=title,
        description=description,
        unit=unit,
        queries=queries,
        incident=Incident.HIGH_LATENCY,
        view=view,
        width=width,
        empty=_EMPTY,
        **more,  # type: ignore[arg-type]
    )


def _objectives(spec: Spec) -> Signal:
    return _signal(
        "Objectives",
        "The objective over the period, and the share of events that met it. Normal: at or above the objective.",
        Query(_of(spec, "slo:objective:ratio"), "Promised", instant=True),
        Query(
            f"1 - {_of(spec, 'slo:error_budget:ratio')} * {_of(spec, 'slo:period_burn_rate:ratio')}",
            "Kept",
            instant=True,
        ),
        Query(_of(spec, "slo:period_error_budget_remaining:ratio"), "Remaining budget", instant=True),
        Query(_of(spec, "slo:current_burn_rate:ratio"), "Burn rate", instant=True),
        unit="none",
        view=View.TABLE,
        width=12,
        decimals=4,
    )


def _burning(spec: Spec) -> Iterator[Signal]:
    yield _signal(
        "Remaining budget over time",
        "Share of each error budget that remained. Normal: a slow fall and rise. A cliff is an incident.",
        Query(_of(spec, "slo:period_error_budget_remaining:ratio"), _OBJECTIVE),
        unit="percentunit",
        view=View.TIME_SERIES,
        width=12,
        minimum=None,
        levels=(Level(Severity.CRITICAL, 0),),
        below=True,
    )
    yield _signal(
        "Burn rate",
        "How many times faster than evenly over the period each budget is being spent. Normal: below 1. At 1 the "
        "budget lasts exactly until the end of the period.",
        Query(_of(spec, "slo:current_burn_rate:ratio"), _OBJECTIVE),
        unit="none",
        view=View.TIME_SERIES,
        width=12,
        decimals=2,
        levels=(Level(Severity.WARNING, 1),),
    )
    for window in _WINDOWS:
        errors = matching(f"slo:sli_error:ratio_rate{window}", f'sloth_service="{spec.system.name}"')
        budget = selector("slo:error_budget:ratio", sloth_service=spec.system.name)
        yield _signal(
            f"Burn rate over {window}",
            f"The share of events that missed each objective over {window}, in multiples of the share that may. "
            "Normal: below 1.",
            Query(f"max {_BY} ({errors}) / max {_BY} ({budget})", _OBJECTIVE),
            unit="none",
            view=View.TIME_SERIES,
            width=8,
            height=7,
            decimals=2,
            levels=(Level(Severity.WARNING, 1),),
        )
