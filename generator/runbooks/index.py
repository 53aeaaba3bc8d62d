"""The front page of a system's runbooks: all signals, in one table per layer."""

from collections.abc import Iterator, Sequence

from mlvitals.generator.rules.alerts import runbook_page
from mlvitals.generator.runbooks.markdown import escape, table
from mlvitals.generator.signals.signal import Alert, Layer, Signal
from mlvitals.generator.signals.text import threshold
from mlvitals.generator.spec.model import Spec

NAME = "README.md"


def index_page(spec: Spec, signals: Sequence[Signal], marker: str) -> str:
    """Return all signals with their alerts, each linked to its runbook entry, as Markdown."""
    parts = [
        f"<!-- {marker} -->",
        f"# {escape(spec.full_title)}: signals",
        "One row per signal. A signal is a panel of the dashboard; its alerts, if any, compare exactly the metric "
        "that the panel shows with exactly the thresholds that it draws.",
        *_layers(signals),
    ]
    return "\n\n".join(parts) + "\n"


def _layers(signals: Sequence[Signal]) -> Iterator[str]:
    for layer in Layer:
        members = [signal for signal in signals if signal.layer is layer]
        if members:
            yield f"## {layer.value.capitalize()}"
            yield table(("Signal", "What it shows", "Alerts"), map(_row, members))


def _row(signal: Signal) -> tuple[str, str, str]:
    return escape(signal.title), escape(signal.description), "; ".join(_alerts(signal)) or "none"


def _alerts(signal: Signal) -> Iterator[str]:
    for name in dict.fromkeys(alert.name for alert in signal.alerts):
        link = f"[{name}]({runbook_page(signal.incident, name)})"
        yield f"{link}: {', '.join(_conditions([alert for alert in signal.alerts if alert.name == name]))}"


def _conditions(alerts: Sequence[Alert]) -> Iterator[str]:
    yield from dict.fromkeys(
        f"{alert.severity} {alert.compared} {threshold(alert.threshold, alert.format)}" for alert in alerts
    )
