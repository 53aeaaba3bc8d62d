"""The configuration of the Prometheus that scrapes a system and evaluates its rules."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from mlvitals.generator.spec.durations import seconds
from mlvitals.generator.spec.model import Spec, Telemetry
from mlvitals.generator.text_files import yaml_file

_ANY_ADDRESS = re.compile(r"^(0\.0\.0\.0|\[::\]):")
DEFAULT_SERVING_TARGET = "localhost:8000"
DEFAULT_ALERTMANAGER = "localhost:9093"
ITSELF = "localhost:9090"
"""Prometheus, as it reaches itself: only its own metrics say that a rule fails."""


def prometheus_config(
    spec: Spec,
    marker: str,
    *,
    rule_files: Sequence[str] | None = None,
    serving_targets: Sequence[str] | None = None,
    exporter_targets: Sequence[str] | None = None,
    alertmanagers: Sequence[str] = (DEFAULT_ALERTMANAGER,),
) -> str:
    """Write prometheus.yml for one system.

    Relative rule files start at the folder of prometheus.yml, ``stack/<system>/``: the default finds the generated
    rules wherever the folders keep their places next to each other. Targets default to the spec's, the Alertmanager to
    one on this machine.
    """
    jobs = scrape_jobs(spec, serving_targets=serving_targets, exporter_targets=exporter_targets)
    files = rule_files or (rules_from_stack(spec),)
    return yaml_file(_document(spec.telemetry, jobs, files, alertmanagers), marker)


def joint_config(specs: Sequence[Spec], marker: str) -> str:
    """Write prometheus.yml for several environments of a system: a job of each name, with the targets of all of them."""
    jobs: dict[str, dict[str, Any]] = {}
    for job in (job for spec in specs for job in scrape_jobs(spec)):
        known = jobs.setdefault(job["job_name"], {"job_name": job["job_name"], "static_configs": []})
        known["static_configs"] += job["static_configs"]
    telemetry = min((spec.telemetry for spec in specs), key=lambda each: seconds(each.scrape_interval))
    files = [rules_from_stack(spec) for spec in specs]
    return yaml_file(_document(telemetry, list(jobs.values()), files, (DEFAULT_ALERTMANAGER,)), marker)


def rules_from_stack(spec: Spec) -> str:
    """Return the path of a system's rules from a folder below ``stack/``."""
    return f"../../alert_rules/{spec.slug}.rules.yml"


def scrape_jobs(
    spec: Spec, *, serving_targets: Sequence[str] | None = None, exporter_targets: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """Return the scrapes of the processes of a system, with its identity."""
    exporter = exporter_targets or exporter_addresses(spec)
    serving = serving_targets or spec.serving.targets or (DEFAULT_SERVING_TARGET,)
    jobs = [
        *([(spec.serving_job, serving)] if spec.serving.enabled else []),
        (spec.exporter_job, exporter),
    ]
    return [_scrape(job, targets, spec.identity.labels) for job, targets in jobs]


def _document(
    telemetry: Telemetry, jobs: Sequence[dict[str, Any]], rule_files: Sequence[str], alertmanagers: Sequence[str]
) -> dict[str, Any]:
    return {
        "global": {
            "scrape_interval": telemetry.scrape_interval,
            "evaluation_interval": telemetry.evaluation_interval,
        },
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": list(alertmanagers)}]}]},
        "rule_files": list(rule_files),
        "scrape_configs": [*jobs, *_own(alertmanagers)],
    }


def exporter_addresses(spec: Spec) -> Sequence[str]:
    """Return the addresses at which Prometheus scrapes the exporter."""
    return spec.exporter.targets or (_reachable(spec.exporter.listen),)


def _scrape(job: str, targets: Sequence[str], labels: Mapping[str, str]) -> dict[str, Any]:
    own = {"labels": dict(labels)} if labels else {}
    return {"job_name": job, "static_configs": [{"targets": list(targets), **own}]}


def _own(alertmanagers: Sequence[str]) -> list[dict[str, Any]]:
    """Return the scrapes of Prometheus and Alertmanager themselves, which belong to no system."""
    return [_scrape("prometheus", (ITSELF,), {}), _scrape("alertmanager", alertmanagers, {})]


def _reachable(listen: str) -> str:
    """Return an address to scrape: a process that listens on every interface is scraped on the local one."""
    return _ANY_ADDRESS.sub("localhost:", listen)
