"""The exporter in a cluster: one pod that the restricted pod security standard admits."""

from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import PurePosixPath
from typing import Any

import mlvitals
from mlvitals.generator.compose.mounts import Mounts, mounts
from mlvitals.generator.kubernetes.monitors import PORT_NAME
from mlvitals.generator.kubernetes.names import Names, data_key
from mlvitals.generator.spec.model import Spec

USER = 10001
_PORT = 9108
_SPEC, _DATA, _PASSWORDS, _SCRATCH = "spec", "data", "passwords", "tmp"


def exporter_objects(spec: Spec, file_name: str, text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the exporter's objects by the names of their files. `text` is the spec's."""
    names, there = Names(spec), mounts(spec, file_name)
    yield (
        "spec.yaml",
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": names.metadata(names.spec),
            "data": {data_key(file_name): text},
        },
    )
    if _needs_claim(there):
        yield "claim.yaml", _claim(spec, names)
    yield "deployment.yaml", _deployment(spec, names, there, file_name, text)
    yield "service.yaml", _service(names)
    yield "networkpolicy.yaml", _network_policy(spec, names)


def _needs_claim(there: Mounts) -> bool:
    """True if a file of the spec is on a disk."""
    return bool(there.written) or any(not mount.is_secret and mount.target != there.spec for mount in there.read)


def _claim(spec: Spec, names: Names) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": names.metadata(names.exporter),
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": spec.kubernetes.storage}},
        },
    }


def _deployment(spec: Spec, names: Names, there: Mounts, file_name: str, text: str) -> dict[str, Any]:
    pod = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(spec, names, there, file_name)],
        "volumes": list(_volumes(names, there)),
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": names.metadata(names.exporter),
        "spec": {
            # One process measures: two would publish every window twice.
            "replicas": 1,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": names.exporter_labels},
            "template": {
                "metadata": {
                    "labels": names.exporter_labels,
                    # Another spec starts another pod: a file of a ConfigMap that is mounted alone is never updated.
                    "annotations": {"mlvitals/spec": sha256(text.encode()).hexdigest()[:16]},
                },
                "spec": pod,
            },
        },
    }


def _container(spec: Spec, names: Names, there: Mounts, file_name: str) -> dict[str, Any]:
    return {
        "name": "exporter",
        "image": spec.exporter.image or f"mlvitals:{mlvitals.__version__}",
        "args": ["export", there.spec, f"--listen=0.0.0.0:{_PORT}"],
        "ports": [{"name": PORT_NAME, "containerPort": _PORT}],
        "envFrom": [{"secretRef": {"name": names.environment, "optional": True}}],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "resources": {"requests": {"cpu": "100m", "memory": "512Mi"}, "limits": {"memory": "2Gi"}},
        "livenessProbe": {**_asked("/healthz"), "periodSeconds": 30, "failureThreshold": 5},
        "readinessProbe": {**_asked("/readyz"), "periodSeconds": 10},
        "startupProbe": {**_asked("/healthz"), "periodSeconds": 5, "failureThreshold": 60},
        "volumeMounts": list(_volume_mounts(there, spec.slug, file_name)),
    }


def _asked(path: str) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": PORT_NAME}, "timeoutSeconds": 5}


def _volume_mounts(there: Mounts, slug: str, file_name: str) -> Iterator[dict[str, Any]]:
    """Yield the mounts: what the spec reads is at its path below the claim, results are below ``state``."""
    root = f"/srv/{slug}"
    for index, target in enumerate(there.written):
        yield {"name": _DATA, "mountPath": target, "subPath": f"state/{index}"}
    for mount in there.read:
        if mount.target == there.spec:
            continue
        name = _PASSWORDS if mount.is_secret else _DATA
        path = PurePosixPath(mount.target)
        inside = path.relative_to(root) if path.is_relative_to(root) else path.relative_to("/")
        sub_path = path.name if mount.is_secret else str(inside)
        yield {
            "name": name,
            "mountPath": mount.target,
            **({} if sub_path == "." else {"subPath": sub_path}),
            **({} if mount.writable else {"readOnly": True}),
        }
    yield {"name": _SPEC, "mountPath": there.spec, "subPath": data_key(file_name), "readOnly": True}
    yield {"name": _SCRATCH, "mountPath": "/tmp"}  # noqa: S108  (the container's own)


def _volumes(names: Names, there: Mounts) -> Iterator[dict[str, Any]]:
    yield {"name": _SPEC, "configMap": {"name": names.spec}}
    yield {"name": _SCRATCH, "emptyDir": {}}
    if _needs_claim(there):
        yield {"name": _DATA, "persistentVolumeClaim": {"claimName": names.exporter}}
    if any(mount.is_secret for mount in there.read):
        yield {"name": _PASSWORDS, "secret": {"secretName": names.passwords, "defaultMode": 0o440}}


def _service(names: Names) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": names.metadata(names.exporter),
        "spec": {
            "selector": names.exporter_labels,
            "ports": [{"name": PORT_NAME, "port": _PORT, "targetPort": PORT_NAME}],
        },
    }


def _network_policy(spec: Spec, names: Names) -> dict[str, Any]:
    """Return who may reach the exporter: Prometheus, on its one port."""
    scraping = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": spec.kubernetes.prometheus_namespace}}
    }
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": names.metadata(names.exporter),
        "spec": {
            "podSelector": {"matchLabels": names.exporter_labels},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [scraping], "ports": [{"protocol": "TCP", "port": PORT_NAME}]}],
        },
    }
