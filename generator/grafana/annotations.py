"""The annotations on every panel: new model versions, recorded deployments, pipeline changes, incidents."""

from typing import Any

from mlvitals.generator.contract import Contract
from mlvitals.generator.grafana.variables import DATA_SOURCE
from mlvitals.generator.promql import selector

_DEPLOYMENT_COLOUR = "rgba(0, 211, 255, 1)"
_INCIDENT_COLOUR = "rgba(242, 73, 92, 1)"
_RESOLVED_COLOUR = "rgba(115, 191, 105, 1)"
_PIPELINE_COLOUR = "rgba(255, 152, 48, 1)"


def annotations(contract: Contract) -> list[dict[str, Any]]:
    """Return the annotation queries that the spec asks for."""
    wanted = contract.spec.annotations
    incidents = [_incidents(contract, when) for when in ("opened", "resolved")] if _has_incidents(contract) else []
    deployments = [_new_versions(contract), _noted_deployments(contract)] if wanted.deployments else []
    return deployments + ([_pipeline_changes(contract)] if wanted.pipeline_changes else []) + incidents


def _has_incidents(contract: Contract) -> bool:
    return contract.spec.annotations.incidents and contract.spec.incidents.path is not None


def _incidents(contract: Contract, when: str) -> dict[str, Any]:
    """Return the annotation of the moments at which incidents were opened or resolved."""
    return {
        **_common(f"Incidents {when}", _INCIDENT_COLOUR if when == "opened" else _RESOLVED_COLOUR),
        "expr": f"max by (incident, title) ({contract.name(f'incident_{when}_timestamp_seconds')}) * 1000",
        "useValueForTime": True,
        "titleFormat": f"Incident {when}: {{{{title}}}}",
        "textFormat": "{{incident}}",
        "tagKeys": "incident",
    }


def _new_versions(contract: Contract) -> dict[str, Any]:
    versions = f"group by (model_version) ({contract.name('model_info')}"
    return {
        **_common("Deployments", _DEPLOYMENT_COLOUR),
        "expr": f"{versions}) unless {versions} offset $__interval)",
        "titleFormat": "Model {{model_version}} deployed",
        "tagKeys": "model_version",
    }


def _noted_deployments(contract: Contract) -> dict[str, Any]:
    return {
        **_common("Recorded deployments", _DEPLOYMENT_COLOUR),
        **_at_noted_time(contract, "deployment"),
        "titleFormat": "Model {{version}} deployed",
    }


def _pipeline_changes(contract: Contract) -> dict[str, Any]:
    return {
        **_common("Pipeline changes", _PIPELINE_COLOUR),
        **_at_noted_time(contract, "pipeline"),
        "titleFormat": "{{name}} changed to {{version}}",
    }


def _at_noted_time(contract: Contract, kind: str) -> dict[str, Any]:
    """Return an annotation whose time is the sample's value, in milliseconds, not the time of the scrape."""
    changes = selector(contract.name("change_timestamp_seconds"), kind=kind)
    return {
        "expr": f"max by (name, version, author) ({changes}) * 1000",
        "useValueForTime": True,
        "textFormat": "by {{author}}",
        "tagKeys": "name,version",
    }


def _common(name: str, colour: str) -> dict[str, Any]:
    return {
        "name": name,
        "datasource": DATA_SOURCE,
        "enable": True,
        "hide": False,
        "iconColor": colour,
        "step": "1m",
    }
