"""People by their role: a post-mortem says what was done, not by whom, unless it is asked to."""

import re
from collections.abc import Mapping

from mlvitals.incidents.record.model import Incident
from mlvitals.incidents.record.webhook import ALERTMANAGER

UNNAMED, STRANGER = "a responder", "somebody"
"""Who has no role in the incident, and who is not part of it."""

_SHORTEST = 3
"""Characters of a name that is looked for in texts: shorter ones are words as well."""


class People:
    """The names under which people of an incident appear in a text."""

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
        for name in sorted(self._called, key=len, reverse=True):
            if len(name) >= _SHORTEST:
                text = _renamed(text, name, self._called[name])
        return text


def _renamed(text: str, name: str, called: str) -> str:
    """Replace a name where it stands as a word, together with the role where that follows it."""
    role = called.removeprefix("the ")
    return re.sub(rf"(?<!\w){re.escape(name)}(?!\w)(, {re.escape(role)})?", lambda _: called, text)


def _role(role: str) -> str:
    return f"the {role}" if role else UNNAMED
