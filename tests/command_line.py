"""The command line without a process of its own: a second of imports saved where the process is not the subject."""

from pathlib import Path
from subprocess import CompletedProcess

from click.testing import CliRunner

from mlvitals.cli import main


def mlvitals(*arguments: str | Path, encoding: str = "utf-8") -> CompletedProcess[str]:
    """Run a command in this process, on a terminal of some encoding; what would be a traceback is raised."""
    command = [*map(str, arguments)]
    done = CliRunner(charset=encoding).invoke(main, command, prog_name="mlvitals", catch_exceptions=False)
    return CompletedProcess(command, done.exit_code, done.stdout, done.stderr)
