"""The wording of an evaluation, shared by the terminal and the page."""

from mlvitals.evaluation.scoring import FaultResult

_HOUR, _DAY, _MINUTE = 3600, 86_400, 60


def after(seconds: float) -> str:
    """Return the time since the start: ``after 1 h 5 min``."""
    return f"after {lasting(seconds)}"


def lasting(seconds: float) -> str:
    """Return a duration: ``1 h 5 min``."""
    days, rest = divmod(round(seconds), _DAY)
    hours, rest = divmod(rest, _HOUR)
    parts = [(days, "d"), (hours, "h"), (rest // _MINUTE, "min")]
    return " ".join(f"{count} {unit}" for count, unit in parts if count) or "0 min"


def verdict(result: FaultResult) -> str:
    """Return the verdict on a fault in a few words."""
    if not result.caught:
        return "caught elsewhere only" if result.first else "missed"
    if result.false_page:
        return "caught, but with a false page"
    return "caught" if result.as_expected else "caught by another alert"
