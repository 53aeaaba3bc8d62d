"""The error budgets of a system as recorded by Prometheus: printed by `mlvitals slo`, and the basis of its exit code."""

import json
import math
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from http.client import HTTPException
from typing import Any, Literal

import msgspec

from mlvitals.generator import slo as names
from mlvitals.generator.errors import UserError
from mlvitals.generator.promql import selector
from mlvitals.generator.spec.model import SloKind, Spec

_PATIENCE_SECONDS = 30

Ask = Callable[[str], list[dict[str, Any]]]
"""Answers an instant query with Prometheus' own result vector."""


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one objective. Values are None if nothing was counted."""

    slo: str
    kind: SloKind
    objective: float
    period: str
    remaining: float | None
    """The share of the error budget that is left; below 0 the objective is missed."""
    burn_rate: float | None
    """The current burn rate, relative to spending the budget evenly over the period."""
    deploy_above: float | None
    """The share that must be left for a deployment; None if this objective does not gate deployments."""
    deploy_allowed: bool | None
    """None if unknown, or if this objective does not gate deployments."""


class Budgets(msgspec.Struct, frozen=True, kw_only=True):
    """The state of all objectives of a system: the document of ``mlvitals slo --json``."""

    schema: Literal["mlvitals.slo/1"] = "mlvitals.slo/1"
    system: str
    deploy_allowed: bool | None
    """False if a budget is spent; None if no budget is known to be spent but not all are known."""
    slos: tuple[Budget, ...]


def read_budgets(spec: Spec, ask: Ask) -> Budgets:
    """Read the state of the objectives.

    Raises:
        UserError: Prometheus has recorded no objective of this system.
    """
    if not spec.slos:
        raise UserError(f"the spec of {spec.system.name} has no slos")
    if not ask(selector(names.OBJECTIVE, **{names.SERVICE: spec.system.name}, **spec.identity.labels)):
        message = f"Prometheus has no series {names.OBJECTIVE} of {spec.system.name}"
        raise UserError(f"{message}: does it load alert_rules/{spec.slug}.rules.yml, and is this the right one?")
    remaining, burning = (_by_objective(spec, ask, name) for name in (names.BUDGET_REMAINING, names.CURRENT_BURN_RATE))
    budgets = tuple(_budget(spec, name, remaining.get(name), burning.get(name)) for name in spec.slos)
    gates = [budget.deploy_allowed for budget in budgets if budget.deploy_above is not None]
    allowed = False if False in gates else None if None in gates else True
    return Budgets(system=spec.system.name, deploy_allowed=allowed, slos=budgets)


def _budget(spec: Spec, name: str, remaining: float | None, burning: float | None) -> Budget:
    slo = spec.slos[name]
    known = remaining is not None and slo.deploy_above is not None
    return Budget(
        slo=name,
        kind=slo.kind,
        objective=slo.objective,
        period=slo.period,
        remaining=remaining,
        burn_rate=burning,
        deploy_above=slo.deploy_above,
        deploy_allowed=remaining > slo.deploy_above if known else None,  # type: ignore[operator]
    )


def _by_objective(spec: Spec, ask: Ask, metric: str) -> Mapping[str, float]:
    found = ask(selector(metric, **{names.SERVICE: spec.system.name}, **spec.identity.labels))
    values = {item["metric"][names.SLO]: float(item["value"][1]) for item in found}
    return {name: value for name, value in values.items() if math.isfinite(value)}


def prometheus(url: str) -> Ask:
    """Return a function that queries the Prometheus at a URL.

    Raises:
        UserError: on a query, if the server does not answer, or is not Prometheus.
    """

    def ask(query: str) -> list[dict[str, Any]]:
        address = f"{url.rstrip('/')}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
        try:
            with urllib.request.build_opener().open(address, timeout=_PATIENCE_SECONDS) as answer:
                result = json.load(answer)["data"]["result"]
        except urllib.error.HTTPError as error:
            raise UserError(f"{url}: Prometheus answers {error.code} {error.reason}") from error
        except (OSError, HTTPException) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            raise UserError(f"{url}: Prometheus does not answer: {reason}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{url}: the answer is not from Prometheus; is the URL right?") from error
        return list(result)

    return ask
