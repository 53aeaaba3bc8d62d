"""The levels of severities, used by alert rules and by reports."""

from mlvitals.generator.spec.model import AlertPolicy, Levels, Severity

ALERTING = (Severity.INFO, Severity.WARNING, Severity.CRITICAL)
"""The severities of levels, mildest first."""


def level_in_force(policy: AlertPolicy, own: Levels | None, severity: Severity) -> float | None:
    """Return a feature's own level if it has one, otherwise the policy's; None if the severity is not used."""
    if not policy.enabled:
        return None
    level = _level(own, severity) if own else None
    return _level(policy, severity) if level is None else level


def _level(levels: AlertPolicy | Levels, severity: Severity) -> float | None:
    named = {Severity.INFO: levels.info, Severity.WARNING: levels.warning, Severity.CRITICAL: levels.critical}
    return named.get(severity)
