"""Rules on a model server's preset: objectives that its metrics cannot be measured by."""

from collections.abc import Iterator

from mlvitals.generator.contract.presets import ModelServer, server_of
from mlvitals.generator.contract.serving import TOTAL_STAGE
from mlvitals.generator.spec.diagnostics import KeyPath, Problem
from mlvitals.generator.spec.model import Slo, SloKind, Spec

_PRESET: KeyPath = ("serving", "preset")
_REMEDY = (
    "measure it at the ingress with an objective of kind query, or instrument the application with PredictionTelemetry"
)


def check_preset(spec: Spec) -> Iterator[Problem]:
    """Check that the model server publishes what the objectives are measured by."""
    if spec.serving.preset is None:
        return
    if not spec.serving.enabled:
        yield Problem((_PRESET,), "has no effect: serving is not enabled", "preset", "remove one of them")
        return
    server = server_of(spec.serving.preset)
    for name, slo in spec.slos.items():
        yield from _objective(("slos", name), slo, server)


def _objective(path: KeyPath, slo: Slo, server: ModelServer) -> Iterator[Problem]:
    kind = (*path, "kind")
    if slo.kind is SloKind.AVAILABILITY and not server.counts_errors:
        yield Problem(
            (kind, _PRESET), f"needs failed predictions, which {server.title} does not count", "preset", _REMEDY
        )
    if slo.kind is SloKind.MODEL_STALENESS:
        message = f"needs the time of training, which {server.title} does not publish"
        yield Problem((kind, _PRESET), message, "preset", _REMEDY)
    if slo.kind is not SloKind.LATENCY:
        return
    stage = slo.stage or TOTAL_STAGE
    if not server.stages:
        yield Problem(
            (kind, _PRESET), f"needs a histogram of latency, which {server.title} does not have", "preset", _REMEDY
        )
    elif stage not in server.stages:
        message = f"{stage} is no stage that {server.title} measures"
        hint = f"it measures {', '.join(sorted(server.stages))}"
        yield Problem(((*path, "stage"), kind), message, "preset", hint, complete=True)
    elif server.bounds and slo.threshold not in server.bounds:
        bounds = ", ".join(f"{bound:g}" for bound in server.bounds)
        message = f"is no bound of the buckets of {server.title}, between which nothing is counted"
        yield Problem(((*path, "threshold"), kind), message, "preset", f"choose one of {bounds}")
