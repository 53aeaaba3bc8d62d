"""All signals: each becomes a panel, its alerts, their tests and a runbook entry."""

from dataclasses import replace

from mlvitals.generator.contract import Contract
from mlvitals.generator.signals.business import business_signals
from mlvitals.generator.signals.concept import concept_signals
from mlvitals.generator.signals.data import data_signals
from mlvitals.generator.signals.identity import Identity, identified
from mlvitals.generator.signals.incidents import incident_signals
from mlvitals.generator.signals.model import model_signals
from mlvitals.generator.signals.monitoring import monitoring_signals
from mlvitals.generator.signals.outcomes import outcome_signals
from mlvitals.generator.signals.preset import with_preset
from mlvitals.generator.signals.response import response_signals
from mlvitals.generator.signals.segments import segment_signals
from mlvitals.generator.signals.signal import Signal
from mlvitals.generator.signals.slo import slo_signals
from mlvitals.generator.signals.system import system_signals
from mlvitals.generator.signals.timing import with_timing
from mlvitals.generator.spec.model import Spec


def signals(spec: Spec) -> tuple[Signal, ...]:
    """Return all signals of a system, from the business layer down."""
    of_model = tuple(model_signals(spec))
    feature_drift = next(signal.alerts for signal in of_model if signal.id == "feature_drift")
    watched = (
        *business_signals(spec),
        *of_model,
        *incident_signals(spec, feature_drift),
        *concept_signals(spec),
        *outcome_signals(spec, Contract(spec)),
        *segment_signals(spec),
        *data_signals(spec),
        *(system_signals(spec) if spec.serving.enabled else ()),
        *slo_signals(spec),
        *monitoring_signals(spec),
        *response_signals(spec),
    )
    shown = with_preset(spec, map(_with_enabled_alerts, watched))
    return identified(spec, with_timing(spec, shown))


def identity_of(spec: Spec) -> Identity:
    """Return the identity of a system, for whoever asks for its series, or for those that its rules record."""
    return Identity(spec, (record.name for signal in signals(spec) for record in signal.records))


def _with_enabled_alerts(signal: Signal) -> Signal:
    """Drop the alerts that the spec disables; the panel stays."""
    return replace(signal, alerts=tuple(alert for alert in signal.alerts if alert.timing.enabled))
