"""Rules about people: whoever is to be told exists, can be reached, and is told."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlvitals.generator.spec.diagnostics import SpecError
from mlvitals.generator.spec.load import parse_spec
from mlvitals.generator.spec.model import Routing, Severity
from mlvitals.generator.spec.people import receiver_of

SMALL = """\
version: 1
system: {name: shop}
prediction_log: {path: log}
features: {amount: {}}
"""
TEAM = """\
responders:
  ann: {email: ann@x, phone: +1-555-0100, slack: "@ann"}
  bob: {email: bob@x, phone: +44 20 7946 0000}
  cho: {email: cho@x}
"""


def errors(text: str) -> list[str]:
    """Every problem of a spec, as ``line:column message``."""
    with pytest.raises(SpecError) as caught:
        parse_spec(SMALL + text)
    return [f"{item.position.line}:{item.position.column} {item.text}" for item in caught.value.diagnostics]


def is_sound(text: str) -> bool:
    return bool(parse_spec(SMALL + text))


def routing(receiver: str) -> str:
    return f"routing: {{warning: team, receivers: {{team: {receiver}}}}}"


def test_a_receiver_that_nothing_names_is_told_of_nothing():
    assert errors("routing: {receivers: {team: {webhook: {url: 'http://x/y'}}}}") == [
        "5:23 routing.receivers.team receives no notifications; name it under one of info, warning, critical, watchdog, "
        "or remove it"
    ]


def test_a_receiver_cannot_have_the_name_of_the_one_that_tells_nobody():
    (error,) = errors("routing: {info: nobody, receivers: {nobody: {webhook: {url: 'http://x/y'}}}}")
    assert error.startswith("5:37 routing.receivers.nobody is the name of the built-in receiver that notifies nobody")


HEARERS = "routing: {{receivers: {{team: {{webhook: {{url: 'http://x/y'}}}}}}, {}}}"


@pytest.mark.parametrize(
    ("named", "message"),
    [
        (
            "watchdog: team",
            "5:10 routing.critical is not set: nobody hears of critical alerts; name a receiver, or nobody",
        ),
        (
            "critical: nobody, info: team",
            '5:72 routing.critical is nobody, but warning alerts go to "team", and a critical alert silences them',
        ),
    ],
)
def test_a_critical_alert_that_nobody_hears_is_an_error_where_somebody_hears_of_anything(named, message):
    (error,) = errors(HEARERS.format(named))
    assert error.startswith(message)


@pytest.mark.parametrize("named", ["watchdog: team, critical: nobody", "info: team", "critical: team, warning: nobody"])
def test_what_the_spec_says_in_words_and_what_a_milder_receiver_hears_are_no_error(named):
    assert is_sound(HEARERS.format(named))


@given(
    st.fixed_dictionaries({key: st.sampled_from([None, "nobody", "a", "b"]) for key in ("info", "warning", "critical")})
)
def test_whoever_hears_of_a_milder_alert_hears_of_the_worse_one_unless_that_has_a_receiver_of_its_own(named):
    routing = Routing(**named)
    order = (Severity.INFO, Severity.WARNING, Severity.CRITICAL)
    for milder, worse in pairwise(order):
        own = named[worse.value]
        assert receiver_of(routing, worse) == (receiver_of(routing, milder) if own is None else own)


@pytest.mark.parametrize("webhook", ["{}", "{url: 'http://x/y', url_file: f}"])
def test_a_webhook_has_one_address(webhook):
    (error,) = errors(routing(f"{{webhook: {webhook}}}"))
    assert error.startswith("5:54 routing.receivers.team.webhook needs either url_file, or url")


@pytest.mark.parametrize("url", ["http://[x", "http://x:port/", "http://x/%zz", "http://x/{{.Value}}", 'http://x/"'])
def test_a_url_that_alertmanager_would_not_take_is_refused(url):
    (error,) = errors(routing(f"{{webhook: {{url: '{url}'}}}}"))
    assert error.startswith("5:60 routing.receivers.team.webhook.url is not a URL that Alertmanager accepts")


@pytest.mark.parametrize("url", ["http://x", "https://inbox:9110/v2/a_b?c=d&e=%20", "http://[::1]:80/"])
def test_an_ordinary_url_is_fine(url):
    assert is_sound(routing(f"{{webhook: {{url: '{url}'}}}}"))


def test_a_secret_in_a_webhook_url_is_refused():
    assert "contains a password" in errors(routing("{webhook: {url: 'http://me:secret@x/'}}"))[0]


INCIDENT_IO = "incidentio: {url: 'URL', token_file: t}"
OPSGENIE = "opsgenie: {url: 'URL', api_key_file: k}"
PAGERDUTY = "pagerduty: {url: 'URL', routing_key_file: k}"


@pytest.mark.parametrize("receiver", [INCIDENT_IO, OPSGENIE, PAGERDUTY, "webhook: {url: 'URL'}"])
@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://me:s3cret@x/y", "url contains a password, and specs are committed"),
        (
            "https://x/y?token=s3cret",
            "url contains a secret, and specs are committed; write the whole address to a file",
        ),
        ("http://x:port/", "url is not a URL that Alertmanager accepts"),
    ],
)
def test_every_address_of_a_receiver_is_looked_at(receiver, url, said):
    found = errors(routing(f"{{{receiver.replace('URL', url)}}}"))
    assert any(said in error for error in found), found
    assert "s3cret" not in "".join(found)


@pytest.mark.parametrize(
    ("other", "place"),
    [
        ("telegram_configs: [{bot_token: '1:x', chat_id: 1}]", "other.telegram_configs[0].bot_token"),
        ("pushover_configs: [{user_key_file: f, token: x}]", "other.pushover_configs[0].token"),
        ("discord_configs: [{webhook_url: 'https://x/y'}]", "other.discord_configs[0].webhook_url"),
        (
            "webhook_configs: [{url_file: f, http_config: {basic_auth: {username: a, password: b}}}]",
            "other.webhook_configs[0].http_config.basic_auth.password",
        ),
        (
            "webhook_configs: [{url_file: f, http_config: {http_headers: {X-Key: {secrets: [a]}}}}]",
            "other.webhook_configs[0].http_config.http_headers.X-Key.secrets[0]",
        ),
    ],
)
def test_a_secret_of_a_receiver_that_is_passed_through_is_refused(other, place):
    (error,) = errors(routing(f"{{other: {{{other}}}}}"))
    assert f"{place} is a secret, and specs are committed; write it to a file" in error


@pytest.mark.parametrize(
    "other",
    [
        "telegram_configs: [{bot_token_file: f, chat_id: 1}]",
        "discord_configs: [{webhook_url_file: f, title: 'a key, a token: x'}]",
        "webhook_configs: [{url: 'https://x/y?a=b'}]",
    ],
)
def test_a_receiver_that_is_passed_through_with_its_secrets_in_files_is_fine(other):
    assert is_sound(routing(f"{{other: {{{other}}}}}"))


def test_a_cooldown_lasts_at_least_a_group_interval():
    assert errors("alerts: {feature_psi: {cooldown: {critical: 4m}}}") == [
        "5:45 alerts.feature_psi.cooldown.critical 4m is shorter than routing.group_interval 5m"
    ]


def test_a_group_interval_beyond_a_default_cooldown_is_to_blame_itself():
    assert errors("routing: {group_interval: 20m}") == [
        "5:27 alerts.latency_p99.cooldown.critical 15m is shorter than routing.group_interval 20m",
        "5:27 alerts.latency_p99.cooldown.warning 15m is shorter than routing.group_interval 20m",
    ]


def test_the_first_level_is_told_at_once():
    assert errors(TEAM + "escalation: [{role: r, after: 5m, via: [phone], contacts: [ann]}]") == [
        "9:31 escalation[0].after is 5m: until then nobody would be notified; start with 0m"
    ]


def test_levels_follow_in_whole_minutes():
    level = "{role: r, after: 0m, via: [phone], contacts: [ann]}"
    (error,) = errors(TEAM + f"escalation: [{level}, {level.replace('0m', '90s')}]")
    assert error.startswith("9:84 escalation[1].after is not a whole number of minutes")


def test_a_level_reaches_its_contacts_or_whoever_is_on_call():
    level = "escalation: [{role: r, after: 0m, via: [email]}]"
    assert errors(TEAM + level) == [
        "9:14 escalation[0] reaches nobody: it has no contacts, and nobody is on call; "
        "give it contacts, or list responders under on_call.rotation"
    ]
    assert is_sound(TEAM + level + "\non_call: {rotation: [ann, bob, cho]}")


@pytest.mark.parametrize(("method", "needed"), [("phone", "phone"), ("sms", "phone"), ("slack_dm", "slack")])
def test_a_contact_has_what_each_way_needs(method, needed):
    assert errors(TEAM + f"escalation: [{{role: r, after: 0m, via: [email, {method}], contacts: [cho]}}]") == [
        f'9:48 escalation[0].via[1] is {method}, but responders."cho" has no {needed}; add {needed}, or remove {method}'
    ]


def test_everybody_who_takes_turns_has_what_each_way_needs():
    (error,) = errors(TEAM + "escalation: [{role: r, after: 0m, via: [sms]}]\non_call: {rotation: [ann, bob, cho]}")
    assert 'responders."cho" has no phone' in error


def test_a_rotation_that_no_level_calls_is_idle():
    level = "escalation: [{role: r, after: 0m, via: [email], contacts: [ann]}]"
    assert errors(TEAM + level + "\non_call: {rotation: [ann, bob, cho]}") == [
        "10:21 on_call.rotation is not used by any escalation level: each has its own contacts; "
        "remove the contacts of one level"
    ]


def test_a_telephone_number_has_its_country():
    (error,) = errors('responders: {ann: {email: a@x, phone: "555-0100"}}')
    assert error.startswith('5:39 responders.ann.phone is "555-0100", which lacks the country')


def test_a_shift_lasts_an_hour_or_more():
    assert errors("on_call: {shift: 30m}") == ["5:18 on_call.shift is 30m; a shift lasts at least an hour"]
