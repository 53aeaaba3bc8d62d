"""Names and labels of a system's objects."""

import re
from hashlib import sha256
from typing import Any

from mlvitals.generator.spec.model import Spec

_LONGEST = 63
_MANAGED = {"app.kubernetes.io/part-of": "mlvitals", "app.kubernetes.io/managed-by": "mlvitals"}
_OF_THE_CHART = {"release": "kube-prometheus-stack"}
"""The label by which kube-prometheus-stack selects objects, where it is installed under its own name."""


def dns_name(text: str) -> str:
    """Return a text as the name of an object: lower-case letters, digits and hyphens; a long one is cut and made unique."""
    name = re.sub(r"[^a-z0-9-]", "-", text.lower()).strip("-")
    if len(name) <= _LONGEST:
        return name
    end = f"-{sha256(text.encode()).hexdigest()[:8]}"
    return name[: _LONGEST - len(end)].rstrip("-") + end


def data_key(file_name: str) -> str:
    """Return the name of a file as a key of a ConfigMap."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", file_name)


class Names:
    """The names of a system's objects."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self.base = dns_name(spec.slug)
        self.namespace = (
            spec.kubernetes.namespace or spec.identity.labels.get("namespace") or dns_name(spec.system.name)
        )
        self.exporter = dns_name(f"{spec.slug}-exporter")
        self.spec = dns_name(f"{spec.slug}-spec")
        self.passwords = dns_name(f"{spec.slug}-passwords")
        """The Secret with the files of passwords that the exporter reads."""
        self.receivers = dns_name(f"{spec.slug}-receivers")
        """The Secret with what receivers need."""
        self.environment = dns_name(f"{spec.slug}-env")
        """The Secret with the exporter's environment, such as the keys of an object store."""

    @property
    def exporter_labels(self) -> dict[str, str]:
        """The labels that select the exporter."""
        return {"app.kubernetes.io/name": "mlvitals-exporter", "app.kubernetes.io/instance": self.base}

    def metadata(self, name: str, *, selected: bool = False, **more: Any) -> dict[str, Any]:
        """Return an object's metadata; `selected` are the objects that Prometheus and Alertmanager look for."""
        named = self._spec.kubernetes.labels
        own = (_OF_THE_CHART if named is None else named) if selected else {}
        return {
            "name": name,
            "namespace": self.namespace,
            "labels": {**_MANAGED, **self.exporter_labels, **own},
            **more,
        }
