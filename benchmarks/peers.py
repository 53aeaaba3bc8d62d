"""Other drift libraries on the same data, each in an environment of its own that is made here with pip."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.data import FEATURES, ROWS, columns_of
from benchmarks.figures import Figure, one_core
from benchmarks.kernel import seconds_alone_and_together
from mlvitals.exporters.window.measure import usable_cores

ENVIRONMENTS = Path(__file__).resolve().parent.parent / ".cache" / "peers"
PROGRAMS = Path(__file__).resolve().parent / "peer_programs"
INSTALL_SECONDS, RUN_SECONDS = 900, 1800


@dataclass(frozen=True, slots=True)
class Peer:
    """A program in `peer_programs`, what it needs, and how it is named."""

    name: str
    program: str
    requirements: tuple[str, ...]
    target: str
    """Largest ratio of our time to its time."""


PEERS = (
    Peer(
        "NannyML UnivariateDriftCalculator.calculate (KS and JS only)",
        "nannyml_drift.py",
        ("nannyml", "pandas<3", "statsmodels"),  # it imports statsmodels without asking for it
        "at most 1/5",
    ),
    Peer(
        "Evidently DataDriftPreset (PSI only)",
        "evidently_drift.py",
        ("evidently", "pandas<3", "pyarrow"),
        "at most 1/100",
    ),
    Peer("numpy and scipy, as in textbooks (PSI, ks_2samp, JS)", "textbook.py", (), "at most 1/30"),
)


class PeerError(Exception):
    """A peer that cannot be measured, and why."""


def figures(*, full: bool) -> list[Figure]:
    """Ours beside each peer with the same rows on both sides; every peer uses one core, ours one and then all."""
    rows = ROWS if full else ROWS // 10
    alone, together = seconds_alone_and_together(rows)
    subject = f"{FEATURES} features x {rows:,} rows: PSI, KS, JS, quality metrics"
    ours = ((f"{subject}, one core", alone), (f"{subject}, {usable_cores()} cores as the exporter runs", together))
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("reference.parquet", "current.parquet")]
        for seed, file in enumerate(files, start=1):
            pq.write_table(pa.table(columns_of(FEATURES, rows, seed)), file)
        return [figure for peer in PEERS for figure in _figures(ours, peer, files)]


def _figures(ours: Iterable[tuple[str, float]], peer: Peer, files: list[Path]) -> list[Figure]:
    try:
        theirs: float | None = _seconds(peer, files)
        problem = ""
    except PeerError as error:
        theirs, problem = None, str(error)
    return [Figure(name, seconds, peer.name, theirs, target=peer.target, note=problem) for name, seconds in ours]


def _seconds(peer: Peer, files: list[Path]) -> float:
    python = environment_of(peer) if peer.requirements else sys.executable
    with one_core():
        output = _run([python, PROGRAMS / peer.program, *files], RUN_SECONDS, "failed")
    return float(output.split()[-1])


def environment_of(peer: Peer) -> Path:
    """The Python of the peer's environment, made where it is not there or of other requirements."""
    folder = ENVIRONMENTS / Path(peer.program).stem.partition("_")[0]
    python, stamp, wanted = folder / "bin" / "python", folder / "requirements.txt", "\n".join(peer.requirements)
    if not (stamp.is_file() and stamp.read_text() == wanted):
        _run([sys.executable, "-m", "venv", "--clear", folder], INSTALL_SECONDS, "no environment")
        pip: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _run([*pip, *peer.requirements], INSTALL_SECONDS, "cannot be installed")
        stamp.write_text(wanted)
    return python


def _run(command: list[str | Path], seconds: float, problem: str) -> str:
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise PeerError(f"{problem}: took longer than {seconds:.0f} s") from None
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines() or ["no message"]
        raise PeerError(f"{problem}: {lines[-1][:200]}") from None
    return done.stdout
