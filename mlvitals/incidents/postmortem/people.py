"""People by their role: a post-mortem says what was done, not by whom, unless it is asked to."""

import re
from collections.abc import Mapping

from mlvitals.incidents.record.model import Incident
from mlvitals.incidents.record.webhook import ALERTMANAGER

UNNAMED, STRANGER = "a responder", "somebody"
"""Who has no role in the incident, and who is not part of it."""


class People:
    """How people of an incident are called in a text."""

    def __init__(self, incident: Incident, *, by_name: bool) -> None:
        self._by_name = by_name
        roles = incident.roles()
        actors = {entry.actor for entry in incident.entries} - {ALERTMANAGER}
        self._called: Mapping[str, str] = {name: _role(roles.get(name, "")) for name in sorted({*actors, *roles})}

    def actor(self, name: str) -> str:
        """Return how the one who did something is called; programs keep their names."""
        if self._by_name or name in {"", ALERTMANAGER}:
            return name
        return self._called.get(name, STRANGER)

    def text(self, text: str) -> str:
        """Return a text in which the people of the incident stand by their roles."""
        if self._by_name:
            return text
        for name, called in sorted(self._called.items(), key=lambda item: -len(item[0])):
            role = called.removeprefix("the ")
            text = re.sub(rf"\b{re.escape(name)}\b(, {re.escape(role)})?", lambda _: called, text)  # noqa: B023
        return text


def _role(role: str) -> str:
    return f"the {role}" if role else UNNAMED
