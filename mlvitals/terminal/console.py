"""The output of results: a terminal, or a file or pipe, which has no width."""

from rich.console import Console

_NO_EDGE = 10_000
"""Width in columns when not on a terminal, where lines are never wrapped."""


def console(*, stderr: bool = False) -> Console:
    """Return a console on standard output or standard error; when not on a terminal, nothing is wrapped or dropped."""
    terminal = Console(stderr=stderr, highlight=False)
    return terminal if terminal.is_terminal else Console(stderr=stderr, highlight=False, width=_NO_EDGE)
