"""Monitoring as code for machine-learning systems.

The names that users import; each is loaded when it is first used, so that importing this package costs nothing.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlvitals.exporters.serving.telemetry import PredictionTelemetry
    from mlvitals.generator.compiler import compile_spec
    from mlvitals.generator.spec.diagnostics import SpecError
    from mlvitals.generator.spec.load import load_spec

__version__ = "0.1.0"

__all__ = ["PredictionTelemetry", "SpecError", "compile_spec", "load_spec"]

_HOME = {
    "PredictionTelemetry": "mlvitals.exporters.serving.telemetry",
    "SpecError": "mlvitals.generator.spec.diagnostics",
    "compile_spec": "mlvitals.generator.compiler",
    "load_spec": "mlvitals.generator.spec.load",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOME[name]), name)
