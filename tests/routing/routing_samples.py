"""Specs whose alerts go somewhere."""

from mlvitals.generator.spec.load import parse_spec
from mlvitals.generator.spec.model import Spec

HOSTILE = 'a {{ .Value }} "quoted" `ticked` ${x} %{y} <!channel>\\n# {'


def routed(routing: str = "", rest: str = "") -> Spec:
    """A small system with a receiver for each severity."""
    return parse_spec(
        f"""\
version: 1
system: {{name: shop}}
prediction_log: {{path: log, score: score}}
features: {{amount: {{source: batch}}, country: {{type: categorical}}}}
sources: {{batch: {{max_age: 1h, path: here}}}}
routing:
  receivers:
    chat: {{slack: {{channel: "#shop", webhook_file: /run/secrets/slack}}}}
    pager: {{pagerduty: {{routing_key_file: /run/secrets/pagerduty, url: "http://inbox:9110/v2/enqueue"}}}}
    log: {{webhook: {{url: "http://inbox:9110/log"}}}}
    dead: {{webhook: {{url: "http://inbox:9110/alertmanager"}}}}
  info: log
  warning: chat
  critical: pager
  watchdog: dead
  {routing}
{rest}"""
    )


def hostile() -> Spec:
    """Every free text tries to be something else."""
    return parse_spec(
        f"""\
version: 1
system: {{name: odd, title: '{HOSTILE}', team: '{HOSTILE}', description: '{HOSTILE}'}}
prediction_log: {{path: log}}
features: {{'{HOSTILE}': {{source: '{HOSTILE}'}}}}
sources: {{'{HOSTILE}': {{max_age: 1h, path: here}}}}
routing:
  receivers:
    '{HOSTILE}': {{slack: {{channel: '#{{{{.Value}}}}{{', webhook_file: '/run/{{{{x}}}}'}}}}
  warning: '{HOSTILE}'
  critical: '{HOSTILE}'
responders:
  '{HOSTILE}': {{email: '{{{{x}}}}${{y}}@b', phone: +1-555-0100}}
  '{HOSTILE}!': {{email: 'a@b'}}
escalation: [{{role: '{HOSTILE}', after: 0m, via: [phone, email], contacts: ['{HOSTILE}']}}]
"""
    )
