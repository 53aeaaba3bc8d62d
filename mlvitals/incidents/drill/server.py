"""Asking an Alertmanager: sending alerts, where they go, and how many notifications each integration has sent."""

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from datetime import datetime
from http.client import HTTPException
from typing import Any, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from mlvitals.generator.errors import UserError

_PATIENCE_SECONDS = 30
_SENT, _FAILED = "alertmanager_notifications_total", "alertmanager_notifications_failed_total"


class AlertmanagerError(UserError):
    """Nobody answers at the address, or it is no Alertmanager."""


class Routed(NamedTuple):
    """Where an alert goes, and what keeps it from being heard."""

    receivers: tuple[str, ...]
    silenced_by: tuple[str, ...]
    inhibited_by: tuple[str, ...]


class Sent(NamedTuple):
    """Notifications of one integration since the server's start."""

    tried: float
    failed: float


class Alertmanager:
    """An Alertmanager at a URL. Every method raises `AlertmanagerError` where it cannot be asked."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    def send(
        self, alerts: Sequence[tuple[Mapping[str, str], Mapping[str, str]]], begun: datetime, ends: datetime
    ) -> None:
        """Send it alerts, given as labels and annotations, as Prometheus does."""
        times = {"startsAt": begun.isoformat(), "endsAt": ends.isoformat()}
        body = [{"labels": dict(labels), "annotations": dict(texts), **times} for labels, texts in alerts]
        self._ask("/api/v2/alerts", json.dumps(body).encode())

    def routed(self, **labels: str) -> dict[str, Routed]:
        """Return where the alerts with these labels go, by their severity."""
        filters = [("filter", f"{name}={json.dumps(value)}") for name, value in labels.items()]
        try:
            answered: list[dict[str, Any]] = json.loads(self._ask(f"/api/v2/alerts?{urllib.parse.urlencode(filters)}"))
            return {alert["labels"].get("severity", ""): _routed(alert) for alert in answered}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise AlertmanagerError(f"{self._url}: answers, and not as Alertmanager does; is the URL right?") from error

    def sent(self) -> dict[str, Sent]:
        """Return the counts of notifications, by integration."""
        totals: dict[str, dict[str, float]] = {}
        try:
            for family in text_string_to_metric_families(self._ask("/metrics").decode()):
                for sample in family.samples:
                    if sample.name in {_SENT, _FAILED}:
                        of = totals.setdefault(sample.labels.get("integration", ""), {})
                        of[sample.name] = of.get(sample.name, 0.0) + sample.value
        except ValueError as error:
            raise AlertmanagerError(f"{self._url}/metrics is no page of metrics; is the URL right?") from error
        return {name: Sent(of.get(_SENT, 0.0), of.get(_FAILED, 0.0)) for name, of in totals.items()}

    def _ask(self, path: str, body: bytes | None = None) -> bytes:
        request = urllib.request.Request(f"{self._url}{path}", body, {"Content-Type": "application/json"})  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=_PATIENCE_SECONDS) as answer:  # noqa: S310  (checked: http)
                content: bytes = answer.read()
        except urllib.error.HTTPError as error:
            reason = error.read().decode(errors="replace").strip()
            raise AlertmanagerError(f"{self._url}: Alertmanager answers {error.code}: {reason}") from error
        except (OSError, HTTPException) as error:
            why = error.reason if isinstance(error, urllib.error.URLError) else error
            raise AlertmanagerError(f"{self._url}: Alertmanager does not answer: {why}") from error
        return content


def _routed(alert: Mapping[str, Any]) -> Routed:
    status = alert["status"]
    return Routed(
        tuple(sorted(receiver["name"] for receiver in alert["receivers"])),
        tuple(status.get("silencedBy") or ()),
        tuple(status.get("inhibitedBy") or ()),
    )
