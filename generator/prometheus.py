"""The configuration of the Prometheus that scrapes a system and evaluates its rules."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from mlvitals.generator.spec.durations import seconds
from mlvitals.generator.spec.model import Spec
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
    change = msgspec.structs.replace
    here = change(
        spec,
        serving=change(spec.serving, targets=tuple(serving_targets or spec.serving.targets)),
        exporter=change(spec.exporter, targets=tuple(exporter_targets or spec.exporter.targets)),
    )
    rules = tuple(rule_files or (rules_from_stack(spec),))
    return yaml_file(prometheus_document((here,), rules, alertmanagers), marker)


def prometheus_document(
    specs: Sequence[Spec], rule_files: Sequence[str], alertmanagers: Sequence[str], *, itself: str = ITSELF
) -> dict[str, Any]:
    """Return the configuration of one Prometheus for some systems; the first one's intervals are the usual ones."""
    usual = specs[0].telemetry
    return {
        "global": {"scrape_interval": usual.scrape_interval, "evaluation_interval": usual.evaluation_interval},
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": list(alertmanagers)}]}]},
        "rule_files": list(rule_files),
        "scrape_configs": [
            *_jobs(specs, usual.scrape_interval),
            *_own(itself, alertmanagers),
        ],
    }


def _jobs(specs: Sequence[Spec], usual_interval: str) -> Iterator[dict[str, Any]]:
    """Yield one job of each name: environments of a system have theirs in common, which then comes as often as any of them."""

    def pace(job: dict[str, Any]) -> float:
        return seconds(job.get("scrape_interval", usual_interval))

    named: dict[str, list[dict[str, Any]]] = {}
    for job in (job for spec in specs for job in scrape_jobs(spec, usual_interval)):
        named.setdefault(job["job_name"], []).append(job)
    for jobs in named.values():
        quickest: dict[str, Any] = min(jobs, key=pace)
        yield {**quickest, "static_configs": [each for job in jobs for each in job["static_configs"]]}


def rules_from_stack(spec: Spec) -> str:
    """Return the path of a system's rules from a folder below ``stack/``."""
    return f"../../alert_rules/{spec.slug}.rules.yml"


def scrape_fragment(spec: Spec, marker: str) -> str:
    """Write the scrapes of a system for ``scrape_config_files`` of a Prometheus that exists."""
    return yaml_file({"scrape_configs": scrape_jobs(spec)}, marker)


def scrape_jobs(spec: Spec, usual_interval: str | None = None) -> list[dict[str, Any]]:
    """Return the jobs that scrape a system; each says its interval unless that is the usual one."""
    own = spec.telemetry.scrape_interval
    interval = {} if own == usual_interval else {"scrape_interval": own}
    serving = spec.serving.targets or (DEFAULT_SERVING_TARGET,)
    jobs = [
        *([(spec.serving_job, serving)] if spec.serving.enabled else []),
        (spec.exporter_job, exporter_addresses(spec)),
    ]
    return [_scrape(job, targets, spec.identity.labels) | interval for job, targets in jobs]


def exporter_addresses(spec: Spec) -> Sequence[str]:
    """Return the addresses at which Prometheus scrapes the exporter."""
    return spec.exporter.targets or (_reachable(spec.exporter.listen),)


def _scrape(job: str, targets: Sequence[str], labels: Mapping[str, str]) -> dict[str, Any]:
    own = {"labels": dict(labels)} if labels else {}
    return {"job_name": job, "static_configs": [{"targets": list(targets), **own}]}


def _own(itself: str, alertmanagers: Sequence[str]) -> list[dict[str, Any]]:
    """Return the scrapes of Prometheus and Alertmanager themselves, which belong to no system."""
    return [_scrape("prometheus", (itself,), {}), _scrape("alertmanager", alertmanagers, {})]


def _reachable(listen: str) -> str:
    """Return an address to scrape: a process that listens on every interface is scraped on the local one."""
    return _ANY_ADDRESS.sub("localhost:", listen)
