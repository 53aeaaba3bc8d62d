"""The configuration of the Alertmanager: routes by severity and cooldown, receivers, inhibitions, mute times.

Alertmanager 0.25 and newer accept it; only a webhook with a ``url_file`` needs 0.26.
"""

from collections.abc import Sequence
from typing import Any

from mlvitals.generator.routing.inhibitions import inhibit_rules
from mlvitals.generator.routing.mute_times import maintenance_times, quiet_times
from mlvitals.generator.signals.labels import identity_matchers
from mlvitals.generator.signals.signal import Signal
from mlvitals.generator.signals.text import text
from mlvitals.generator.spec import people
from mlvitals.generator.spec.durations import duration, milliseconds
from mlvitals.generator.spec.model import (
    Cooldown,
    Email,
    IncidentIo,
    Opsgenie,
    PagerDuty,
    Receiver,
    Severity,
    Slack,
    Spec,
    Teams,
    Webhook,
)
from mlvitals.generator.spec.people import NOBODY
from mlvitals.generator.text_files import yaml_file

GROUP_BY = ("system", "incident", "feature_source")
"""Labels of a group: whatever alerts, one type of incident at one source is one incident, and one notification."""
OF_THE_MODEL = frozenset(
    {
        "score_psi",
        "score_null_rate",
        "score_out_of_range_ratio",
        "concept_drift",
        "label_shift",
        "performance_loss",
        "business_drop",
    }
)
"""The policies of alerts on what the model says, how right it is and what users do about it.

A worse model shows in each of them in turn, over days, as outcomes arrive and KPIs fall: whichever type of incident the
first of them is, the others are the same one.
"""
GROUP_BY_OF_THE_MODEL = ("system", "feature_source")
HEARTBEAT = "30s"
"""The interval of the watchdog. It is sent at every flush of its group or at every second one: at least once a minute."""

QUIET_HOURS, MAINTENANCE = "quiet hours", "maintenance"

_ROUTED = (Severity.CRITICAL, Severity.WARNING, Severity.INFO)


def alertmanager_config(spec: Spec, signals: Sequence[Signal], marker: str, templates: str) -> str:
    """Write alertmanager.yml; `templates` is the path of the message templates, relative to its folder."""
    return yaml_file({"templates": [templates], **alertmanager_document(spec, signals)}, marker)


def alertmanager_document(spec: Spec, signals: Sequence[Signal]) -> dict[str, Any]:
    """Return routes, receivers, inhibitions and mute times, as the file holds them."""
    return {
        "route": _root(spec, signals),
        "receivers": [{"name": NOBODY}, *(_receiver(name, to) for name, to in spec.routing.receivers.items())],
        "inhibit_rules": list(inhibit_rules(spec, signals)),
        **_time_intervals(spec),
    }


def receiver_of(spec: Spec, severity: Severity) -> str:
    """Return the name of the receiver of a severity in the file; `Severity.NONE` is the watchdog's."""
    return people.receiver_of(spec.routing, severity)


def integrations_of(receiver: Receiver) -> tuple[str, ...]:
    """Return the ways by which a receiver is reached, by the names that Alertmanager counts their notifications under."""
    return tuple(key.removesuffix("_configs") for key in _receiver("", receiver) if key != "name")


def repeat_interval(cooldown: str, group_interval: str) -> str:
    """Return the cooldown, rounded up to a multiple of the group interval: Alertmanager checks a group no more often."""
    step = milliseconds(group_interval)
    return duration(-(-milliseconds(cooldown) // step) * step / 1000)


# ---------------------------------------------------------------- routes


def _root(spec: Spec, signals: Sequence[Signal]) -> dict[str, Any]:
    """Return the top route; an alert that matches no route below it still reaches the receiver of warnings."""
    own = own_route(spec, signals)
    if not spec.identity.labels:
        return own
    top = {key: value for key, value in own.items() if key != "routes"}
    return {**top, "routes": [{"matchers": list(identity_matchers(spec)), **own}]}


def own_route(spec: Spec, signals: Sequence[Signal]) -> dict[str, Any]:
    """Return the route of the alerts of a system: by severity, and the watchdog's."""
    routing = spec.routing
    return {
        "receiver": receiver_of(spec, Severity.WARNING),
        "group_by": list(group_by(spec)),
        "group_wait": routing.group_wait,
        "group_interval": routing.group_interval,
        "repeat_interval": repeat_interval(Cooldown().warning, routing.group_interval),
        "routes": [_watchdog(spec), *(_severity(spec, signals, severity) for severity in _ROUTED)],
    }


def heartbeat(spec: Spec) -> str:
    """Return the interval of the watchdog's own route, whatever the other groups wait."""
    return min(HEARTBEAT, spec.routing.group_interval, key=milliseconds)


def _watchdog(spec: Spec) -> dict[str, Any]:
    return {
        "receiver": receiver_of(spec, Severity.NONE),
        "matchers": [f'severity="{Severity.NONE}"'],
        "group_wait": "0s",
        "group_interval": heartbeat(spec),
        "repeat_interval": heartbeat(spec),
    }


def _severity(spec: Spec, signals: Sequence[Signal], severity: Severity) -> dict[str, Any]:
    """Return the route of a severity with its default cooldown, and below it one for what differs in cooldown or grouping."""
    muted = {"mute_time_intervals": names} if (names := list(silent_times(spec, severity))) else {}
    interval = spec.routing.group_interval
    usual = (repeat_interval(getattr(Cooldown(), severity), interval), group_by(spec))
    alerts = [alert for signal in signals for alert in signal.alerts if alert.severity is severity]
    policies: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for policy, cooldown in sorted({(alert.policy, alert.cooldown) for alert in alerts}):
        policies.setdefault((repeat_interval(cooldown, interval), group_by(spec, policy)), []).append(policy)
    # Routes do not inherit mute times from the route above in Alertmanager: each states its own.
    others = [
        {
            "matchers": [f'policy=~"{"|".join(policies[repeat, grouping])}"'],
            **({"group_by": list(grouping)} if grouping != usual[1] else {}),
            "repeat_interval": repeat,
            **muted,
        }
        for repeat, grouping in sorted(policies.keys() - {usual}, key=lambda key: (milliseconds(key[0]), key[1]))
    ]
    return {
        "receiver": receiver_of(spec, severity),
        "matchers": [f'severity="{severity}"'],
        "repeat_interval": usual[0],
        **muted,
        **({"routes": others} if others else {}),
    }


def group_by(spec: Spec, policy: str = "") -> tuple[str, ...]:
    """Return the labels by which the alerts of a policy are grouped."""
    of_policy = GROUP_BY_OF_THE_MODEL if policy in OF_THE_MODEL else GROUP_BY
    return (*of_policy, *spec.identity.labels)


def silent_times(spec: Spec, severity: Severity) -> tuple[str, ...]:
    """Return the mute times of a severity: planned work silences all but the watchdog, quiet hours what does not page."""
    if severity is Severity.NONE:
        return ()
    quiet = (QUIET_HOURS,) if spec.routing.quiet_hours and severity is not Severity.CRITICAL else ()
    return quiet + ((MAINTENANCE,) if spec.routing.maintenance else ())


def _time_intervals(spec: Spec) -> dict[str, Any]:
    named = {
        QUIET_HOURS: quiet_times(spec.routing.quiet_hours),
        MAINTENANCE: maintenance_times(spec.routing.maintenance),
    }
    intervals = [{"name": name, "time_intervals": times} for name, times in named.items() if times]
    return {"time_intervals": intervals} if intervals else {}


# ---------------------------------------------------------------- receivers


def _receiver(name: str, receiver: Receiver) -> dict[str, Any]:
    return {
        "name": name,
        **({"slack_configs": [_slack(receiver.slack)]} if receiver.slack else {}),
        **({"pagerduty_configs": [_pagerduty(receiver.pagerduty)]} if receiver.pagerduty else {}),
        **({"webhook_configs": [_webhook(receiver.webhook)]} if receiver.webhook else {}),
        **({"email_configs": [_email(receiver.email)]} if receiver.email else {}),
        **({"msteamsv2_configs": [_teams(receiver.teams)]} if receiver.teams else {}),
        **({"opsgenie_configs": [_opsgenie(receiver.opsgenie)]} if receiver.opsgenie else {}),
        **({"incidentio_configs": [_incidentio(receiver.incidentio)]} if receiver.incidentio else {}),
        **{name: list(each) for name, each in receiver.other.items()},
    }


def _slack(slack: Slack) -> dict[str, Any]:
    return {
        "api_url_file": slack.webhook_file,
        "channel": text(slack.channel).template(),
        "send_resolved": True,
        "color": _template("slack.color"),
        "title": _template("slack.title"),
        "title_link": _template("dashboard"),
        "fallback": _template("slack.title"),
        "text": _template("slack.text"),
        "actions": [
            {"type": "button", "text": label, "url": _template(label.lower())}
            for label in ("Runbook", "Dashboard", "Silence")
        ],
    }


def _pagerduty(pagerduty: PagerDuty) -> dict[str, Any]:
    return {
        "routing_key_file": pagerduty.routing_key_file,
        **({"url": pagerduty.url} if pagerduty.url else {}),
        "send_resolved": True,
        "description": _template("title"),
        "severity": _template("pagerduty.severity"),
        "class": "{{ .CommonLabels.incident }}",
        "component": "{{ .CommonLabels.feature_source }}",
        "group": "{{ .CommonLabels.system }}",
        "client": "mlvitals",
        "client_url": _template("dashboard"),
        "details": {
            "summary": "{{ .CommonAnnotations.summary }}",
            "firing": _template("firing"),
            "resolved": _template("resolved"),
            "num_firing": "{{ .Alerts.Firing | len }}",
            "num_resolved": "{{ .Alerts.Resolved | len }}",
        },
        "links": [
            {"href": _template("runbook"), "text": "Runbook"},
            {"href": _template("dashboard"), "text": "Dashboard"},
        ],
    }


def _webhook(webhook: Webhook) -> dict[str, Any]:
    address = {"url_file": webhook.url_file} if webhook.url_file else {"url": webhook.url}
    return {**address, "send_resolved": True}


def _email(email: Email) -> dict[str, Any]:
    return {
        "to": email.to,
        "from": email.sender,
        "smarthost": email.smarthost,
        **({"auth_username": email.username} if email.username else {}),
        **({"auth_password_file": email.password_file} if email.password_file else {}),
        "send_resolved": True,
        "headers": {"Subject": _template("title")},
        "text": f"{_template('firing')}{_template('resolved')}\n{_template('runbook')}\n{_template('dashboard')}",
    }


def _teams(teams: Teams) -> dict[str, Any]:
    return {
        "webhook_url_file": teams.webhook_file,
        "send_resolved": True,
        "title": _template("title"),
        "text": f"{_template('firing')}{_template('resolved')}\n\n[Runbook]({_template('runbook')})",
    }


def _opsgenie(opsgenie: Opsgenie) -> dict[str, Any]:
    return {
        "api_key_file": opsgenie.api_key_file,
        **({"api_url": opsgenie.url} if opsgenie.url else {}),
        "send_resolved": True,
        "message": _template("title"),
        "description": f"{_template('firing')}{_template('resolved')}",
        "source": _template("dashboard"),
        "priority": '{{ if eq .CommonLabels.severity "critical" }}P1{{ else }}P3{{ end }}',
    }


def _incidentio(source: IncidentIo) -> dict[str, Any]:
    return {"url": source.url, "alert_source_token_file": source.token_file, "send_resolved": True}


def _template(name: str) -> str:
    return f'{{{{ template "mlvitals.{name}" . }}}}'
