"""24 simulated days with a fault in every hour: nothing grows, nothing is lost."""

import os
import random
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from exporter_samples import HOUR, NOON, write_parquet
from lab import DAY, Lab, later, predictions
from soak_plot import Curve, plotted
from test_storage_faults import every_connection, find, lose

from mlvitals.exporters.process.server import PageServer
from mlvitals.generator.spec.model import Results, Windows

Happens = Callable[[str], None]
Fault = Callable[["Soak"], Callable[[], None]]
"""Does something, and returns what ends it."""
DAYS = 24
SVG = Path(__file__).resolve().parents[2] / "docs" / "faults.svg"
WARM_UP = 5 * 24
"""Hours after which everything has its size: the results past their retention, the log past its own."""


class Soak:
    """The shop over many days: logs are deleted after two, results after four."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        lab.replace(results=Results(retention="4d"), windows=Windows(catch_up=12, score_count=None))
        self.exporter = lab.start()
        self.hour = -1

    def restart(self) -> None:
        self.exporter._results.close()
        self.exporter = self.lab.start()

    def delete_old_logs(self) -> None:
        for folder in ("log", "events"):
            oldest = f"{NOON + (self.hour - 48) * HOUR:%Y%m%dT%H}"
            for path in (self.lab.folder / folder).iterdir():
                if path.name < oldest:
                    path.unlink()


def nothing() -> None:
    """There is nothing to end."""


def database_away(soak: Soak) -> Callable[[], None]:
    file = soak.lab.folder / "results.db"
    lose(file)
    return lambda: find(file)


def log_away(soak: Soak) -> Callable[[], None]:
    log, away = soak.lab.folder / "log", soak.lab.folder / "away"
    log.rename(away)
    return lambda: shutil.move(away, log)


def references_damaged(soak: Soak) -> Callable[[], None]:
    (artifact,) = (soak.lab.folder / "references").rglob("reference.json")
    valid = artifact.read_bytes()
    artifact.write_bytes(valid[:100])
    return lambda: artifact.write_bytes(valid)


def disk_full(soak: Soak) -> Callable[[], None]:
    has_room = every_connection(soak.lab, "PRAGMA max_page_count=1")
    soak.restart()

    def end() -> None:
        has_room()
        soak.restart()

    return end


def clock_ahead(soak: Soak) -> Callable[[], None]:
    right = soak.lab.clock.now
    soak.lab.clock.now += 700 * DAY
    soak.exporter.run_due()
    soak.lab.clock.now = right
    return nothing


def clock_behind(soak: Soak) -> Callable[[], None]:
    right = soak.lab.clock.now
    soak.lab.clock.now -= 2 * DAY
    soak.exporter.run_due()
    soak.lab.clock.now = right
    return nothing


def restarted(soak: Soak) -> Callable[[], None]:
    soak.restart()
    return nothing


def half_a_file(soak: Soak) -> Callable[[], None]:
    path = soak.lab.folder / "log" / f"{soak.lab.clock.now:%Y%m%dT%H}-half.parquet"
    write_parquet(predictions(soak.lab.clock.now), path)
    path.write_bytes(path.read_bytes()[:-100])
    return path.unlink


def strange_names(soak: Soak) -> Callable[[], None]:
    path = Path(os.fsdecode(os.fsencode(soak.lab.folder / "log") + b"/\xff\xfe"))
    path.write_bytes(b"PAR1")
    return path.unlink


def backlog(soak: Soak) -> Callable[[], None]:
    """Nobody runs for three windows."""
    for _ in range(3):
        soak.hour += 1
        soak.lab.write(soak.hour)
    return nothing


FAULTS: list[Fault] = [
    database_away, log_away, references_damaged, disk_full, clock_ahead, clock_behind, restarted, half_a_file, strange_names,
    backlog,
]  # fmt: skip


def resident_megabytes() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.fixture
def soak(lab: Lab) -> Iterator[Soak]:
    made = Soak(lab)
    yield made
    made.exporter._results.close()


def observed(soak: Soak, url: str) -> dict[str, float]:
    """What must not grow."""
    with urlopen(url + "/metrics", timeout=60) as answer:
        page = answer.read()
    files = [path for path in soak.lab.folder.rglob("*") if path.is_file()]
    return {
        "resident memory, MB": resident_megabytes(),
        "file descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "threads": threading.active_count(),
        "files": len(files),
        "size of the page, kB": len(page) / 1e3,
        "results database, MB": sum(path.stat().st_size for path in files if path.name == "results.db") / 1e6,
    }


@pytest.mark.slow
@pytest.mark.endurance
@pytest.mark.fault("process", f"{DAYS} simulated days with a fault in every hour", "nothing is lost, nothing grows")
def test_many_days_with_a_fault_in_every_hour(soak: Soak, request: pytest.FixtureRequest, happens: Happens) -> None:
    lab, order = soak.lab, random.Random(24)
    series: dict[str, list[float]] = {}
    pages = {"/metrics": lambda: soak.exporter.metrics()}  # noqa: PLW0108 - it is another one after a restart
    with PageServer("127.0.0.1:0", pages, lambda _: None) as server:
        while soak.hour < DAYS * 24:
            lab.write(soak.hour)
            lab.at(soak.hour + 1)
            end = order.choice(FAULTS)(soak)
            lab.at(soak.hour + 1)
            soak.exporter.run_due()
            end()
            lab.clock.now += HOUR / 30
            soak.exporter.run_due()
            soak.delete_old_logs()
            for name, value in observed(soak, server.url).items():
                series.setdefault(name, []).append(value)
            soak.hour += 1
    curves = [Curve(name, tuple(values)) for name, values in series.items()]
    if request.config.getoption("--write-faults", default=False):
        SVG.write_text(plotted(curves, hours_a_point=soak.hour / len(curves[0].values)))
    soak.exporter.run_due()
    lab.write(soak.hour)
    lab.at(soak.hour + 1)
    soak.exporter.run_due()
    kept = {end: rows for end, rows in lab.kept().items() if not later(end)}
    newest = sorted(lab.rows)[-4 * 24 :]
    assert {end: kept[end] for end in newest} == {end: lab.rows[end] for end in newest}
    assert lab.total() == sum(lab.clicks.values())
    lab.audit_page(soak.exporter.metrics().body)
    happens(f"{len(lab.rows)} windows, {sum(lab.clicks.values()):,} clicks; " + ", ".join(map(str, curves)))
    for curve in curves:
        # What concept drift knows of a reference outlives the retention, for as long as the reference is active.
        assert curve.growth(WARM_UP) < 0.1 or curve.name.startswith("results"), str(curve)
