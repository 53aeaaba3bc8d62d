"""Several environments of one system in one Prometheus and one Alertmanager: what their own files say, together.

Their rules and dashboards need nothing more than to lie side by side; a server has one configuration.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlvitals.generator.prometheus import joint_config
from mlvitals.generator.routing import TEMPLATES
from mlvitals.generator.routing.alertmanager import alertmanager_document
from mlvitals.generator.routing.notifications import notification_templates
from mlvitals.generator.signals import signals
from mlvitals.generator.spec.model import Spec
from mlvitals.generator.text_files import yaml_file

Document = dict[str, Any]
_NAMED = ("receivers", "time_intervals")
"""The sections of Alertmanager's configuration whose entries routes call by name."""
_CALLED_BY = {"receiver", "mute_time_intervals"}


def environment_files(specs: Sequence[Spec], marker: str) -> dict[str, str]:
    """Return the files below ``stack/<system>/`` for all environments of a system: relative path to text."""
    documents = _named_apart(specs, [alertmanager_document(spec, signals(spec)) for spec in specs])
    return {
        "prometheus.yml": joint_config(specs, marker),
        "alertmanager.yml": yaml_file({"templates": [TEMPLATES], **_joint(documents)}, marker),
        TEMPLATES: notification_templates(marker),
    }


def _joint(documents: Sequence[Document]) -> Document:
    """Return one configuration: each environment has its own route, and what no route takes goes where the first one's would."""
    route = {**documents[0]["route"], "routes": [route for each in documents for route in each["route"]["routes"]]}
    inhibitions = [rule for each in documents for rule in each["inhibit_rules"]]
    sections = {section: list(_entries(documents, section)) for section in _NAMED}
    return {
        "route": route,
        "receivers": sections["receivers"],
        "inhibit_rules": inhibitions,
        **({"time_intervals": sections["time_intervals"]} if sections["time_intervals"] else {}),
    }


def _entries(documents: Sequence[Document], section: str) -> Iterator[Document]:
    """Yield the entries of a section of all documents, each name once."""
    yield from {entry["name"]: entry for each in documents for entry in each.get(section, ())}.values()


def _named_apart(specs: Sequence[Spec], documents: Sequence[Document]) -> list[Document]:
    """Return the documents, in which what has one name and differs gets the environment as part of its name."""
    ambiguous = {name for section in _NAMED for name in _ambiguous(documents, section)}
    return [
        _renamed(document, {name: f"{name} ({spec.environment})" for name in ambiguous})
        for spec, document in zip(specs, documents, strict=True)
    ]


def _ambiguous(documents: Sequence[Document], section: str) -> Iterator[str]:
    found: dict[str, set[str]] = {}
    for entry in (entry for each in documents for entry in each.get(section, ())):
        found.setdefault(entry["name"], set()).add(json.dumps(entry, sort_keys=True))
    return (name for name, contents in found.items() if len(contents) > 1)


def _renamed(document: Document, names: Mapping[str, str]) -> Document:
    sections = {
        section: [{**entry, "name": names.get(entry["name"], entry["name"])} for entry in document[section]]
        for section in _NAMED
        if section in document
    }
    return {**document, **sections, "route": _calling(document["route"], names)}


def _calling(route: Document, names: Mapping[str, str]) -> Document:
    """Return a route, and those below it, in which receivers and mute times have their new names."""
    renamed: Document = {}
    for key, value in route.items():
        if key == "routes":
            renamed[key] = [_calling(child, names) for child in value]
        elif key in _CALLED_BY:
            renamed[key] = (
                [names.get(one, one) for one in value] if isinstance(value, list) else names.get(value, value)
            )
        else:
            renamed[key] = value
    return renamed
