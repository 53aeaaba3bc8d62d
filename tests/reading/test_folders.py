"""A folder offers each of its rows once, whatever links lead to them, and is refused where its files are not its rows."""

import os
import re
import socket
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from exporter_samples import NOON, WINDOW

from mlvitals.exporters.parts import Window
from mlvitals.exporters.reading.log import Log
from mlvitals.exporters.reading.scan import BrokenFileError
from mlvitals.exporters.reading.sources import LogError
from mlvitals.exporters.sections.freshness import newest
from mlvitals.exporters.training.build import ReferenceDataError
from mlvitals.exporters.training.data import files_at
from mlvitals.generator.spec.model import FeatureType, PredictionLog, Source

LOG = PredictionLog(path="log")
DAY = Window(NOON - timedelta(days=1), NOON + timedelta(days=1))


def write(path: Path, first: int, count: int = 10, **columns: object) -> None:
    """Rows that are numbered from `first` on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    times = [WINDOW.start + timedelta(seconds=number) for number in range(count)]
    pq.write_table(pa.table({"timestamp": times, "n": range(first, first + count), **columns}), path)


def rows(folder: Path, window: Window | None = DAY) -> tuple[list[int], dict[str, str]]:
    """The numbers of the rows that are read, and what is wrong, by path below the folder."""
    found: list[int] = []
    problems = {}
    for part in Log(LOG, folder).files(window):
        try:
            for chunk in part.chunks({"n": FeatureType.INTEGER}):
                found += chunk.columns["n"].to_pylist()
        except BrokenFileError as error:
            problems[os.path.relpath(part.path, folder)] = str(error)
    return found, problems


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two days of ten rows each."""
    write(tmp_path / "log/date=2026-03-02/a.parquet", 0)
    write(tmp_path / "log/date=2026-03-03/a.parquet", 10)
    write(tmp_path / "elsewhere/deep/b.parquet", 20)
    return tmp_path


LINKS: dict[str, Callable[[Path], None]] = {
    "to a day": lambda log: (log / "latest").symlink_to("date=2026-03-03"),
    "to a day, named before it": lambda log: (log / "a").symlink_to("date=2026-03-03"),
    "to a file": lambda log: (log / "a.parquet").symlink_to("date=2026-03-03/a.parquet"),
    "by an absolute path": lambda log: (log / "latest").symlink_to(log / "date=2026-03-03"),
    "through another": lambda log: [(log / "x").symlink_to("y"), (log / "y").symlink_to("date=2026-03-02")],
    "as a day of another name": lambda log: (log / "date=2026-03-04").symlink_to("date=2026-03-03"),
}


@pytest.mark.parametrize("link", LINKS)
def test_a_link_to_what_the_folder_holds_adds_nothing(folder: Path, link: str):
    LINKS[link](folder / "log")
    assert rows(folder) == ([*range(20)], {})


def test_a_link_to_a_day_outside_the_window_brings_it_in_no_more_than_its_own_name(folder: Path):
    write(folder / "log/date=2026-01-01/a.parquet", 30)
    (folder / "log/latest").symlink_to("date=2026-01-01")
    assert rows(folder) == ([*range(20)], {})
    assert sorted(rows(folder, None)[0]) == [*range(20), *range(30, 40)]


def test_what_only_links_lead_to_counts_once(folder: Path):
    (folder / "log/b.parquet").symlink_to(folder / "elsewhere/deep/b.parquet")
    (folder / "log/deep").symlink_to(folder / "elsewhere/deep")
    (folder / "log/elsewhere").symlink_to(folder / "elsewhere")
    assert rows(folder) == ([*range(30)], {})


def test_a_hidden_release_is_read_through_the_link_to_it(folder: Path):
    write(folder / "log/.release-7/date=2026-03-03/c.parquet", 20)
    write(folder / "log/.release-6/date=2026-03-03/c.parquet", 90)
    (folder / "log/current").symlink_to(".release-7")
    assert rows(folder) == ([*range(30)], {})


@pytest.mark.parametrize("target", [".", "..", "../..", "date=2026-03-03/.."])
def test_a_link_back_is_named_and_every_file_counts_once(folder: Path, target: str):
    (folder / "log/back").symlink_to(target)
    assert rows(folder) == ([*range(20)], {"log/back": "is a link to a folder that it lies in, whose files count once"})


def test_a_circle_through_a_folder_elsewhere_ends(folder: Path):
    (folder / "log/elsewhere").symlink_to(folder / "elsewhere")
    (folder / "elsewhere/log").symlink_to(folder / "log")
    assert rows(folder) == ([*range(30)], {})


def test_a_root_that_is_a_link_is_what_it_leads_to(folder: Path):
    (folder / "log").rename(folder / "real")
    (folder / "log").symlink_to("real")
    (folder / "real/latest").symlink_to("date=2026-03-03")
    assert rows(folder) == ([*range(20)], {})


def test_links_that_lead_nowhere_pipes_and_sockets_are_named(folder: Path):
    (folder / "log/gone.parquet").symlink_to("nothing")
    (folder / "log/round").symlink_to("round")
    os.mkfifo(folder / "log/pipe.parquet")
    (folder / "log/device.parquet").symlink_to("/dev/null")
    place = Path("/tmp") / f"mlvitals-{os.getpid()}.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(place))
        place.rename(folder / "log/socket.parquet")
        found = rows(folder)
    neither = "is neither a file nor a folder, but a pipe, a socket or a device"
    assert found == (
        [*range(20)],
        {
            "log/device.parquet": neither,
            "log/gone.parquet": "is a link that leads nowhere",
            "log/pipe.parquet": neither,
            "log/round": "is a link that leads nowhere",
            "log/socket.parquet": neither,
        },
    )


# ---------------------------------------------------------------- what folders are named


def values(folder: Path, column: str, kind: FeatureType) -> list[object]:
    found: list[object] = []
    for part in Log(LOG, folder).files(DAY):
        for chunk in part.chunks({column: kind}):
            found += chunk.columns[column].unique().to_pylist()
    return found


@pytest.mark.parametrize(
    ("name", "kind", "value"),
    [
        ("country=de", FeatureType.CATEGORICAL, "de"),
        ("country=__HIVE_DEFAULT_PARTITION__", FeatureType.CATEGORICAL, None),
        ("country=__HIVE_DEFAULT_PARTITION__", FeatureType.FLOAT, None),
        ("country=a%2Fb%3Dc%25", FeatureType.CATEGORICAL, "a/b=c%"),
        ("country=a+b", FeatureType.CATEGORICAL, "a+b"),
        ("country=NA", FeatureType.CATEGORICAL, "NA"),
        ("country=007", FeatureType.CATEGORICAL, "007"),
        ("country=007", FeatureType.INTEGER, 7),
        ("country=1.5", FeatureType.FLOAT, 1.5),
        ("country=true", FeatureType.BOOLEAN, True),
    ],
)
def test_a_value_in_a_folders_name_is_read_as_hive_writes_it(
    tmp_path: Path, name: str, kind: FeatureType, value: object
):
    write(tmp_path / "log" / name / "a.parquet", 0)
    assert values(tmp_path, "country", kind) == [value]


@pytest.mark.parametrize(
    ("name", "written", "kind", "value"),
    [
        ("country=de", ["fr"] * 10, FeatureType.CATEGORICAL, "de"),
        ("country=de", [None] * 10, FeatureType.CATEGORICAL, "de"),
        ("age=40", ["x"] * 10, FeatureType.INTEGER, 40),
        ("age=40", [40] * 9 + [41], FeatureType.INTEGER, 40),
    ],
)
def test_a_column_that_says_something_else_than_the_folder_is_overruled_and_named(
    tmp_path: Path, name: str, written: list[object], kind: FeatureType, value: object
):
    column = name.partition("=")[0]
    write(tmp_path / "log" / name / "a.parquet", 0, **{column: written})
    assert values(tmp_path, column, kind) == [value]
    (part,) = Log(LOG, tmp_path).files(DAY)
    list(part.chunks({column: kind}))
    assert [one.problem for one in part.problems] == [
        f"column {column!r} differs from the name of the folder, which counts"
    ]


@pytest.mark.parametrize(
    ("name", "written", "kind"),
    [
        ("country=de", ["de"] * 10, FeatureType.CATEGORICAL),
        ("country=de", pa.array(["de"] * 10).dictionary_encode(), FeatureType.CATEGORICAL),
        ("age=40", pa.array([40] * 10, pa.int8()), FeatureType.INTEGER),
        ("age=40", [40.0] * 10, FeatureType.CATEGORICAL),
        ("age=__HIVE_DEFAULT_PARTITION__", [None] * 10, FeatureType.FLOAT),
    ],
)
def test_a_column_that_says_what_the_folder_says_is_no_problem(
    tmp_path: Path, name: str, written: object, kind: FeatureType
):
    column = name.partition("=")[0]
    write(tmp_path / "log" / name / "a.parquet", 0, **{column: written})
    (part,) = Log(LOG, tmp_path).files(DAY)
    list(part.chunks({column: kind}))
    assert part.problems == []


def test_a_folder_named_for_the_time_column_leaves_the_times_of_the_rows(tmp_path: Path):
    write(tmp_path / "log/timestamp=2026-03-03/a.parquet", 0)
    assert rows(tmp_path)[0] == [*range(10)]


def test_a_partition_whose_key_starts_with_an_underscore_is_not_hidden(tmp_path: Path):
    write(tmp_path / "log/_country=de/a.parquet", 0)
    write(tmp_path / "log/_temporary/a.parquet", 10)
    assert rows(tmp_path)[0] == [*range(10)]


# ---------------------------------------------------------------- tables


TABLES = {
    "a Delta table (_delta_log/)": "_delta_log/00000000000000000000.json",
    "a Hudi table (.hoodie/)": ".hoodie/hoodie.properties",
    "an Iceberg table (metadata/*.metadata.json)": "metadata/00001-5f.metadata.json",
}
REASON = "its files also hold rows that were deleted or replaced; export it as plain files, or read it by SQL"


@pytest.mark.parametrize("title", TABLES)
def test_a_table_with_a_log_of_its_own_is_refused_with_what_to_do(folder: Path, title: str):
    log = folder / "log" / TABLES[title]
    log.parent.mkdir()
    log.write_text("{}")
    with pytest.raises(LogError) as refused:
        rows(folder)
    assert str(refused.value) == f"prediction_log.path log cannot be read: it is {title}: {REASON}"
    with pytest.raises(ReferenceDataError, match=f"it is {re.escape(title)}"):
        list(files_at("log", folder))


@pytest.mark.parametrize("title", TABLES)
def test_a_table_below_the_folder_is_named_and_the_rest_is_read(folder: Path, title: str):
    log = folder / "log/country=de" / TABLES[title]
    write(folder / "log/country=de/a.parquet", 90)
    log.parent.mkdir()
    log.write_text("{}")
    assert rows(folder) == ([*range(20)], {"log/country=de": f"folder it is {title}: {REASON}"})


def test_a_folder_called_metadata_is_a_folder(folder: Path):
    write(folder / "log/metadata/a.parquet", 20)
    assert rows(folder) == ([*range(30)], {})


def test_how_fresh_a_table_is_is_still_known(folder: Path):
    (folder / "log/_delta_log").mkdir()
    assert newest(Source(path="log", max_age="1h"), folder).newest is not None
