"""The past, measured window by window."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from exporter_samples import HOUR, NOON, SPEC, log_rows, spoil, write_parquet
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from mlvitals.exporters.process import backfill as module
from mlvitals.exporters.process.backfill import backfill
from mlvitals.exporters.publish.openmetrics import History
from mlvitals.exporters.publish.results import open_results
from mlvitals.exporters.reading.scan import Batch, OpenFile
from mlvitals.exporters.reference.artifact import Reference
from mlvitals.exporters.schedule import Steps
from mlvitals.exporters.training.data import build_from_files
from mlvitals.exporters.window.report import WindowReport
from mlvitals.generator.contract import Contract
from mlvitals.generator.spec.model import LogFormat

DAY = timedelta(days=1)
HOURS = 4
WINDOWS = Steps(HOUR, HOUR).windows(NOON, NOON + HOURS * HOUR)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with four hours of log; from the third hour on everybody is 20 years older."""
    folder = tmp_path_factory.mktemp("place")
    for hour in range(HOURS):
        begin = NOON + hour * HOUR
        rows = log_rows(begin, begin + HOUR, seed=hour)
        if hour >= 2:
            ages = rows.column_names.index("age")
            rows = rows.set_column(ages, "age", [[age + 20 for age in rows["age"].to_pylist()]])
        write_parquet(rows, folder / "log" / f"{hour}.parquet")
    write_parquet(log_rows(NOON - DAY, NOON, 5000, seed=99), folder / "training.parquet")
    return folder


@pytest.fixture(scope="module")
def reference(place: Path) -> Reference:
    return build_from_files(SPEC, place, [str(place / "training.parquet")], created=NOON)


def reports(place: Path, reference: Reference, **changes: object) -> list:
    kept = {"measured_at": NOON + DAY, "history": None, "results": None} | changes
    return list(backfill(SPEC, place, reference, WINDOWS, **kept))


def test_windows_end_on_the_step_after_the_start_and_up_to_the_end():
    found = Steps(DAY, HOUR).windows(NOON - timedelta(minutes=1), NOON + timedelta(minutes=59))
    assert [(window.start, window.end) for window in found] == [(NOON - DAY, NOON)]
    assert [window.end for window in Steps(HOUR, HOUR).windows(NOON, NOON + 2 * HOUR)] == [
        NOON + HOUR,
        NOON + 2 * HOUR,
    ]
    assert Steps(HOUR, HOUR).windows(NOON, NOON) == []
    assert Steps(DAY, DAY).windows(datetime(1969, 1, 1, tzinfo=UTC), datetime(1969, 1, 2, tzinfo=UTC))


def test_every_window_is_measured_in_order(place: Path, reference: Reference):
    found = reports(place, reference)
    assert [report.window for report in found] == WINDOWS
    assert [report.features["age"].psi.value > 0.25 for report in found] == [False, False, True, True]


@pytest.mark.slow
def test_processes_find_what_one_finds(place: Path, reference: Reference, monkeypatch: pytest.MonkeyPatch):
    alone = reports(place, reference)
    monkeypatch.setattr(module, "WINDOWS_PER_PROCESS", 2)
    monkeypatch.setattr(module.os, "cpu_count", lambda: 2)
    assert reports(place, reference) == alone


def test_a_file_of_other_times_is_opened_for_the_first_window_alone(reference: Reference, tmp_path: Path):
    old = write_parquet(log_rows(NOON - 90 * HOUR, NOON - 89 * HOUR), tmp_path / "log" / "old.parquet")
    measured = backfill(SPEC, tmp_path, reference, WINDOWS, measured_at=NOON + DAY, history=None, results=None)
    first = next(measured)
    spoil(old)
    assert [report.problems for report in (first, *measured)] == [()] * HOURS


@pytest.fixture
def text_log(place: Path, tmp_path: Path) -> Path:
    """The same hours in one file of CSV, with a line that does not fit."""
    (tmp_path / "log").mkdir()
    rows = pa.concat_tables([pq.read_table(place / "log" / f"{hour}.parquet") for hour in range(HOURS)])
    pyarrow.csv.write_csv(rows, tmp_path / "log" / "all.csv")
    with (tmp_path / "log" / "all.csv").open("a") as file:
        file.write("too,few\n")
    return tmp_path


TEXT_SPEC = msgspec.structs.replace(
    SPEC, prediction_log=msgspec.structs.replace(SPEC.prediction_log, format=LogFormat.CSV)
)


def text_reports(folder: Path, reference: Reference) -> list[WindowReport]:
    found = backfill(TEXT_SPEC, folder, reference, WINDOWS, measured_at=NOON + DAY, history=None, results=None)
    return list(found)


def test_one_file_of_text_is_read_once_for_many_windows_and_says_the_same(
    text_log: Path, reference: Reference, monkeypatch: pytest.MonkeyPatch
):
    scans: list[str] = []
    batches = OpenFile.batches

    def counted(self: OpenFile, *arguments: Any) -> Iterator[Batch]:
        scans.append(self.file.path)
        return batches(self, *arguments)

    monkeypatch.setattr(OpenFile, "batches", counted)
    together = text_reports(text_log, reference)
    read_together, scans[:] = len(scans), []
    monkeypatch.setattr(module, "MOST_TOGETHER", 1)
    assert text_reports(text_log, reference) == together
    assert len(scans) == HOURS * read_together, "one pass for all, else one for each"
    assert all(report.rows and report.problems for report in together)


@pytest.mark.parametrize(("bytes_together", "passes"), [(1 << 29, 1), (1, HOURS)])
def test_no_more_windows_share_a_pass_than_memory_allows(
    text_log: Path, reference: Reference, monkeypatch: pytest.MonkeyPatch, bytes_together: int, passes: int
):
    groups: list[int] = []
    measure = module.measure_windows

    def counted(*arguments: Any, **more: Any) -> list[WindowReport]:
        groups.append(len(arguments[4]))
        return measure(*arguments, **more)

    monkeypatch.setattr(module, "measure_windows", counted)
    monkeypatch.setattr(module, "BYTES_TOGETHER", bytes_together)
    text_reports(text_log, reference)
    assert (len(groups), sum(groups)) == (passes, HOURS)


def test_results_are_kept_and_measuring_again_changes_nothing(place: Path, reference: Reference, tmp_path: Path):
    store = open_results(msgspec.structs.replace(SPEC.results, url="sqlite:///results.db"), tmp_path)
    for _ in range(2):
        reports(place, reference, results=store)
        stored = store.windows_between("shop", NOON, NOON + DAY)
        assert [kept.window for kept in stored] == WINDOWS
    store.close()


def test_the_history_shows_a_window_from_the_end_of_its_grace_on(place: Path, reference: Reference, tmp_path: Path):
    file = BytesIO()
    with History(Contract(SPEC), {}, tmp_path, timedelta(minutes=4)) as history:
        reports(place, reference, history=history)
        history.write(file, NOON + 5 * HOUR)
    families = {family.name: family for family in text_string_to_metric_families(file.getvalue().decode())}
    ends = {float(sample.timestamp): sample.value for sample in families["shop_window_end_timestamp_seconds"].samples}
    first_shown = {end: min(shown for shown, value in ends.items() if value == end) for end in set(ends.values())}
    assert first_shown == {window.end.timestamp(): window.end.timestamp() + 300 for window in WINDOWS}
    assert max(sample.value for sample in families["shop_exporter_runs"].samples) == HOURS
    assert not [name for name in families if "freshness" in name], "how fresh sources were is not known afterwards"
