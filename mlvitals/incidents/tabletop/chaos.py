"""An exercise as an experiment of the Chaos Toolkit, for a system that really runs: it asks whether the page came in time."""

from typing import Any

from mlvitals.evaluation.faults.catalogue import Fault
from mlvitals.generator.signals import signals
from mlvitals.generator.spec.durations import duration
from mlvitals.generator.spec.model import Severity, Spec
from mlvitals.generator.text_files import json_file
from mlvitals.incidents.tabletop.play import detection_limit

_PROMETHEUS, _INJECT, _REVERT = "MLVITALS_PROMETHEUS", "MLVITALS_INJECT", "MLVITALS_REVERT"
"""Environment variables: the server to ask, and the commands that break the system and revert that."""


def experiment(spec: Spec, fault: Fault) -> str:
    """Return the experiment as JSON.

    Its probes ask Prometheus. How a system is broken only its owners know: the commands come from the environment.
    """
    within = detection_limit(spec, fault)
    names = _pages(spec, fault)
    alerts = f'ALERTS{{alertname=~"{"|".join(names)}",alertstate="firing",system="{spec.system.name}"}}'
    watchdog = f'ALERTS{{alertname="MLWatchdog",alertstate="firing",system="{spec.system.name}"}}'
    minutes = round(within.total_seconds() / 60)
    document = {
        "version": "1.0.0",
        "title": f"{spec.title}: is {fault.kind.name} noticed within {minutes} minutes?",
        "description": f"{fault.story} One of {', '.join(names)} has to fire within {minutes} minutes of it.",
        "tags": ["mlvitals", spec.system.name, fault.kind.layer.value],
        "configuration": {
            "prometheus": {"type": "env", "key": _PROMETHEUS, "default": "http://localhost:9090"},
            "inject": {"type": "env", "key": _INJECT},
            "revert": {"type": "env", "key": _REVERT},
        },
        # What should be there afterwards is not there before.
        "runtime": {"hypothesis": {"strategy": "after-method-only"}},
        "steady-state-hypothesis": {
            "title": f"The rules are evaluated, and a page came within {minutes} minutes.",
            "probes": [
                _probe("the watchdog fires", watchdog),
                _probe("one of these alerts fired", f"max_over_time({alerts}[{duration(within.total_seconds())}])"),
            ],
        },
        "method": [
            _probe("none of these alerts fires before", f"absent({alerts})"),
            {**_action("break it", "inject"), "pauses": {"after": int(within.total_seconds())}},
        ],
        "rollbacks": [_action("revert it", "revert")],
    }
    return json_file(document)


def _pages(spec: Spec, fault: Fault) -> list[str]:
    """Return the alerts that should notice it: those that page, where the fault should page and any does."""
    defined = {(alert.name, alert.severity) for signal in signals(spec) for alert in signal.alerts}
    paging = [name for name in fault.kind.signals if (name, Severity.CRITICAL) in defined]
    return paging if paging and fault.kind.pages else list(fault.kind.signals)


def _probe(name: str, query: str) -> dict[str, Any]:
    """Return a probe that is satisfied if a query has a result."""
    return {
        "type": "probe",
        "name": name,
        "tolerance": {"type": "jsonpath", "path": "$.data.result[*].metric", "target": "body"},
        "provider": {
            "type": "http",
            "url": "${prometheus}/api/v1/query",
            "arguments": {"query": query},
            "timeout": 30,
        },
    }


def _action(name: str, variable: str) -> dict[str, Any]:
    return {
        "type": "action",
        "name": name,
        "provider": {"type": "process", "path": "sh", "arguments": ["-c", f"${{{variable}}}"]},
    }
