"""Monitoring as code for machine-learning systems.

The names users import; each is loaded when it is first used, so that importing this package costs nothing.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from exporters.serving import PredictionTelemetry
    from generator.compiler import compile_spec
    from generator.spec.diagnostics import SpecError
    from generator.spec.load import load_spec

__all__ = ["PredictionTelemetry", "SpecError", "compile_spec", "load_spec"]

_HOME = {
    "PredictionTelemetry": "exporters.serving",
    "SpecError": "generator.spec.diagnostics",
    "compile_spec": "generator.compiler",
    "load_spec": "generator.spec.load",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOME[name]), name)
