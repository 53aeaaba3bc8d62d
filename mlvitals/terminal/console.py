"""Where results are printed: a terminal, or a file or pipe, which has no width."""

from rich.console import Console

_NO_EDGE = 10_000
"""Columns. Off a terminal a line is as long as what it says, for nothing there folds it back together."""


def console(*, stderr: bool = False) -> Console:
    """Standard output or standard error; off a terminal no name is broken and no column left out."""
    terminal = Console(stderr=stderr, highlight=False)
    return terminal if terminal.is_terminal else Console(stderr=stderr, highlight=False, width=_NO_EDGE)
