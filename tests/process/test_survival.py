"""The exporter is killed at many random moments and loses nothing, on either database."""

import json
import random
import subprocess
import sys
from contextlib import closing
from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path

import msgspec
import pytest
from databases import Database
from exporter_samples import HOUR, NOON, SPEC, log_rows, write_parquet
from sqlalchemy import Table, select

from mlvitals.exporters.process.exporter import Exporter
from mlvitals.exporters.process.json_log import JsonLog
from mlvitals.exporters.publish.results import drift_windows
from mlvitals.exporters.reference.stores import DirectoryStore
from mlvitals.exporters.sections.features.views import drift_features, drift_results
from mlvitals.exporters.training.build import build_reference
from mlvitals.generator.spec.model import Results, Spec, Windows

WINDOWS = 40
KILLS = 20
FIRST = NOON + timedelta(minutes=5)
NOW = NOON + WINDOWS * HOUR + timedelta(minutes=5)

KILLED_AGAIN_AND_AGAIN = """
import json, os, sys, time
from datetime import datetime
from pathlib import Path
import msgspec, threading
from mlvitals.exporters.process.exporter import run_exporter
from mlvitals.generator.spec.model import Spec

spec = msgspec.json.decode(sys.argv[2], type=Spec)
now = datetime.fromisoformat(sys.argv[3])
for delay in json.loads(sys.argv[4]):
    reading, writing = os.pipe()
    exporter = os.fork()
    if exporter == 0:
        log = os.fdopen(writing, "w")
        run_exporter(spec, Path(sys.argv[1]), stop=threading.Event(), log_to=log, clock=lambda: now,
                     listen="127.0.0.1:0")
    os.close(writing)
    log = os.fdopen(reading)
    while "listening" not in log.readline():
        pass
    time.sleep(delay)
    os.kill(exporter, 9)
    os.waitpid(exporter, 0)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The log of many hours, and its reference."""
    for hour in range(-1, WINDOWS):
        begin = NOON + hour * HOUR
        path = tmp_path / "log" / f"date={begin:%Y-%m-%d}" / f"hour={begin:%H}" / "part.parquet"
        write_parquet(log_rows(begin, begin + HOUR, 500, seed=hour + 1), path)
    training = log_rows(NOON - 90 * HOUR, NOON - 30 * HOUR, 5000)
    references = DirectoryStore(tmp_path / "references", "shop")
    version = references.save(build_reference(SPEC, training, created=NOON - 30 * HOUR, source_hash=""))
    references.promote(version, "production")
    return tmp_path


def spec_of(database: Database) -> Spec:
    return msgspec.structs.replace(SPEC, results=database.results, windows=Windows(catch_up=WINDOWS))


def run_undisturbed(database: Database, now: datetime) -> None:
    """A process that measures what is due, and ends."""
    spec, folder = spec_of(database), database.folder
    references = DirectoryStore(folder / "references", "shop")
    with closing(database.open()) as store:
        exporter = Exporter(spec, folder, references, store, lambda: now, JsonLog(StringIO(), lambda: now, "shop"))
        exporter.restore()
        exporter.run_due()


def run_and_kill(database: Database, delays: list[float]) -> None:
    """Processes that are killed one after the other, each some seconds after it began to measure."""
    arguments = [database.folder, msgspec.json.encode(spec_of(database)), NOW.isoformat(), json.dumps(delays)]
    subprocess.run([sys.executable, "-c", KILLED_AGAIN_AND_AGAIN, *arguments], check=True, timeout=300)


def content(database: Database, table: Table) -> list[tuple[object, ...]]:
    """All rows of a table, in order."""
    with database.engine().connect() as connection:
        return [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key))]


@pytest.mark.slow
def test_every_window_is_kept_once_and_whole_however_often_the_exporter_is_killed(
    database: Database, folder: Path
) -> None:
    run_undisturbed(database, FIRST)
    moments = random.Random(3)
    run_and_kill(database, [moments.uniform(0, 0.1) for _ in range(KILLS)])
    assert 1 < database.count("drift_windows") <= 1 + WINDOWS  # the kills fell between and into measurements
    run_undisturbed(database, NOW)

    never_killed = Database(Results(url="sqlite:///never_killed.db"), folder)
    run_undisturbed(never_killed, FIRST)
    run_undisturbed(never_killed, NOW)
    assert database.count("drift_windows") == 1 + WINDOWS
    for table in (drift_windows, drift_features, drift_results):
        assert content(database, table) == content(never_killed, table)
