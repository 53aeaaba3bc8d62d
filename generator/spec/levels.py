"""From which value a severity holds: what rules alert on and reports are judged by."""

from mlvitals.generator.spec.model import AlertPolicy, Levels, Severity

ALERTING = (Severity.INFO, Severity.WARNING, Severity.CRITICAL)
"""The severities that a level can have, mildest first."""


def level_in_force(policy: AlertPolicy, own: Levels | None, severity: Severity) -> float | None:
    """A feature's own level where it has one, else the policy's; None where the severity never holds."""
    if not policy.enabled:
        return None
    level = _level(own, severity) if own else None
    return _level(policy, severity) if level is None else level


def _level(levels: AlertPolicy | Levels, severity: Severity) -> float | None:
    named = {Severity.INFO: levels.info, Severity.WARNING: levels.warning, Severity.CRITICAL: levels.critical}
    return named.get(severity)
