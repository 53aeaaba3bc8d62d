"""Incidents and messages of Alertmanager that tests of incidents share."""

from datetime import UTC, datetime, timedelta
from typing import Any

START = datetime(2026, 3, 3, 8, 0, tzinfo=UTC)
GROUP = (
    '{}/{severity="critical"}:{alertname="MLFeatureDrift", feature_source="user_batch_features", system="streamrec"}'
)


def at(minutes: float) -> datetime:
    """A moment so many minutes after the fault began."""
    return START + timedelta(minutes=minutes)


def alert(feature: str = "age", *, starts: float = 20, ends: float | None = None, severity: str = "critical") -> dict:
    return {
        "status": "firing" if ends is None else "resolved",
        "labels": {"alertname": "MLFeatureDrift", "feature_name": feature, "severity": severity, "system": "streamrec"},
        "annotations": {"description": f"Feature {feature} drifted."},
        "startsAt": at(starts).isoformat(),
        "endsAt": "0001-01-01T00:00:00Z" if ends is None else at(ends).isoformat(),
        "fingerprint": f"of {feature} {severity}",
    }


def webhook(*alerts: dict, key: str = GROUP) -> dict[str, Any]:
    firing = any(each["status"] == "firing" for each in alerts)
    return {
        "version": "4",
        "groupKey": key,
        "status": "firing" if firing else "resolved",
        "receiver": "pager",
        "commonLabels": {"system": "streamrec", "feature_source": "user_batch_features"},
        "commonAnnotations": {},
        "alerts": list(alerts),
    }
