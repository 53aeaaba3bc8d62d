"""The quickstart is run as it stands, in an empty folder, up to the message in the inbox."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from mlvitals.generator.spec.load import load_spec

PAGE = (Path(__file__).parents[2] / "docs" / "quickstart.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
NOT_HERE = ("python3 -m venv", "docker ")
"""Starts of what the test does not run: it has an environment, and Docker has tests of its own."""
PATIENCE_SECONDS = 300


def environment(*folders: Path) -> dict[str, str]:
    """The environment in which the page's commands are found, and what else lies in some folders."""
    path = (Path(sys.executable).parent, *folders, os.environ["PATH"])
    return {**os.environ, "PATH": os.pathsep.join(map(str, path))}


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-ec", command], cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )


def fits(expected: str, printed: str) -> bool:
    """True if a text is what the page says; … stands for anything, and a line of it for any lines."""
    pattern = ".*?".join(map(re.escape, expected.strip().split("…")))
    return re.fullmatch(pattern, printed.strip(), re.DOTALL) is not None


def steps() -> Iterator[tuple[str, str, str]]:
    """Yield each block with its language and the output that the page shows of it."""
    for (language, text), (after, output) in zip(BLOCKS, [*BLOCKS[1:], ("", "")], strict=True):
        yield language, text, output if after == "text" else ""


def messages(inbox: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(urllib.request.urlopen(f"{inbox}/messages", timeout=30).read())["messages"]
    return found


def wait_for_the_page(command: str, folder: Path, shown: str, programs: Sequence[Path]) -> None:
    """Run the local stack until the message about the amount is in the inbox; then interrupt it as a person would."""
    process = subprocess.Popen(
        command.split(), cwd=folder, env=environment(*programs), stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        lines = [process.stdout.readline() for _ in shown.strip().splitlines()]
        assert fits(shown, "".join(lines))
        inbox = lines[0].split()[1]
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not any("amount" in message["text"] for message in messages(inbox)):
            assert time.monotonic() < deadline, messages(inbox)
            time.sleep(1)
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0


@pytest.mark.realtime
def test_the_quickstart_leads_to_a_page_in_the_inbox(tmp_path: Path, servers):
    programs = [Path(servers(name)).parent for name in ("prometheus", "alertmanager")]
    for language, text, output in steps():
        if language == "python":
            (tmp_path / "make_data.py").write_text(text)
        elif language == "yaml":
            with (tmp_path / "fraud.yaml").open("a") as spec:
                spec.write(text)
            load_spec(tmp_path / "fraud.yaml")
        elif language == "sh" and text.startswith("mlvitals up"):
            wait_for_the_page(text, tmp_path, output, programs)
        elif language == "sh" and not text.startswith(NOT_HERE):
            done = shell(text, tmp_path)
            assert done.returncode == 0, text + done.stderr
            assert not output or fits(output, done.stdout), done.stdout
