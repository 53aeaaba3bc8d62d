"""What an exercise without servers sends: by the generated routes, as Alertmanager would, to one webhook."""

from datetime import UTC, datetime, timedelta

import pytest

from mlvitals.evaluation.alerts import Firing
from mlvitals.evaluation.history import Steps
from mlvitals.generator.spec.model import Severity, Spec
from mlvitals.incidents.record.model import State
from mlvitals.incidents.record.store import Incidents
from mlvitals.incidents.record.webhook import record_webhook
from mlvitals.incidents.tabletop.notices import Notice, notices, routes_of

START = datetime(2026, 3, 3, tzinfo=UTC)
STEPS = Steps(START, START + timedelta(hours=10), timedelta(minutes=5))
NEVER = 10_000


def firing(alert: str, severity: str, start: int, end: int, **labels: str) -> Firing:
    """An alert as the rules of StreamRec raise it."""
    own = {"system": "streamrec", **labels}
    routed = {"alertname": alert, "severity": severity, **own}
    return Firing(
        alert=alert, severity=Severity(severity), layer="system", labels=own, start=start, end=end, routed=routed
    )


def errors(start: int, end: int, severity: str = "critical") -> Firing:
    return firing("MLErrorRateHigh", severity, start, end, incident="high-latency", policy="error_rate")


def sent(spec: Spec, *firings: Firing, hours: float = 10) -> list[Notice]:
    now = START + timedelta(hours=hours)
    return notices(routes_of(spec), firings, STEPS, now, lambda each: {"summary": each.alert})


def test_a_group_is_called_as_alertmanager_calls_it(streamrec):
    (notice,) = sent(streamrec, errors(12, NEVER), hours=1.5)
    assert notice.group == (
        '{}/{severity="critical"}/{policy=~"error_rate|freshness"}:{incident="high-latency", system="streamrec"}'
    )
    assert notice.at == START + timedelta(hours=1, seconds=30)
    assert notice.body["alerts"][0]["annotations"] == {"summary": "MLErrorRateHigh"}
    assert notice.is_firing


def test_its_bodies_open_and_resolve_an_incident(streamrec, tmp_path):
    incidents = Incidents(tmp_path)
    states = [record_webhook(incidents, each.body, each.at).state for each in sent(streamrec, errors(12, 24))]
    assert (states[0], states[-1]) == (State.OPEN, State.RESOLVED)


def test_a_warning_that_a_page_of_the_same_alert_inhibits_is_not_sent(streamrec):
    found = sent(streamrec, errors(12, NEVER), errors(12, NEVER, "warning"), hours=1.5)
    assert [each.severity for each in found] == [Severity.CRITICAL]


def test_pages_and_warnings_are_sent_whatever_the_spec_routes(flights):
    levels = {
        severity
        for severity in ("critical", "warning", "info")
        if sent(flights, firing("MLFeatureDrift", severity, 12, NEVER, incident="drift", policy="feature_psi"))
    }
    assert levels >= {"critical", "warning"}


@pytest.mark.parametrize("hours", [0.5, 1, 1.5, 3, 9])
def test_nothing_is_sent_before_its_time_and_what_was_sent_stays(streamrec, hours):
    every = [errors(12, 30), firing("MLDataStale", "critical", 20, NEVER, incident="stale", policy="freshness")]
    until = START + timedelta(hours=hours)
    assert sent(streamrec, *every, hours=hours) == [each for each in sent(streamrec, *every) if each.at <= until]
