"""Processes are killed, starved or stopped: no traceback, and nothing is lost."""

import subprocess
from collections.abc import Callable
from time import sleep

import pytest
from lab import Lab
from real import MLVITALS, exporting

Happens = Callable[[str], None]
FASTER = "--compress-time"


@pytest.mark.slow
@pytest.mark.fault("process", "SIGTERM while the exporter starts", "exit code 0, and no traceback")
@pytest.mark.parametrize(
    "delay", [0.8, *(pytest.param(delay, marks=pytest.mark.endurance) for delay in (1.2, 1.6, 2.0, 2.5, 3.0, 4.0))]
)
def test_sigterm_while_it_starts(lab: Lab, delay: float, happens: Happens) -> None:
    with exporting(lab.folder / "spec.yaml") as process:
        sleep(delay)
        assert process.end() == 0
        assert process.foreign_lines() == []
    happens("exit code 0")


@pytest.mark.slow
@pytest.mark.fault("process", "the exporter killed while a window is measured", "its orphan says nothing, and ends")
def test_orphans_print_nothing(lab: Lab, happens: Happens) -> None:
    with exporting(lab.folder / "spec.yaml") as process:
        process.wait_for("listening")
        sleep(0.5)
        assert process.end(9) == -9
        assert process.foreign_lines() == []  # at the end of its stderr, which the orphan has too
    happens("no line but events")


@pytest.mark.endurance
@pytest.mark.fault("process", "too little memory to start", "one sentence")
@pytest.mark.parametrize("megabytes", [60, 90, 400, 450])
def test_too_little_memory_to_start(lab: Lab, megabytes: int, happens: Happens) -> None:
    command = ["prlimit", f"--as={megabytes}000000", *MLVITALS, "drift", str(lab.folder / "spec.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    if "OpenBLAS" not in done.stderr:  # which ends the process by itself, with a sentence of its own
        assert done.stderr.startswith("error: ")
        happens(done.stderr.strip())


@pytest.mark.fault("process", "no memory or thread in a command", "one sentence")
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "no memory"),
        (ImportError("libarrow.so: failed to map segment from shared object"), "no memory"),
        (RuntimeError("can't start new thread"), "no thread"),
    ],
)
def test_shortages_are_one_sentence(error: Exception, said: str, happens: Happens) -> None:
    import click
    from click.testing import CliRunner

    from mlvitals.commands.common import Group

    @click.group(cls=Group)
    def group() -> None:
        """A program."""

    @group.command()
    def starve() -> None:
        raise error

    result = CliRunner().invoke(group, ["starve"])
    assert (result.exit_code, result.output.count("\n")) == (1, 1)
    assert said in result.output
    happens(result.output.strip())
