"""A prediction log in a table, on SQLite and on PostgreSQL."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from databases import Database
from exporter_samples import HOSTILE, HOUR, NOON, SPEC, WINDOW, log_rows, write_parquet
from sqlalchemy import BigInteger, Boolean, Column, Date, DateTime, Double, Integer, MetaData, Numeric, Table, Text
from sqlalchemy.types import UserDefinedType

from mlvitals.exporters.reading import sql as sql_log
from mlvitals.exporters.reading.ids import canonical_ids
from mlvitals.exporters.reading.log import Log
from mlvitals.exporters.reading.scan import Chunk
from mlvitals.exporters.reading.sources import LogError
from mlvitals.exporters.reading.sql import SqlTable
from mlvitals.exporters.training.build import ReferenceDataError, build_reference
from mlvitals.exporters.training.data import build_from_table
from mlvitals.exporters.window.measure import measure_window
from mlvitals.exporters.window.report import WindowReport
from mlvitals.generator.contract import Status
from mlvitals.generator.spec.model import FeatureType, LogFormat, PredictionLog, Spec

COLUMNS = {"age": FeatureType.INTEGER, "country": FeatureType.CATEGORICAL, "score": FeatureType.FLOAT}
TYPES = {"age": Integer, "country": Text, "hostile": Double, HOSTILE: Double, "score": Double}
WITH_ZONE = DateTime(timezone=True)
TABLE = 'pre"dictions; DROP'
REFERENCE = build_reference(
    SPEC, log_rows(NOON - 90 * HOUR, NOON - 30 * HOUR, 5000), created=NOON - 30 * HOUR, source_hash=""
)


def log_of(database: Database, **changes: Any) -> PredictionLog:
    return PredictionLog(
        **{
            "path": database.results.url,
            "password_file": database.results.password_file,
            "format": LogFormat.SQL,
            "table": TABLE,
            "score": "score",
            "outcome": SPEC.prediction_log.outcome,
            **changes,
        }
    )


def write(database: Database, rows: Iterable[dict[str, Any]], times: Any = WITH_ZONE, **types: Any) -> None:
    """A table of the log."""
    rows = list(rows)
    kinds = {name: {**TYPES, **types}.get(name, Double) for name in rows[0] if name != "timestamp"}
    engine = database.engine()
    with engine.begin() as connection:
        table = Table(TABLE, MetaData(), Column("timestamp", times), *(Column(*item) for item in kinds.items()))
        table.create(connection)
        connection.execute(table.insert(), rows)
    engine.dispose()


def read(database: Database, columns: dict[str, FeatureType] = COLUMNS, **changes: Any) -> list[Chunk]:
    """What the table holds of the window."""
    (table,) = Log(log_of(database, **changes), database.folder).files(WINDOW)
    return list(table.chunks(columns))


def values(chunks: list[Chunk], column: str) -> list[object]:
    return [found for chunk in chunks for found in chunk.columns[column].to_pylist()]


def spec_of(log: PredictionLog) -> Spec:
    return msgspec.structs.replace(SPEC, prediction_log=log)


def measured(spec: Spec, folder: Path) -> WindowReport:
    return measure_window(spec, folder, REFERENCE, REFERENCE.version, WINDOW, NOON)


def test_a_table_gives_the_same_report_as_a_file(database: Database) -> None:
    rows = log_rows(WINDOW.start - HOUR, WINDOW.end + HOUR, 6000)
    write_parquet(rows, database.folder / "log" / "a.parquet")
    write(database, rows.to_pylist())
    assert measured(spec_of(log_of(database)), database.folder) == measured(SPEC, database.folder)


def test_rows_come_in_blocks_and_only_the_wanted_columns_of_the_window_are_read(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    days_ago = log_rows(WINDOW.start - 99 * HOUR, WINDOW.end - 99 * HOUR, 4000)
    write(database, pa.concat_tables([days_ago, log_rows(WINDOW.start, WINDOW.end, 4000)]).to_pylist())
    monkeypatch.setattr(sql_log, "BLOCK_ROWS", 1000)
    source = SqlTable(database.results.url, TABLE, database.folder, database.results.password_file)
    batches = list(sql_log.batches(source, ["age"], "timestamp", WINDOW))
    assert sum(batch.num_rows for batch in batches) == 4000
    assert max(batch.num_rows for batch in batches) == 1000
    assert {tuple(batch.schema.names) for batch in batches} == {("age", "timestamp")}


MOMENTS = [WINDOW.start - timedelta(microseconds=1), WINDOW.start, NOON - timedelta(microseconds=1), NOON]


def naive(moment: datetime) -> datetime:
    return moment.replace(tzinfo=None)


@pytest.mark.parametrize(
    ("times", "written"),
    [
        pytest.param(DateTime(timezone=True), lambda moment: moment, id="with zone"),
        pytest.param(DateTime(), naive, id="without zone"),
        pytest.param(Text(), datetime.isoformat, id="text with zone"),
        pytest.param(Text(), lambda moment: naive(moment).isoformat(" "), id="text without zone"),
        pytest.param(Double(), datetime.timestamp, id="seconds"),
        pytest.param(Numeric(20, 6), lambda moment: f"{moment.timestamp():.6f}", id="decimal seconds"),
        pytest.param(Text(), lambda moment: f"{moment.timestamp():.6f}", id="text of seconds"),
    ],
)
def test_times_may_have_any_type_that_says_when(
    times: Any, written: Callable[[datetime], object], database: Database
) -> None:
    write(database, [{"timestamp": written(moment), "age": age} for age, moment in enumerate(MOMENTS)], times)
    assert values(read(database), "age") == [1, 2]


def test_a_window_of_whole_seconds_is_found_by_integers(database: Database) -> None:
    seconds = [int(moment.timestamp()) for moment in (WINDOW.start - HOUR, WINDOW.start, NOON)]
    write(database, [{"timestamp": at, "age": age} for age, at in enumerate(seconds)], BigInteger)
    assert values(read(database), "age") == [1]


def test_text_in_another_zone_belongs_to_the_window_in_which_it_happened(database: Database) -> None:
    texts = ["2026-03-04T01:30:00+14:00", "2026-03-02T23:45:00-12:00", "2026-03-03T11:30:00+05:00"]
    write(database, [{"timestamp": at, "age": age} for age, at in enumerate(texts)], Text)
    assert values(read(database), "age") == [0, 1]


def test_a_day_is_midnight_in_utc(database: Database) -> None:
    days = [datetime(2026, 3, day, tzinfo=UTC).date() for day in (2, 3, 4)]
    write(database, [{"timestamp": day, "age": day.day} for day in days], Date)
    assert read(database) == []


def test_features_of_every_type_are_read(database: Database) -> None:
    rows = [
        {"timestamp": WINDOW.start, "flag": True, "seen": NOON - 48 * HOUR, "price": 1.5, "code": 7, "empty": None},
        {"timestamp": WINDOW.start, "flag": None, "seen": None, "price": None, "code": None, "empty": None},
    ]
    write(database, rows, flag=Boolean, seen=DateTime(timezone=True), price=Numeric(10, 2), code=Integer, empty=Text)
    kinds = {
        "flag": FeatureType.BOOLEAN,
        "seen": FeatureType.TIMESTAMP,
        "price": FeatureType.FLOAT,
        "code": FeatureType.CATEGORICAL,
        "empty": FeatureType.CATEGORICAL,
    }
    chunks = read(database, kinds)
    assert values(chunks, "flag") == [True, None]
    assert values(chunks, "seen") == [NOON - 48 * HOUR, None]
    assert values(chunks, "price") == [1.5, None]
    assert values(chunks, "code") == [7, None]
    assert values(chunks, "empty") == [None, None]


class WholeNumber(UserDefinedType[int]):
    """NUMERIC(20, 0), given integers as they are: SQLAlchemy's own type makes floats of them for SQLite."""

    cache_ok = True

    def get_col_spec(self) -> str:
        return "NUMERIC(20, 0)"


def test_ids_of_a_numeric_column_stay_what_they_are(database: Database) -> None:
    # SQLite itself makes floats of larger numbers.
    first = 2**63 - 1000 if database.results.url.startswith("sqlite") else 12_345_678_901_234_567_000
    rows = [{"timestamp": WINDOW.start, "age": 1, "id": first + number} for number in range(1000)]
    write(database, rows, id=WholeNumber)
    found = read(database, {"id": FeatureType.CATEGORICAL})
    ids = pa.chunked_array([canonical_ids(chunk.columns["id"]) for chunk in found])
    assert sorted(ids.to_pylist()) == [str(first + number) for number in range(1000)]


def test_hostile_names_of_tables_and_columns_are_quoted(database: Database) -> None:
    write(database, [{"timestamp": WINDOW.start, HOSTILE: 1.5}])
    assert values(read(database, {HOSTILE: FeatureType.FLOAT}), HOSTILE) == [1.5]


def test_a_column_that_the_table_lacks_is_missing(database: Database) -> None:
    write(database, [{"timestamp": WINDOW.start, "age": 1}])
    (chunk,) = read(database)
    assert (chunk.rows, chunk.missing) == (1, frozenset({"country", "score"}))


def test_a_view_may_stand_for_a_table(database: Database) -> None:
    write(database, [{"timestamp": moment, "age": age} for age, moment in enumerate(MOMENTS)])
    quoted = TABLE.replace('"', '""')
    database.rows(f'CREATE VIEW log_of_web AS SELECT * FROM "{quoted}"')
    assert values(read(database, table="log_of_web"), "age") == [1, 2]


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_table_may_lie_in_a_schema(database: Database) -> None:
    database.rows("CREATE SCHEMA web")
    database.rows("CREATE TABLE web.predictions (timestamp timestamptz, age integer)")
    database.rows("INSERT INTO web.predictions VALUES ('2026-03-03 11:30:00+00', 4)")
    assert values(read(database, table="web.predictions"), "age") == [4]


# ---------------------------------------------------------------- what is wrong with a table


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_text_where_sqlite_should_hold_numbers_is_that_features_type_mismatch(database: Database) -> None:
    rows = [row | {"age": "old"} for row in log_rows(*(WINDOW.start, WINDOW.end), 5000).to_pylist()]
    write(database, rows, age=Text)
    found = measured(spec_of(log_of(database)), database.folder)
    assert found.features["age"].status is Status.TYPE_MISMATCH
    assert found.features["country"].status is Status.OK


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_one_text_among_the_numbers_of_sqlite_costs_itself_and_is_named(database: Database) -> None:
    rows = log_rows(*(WINDOW.start, WINDOW.end), 5000).to_pylist()
    rows[2500]["age"] = "old"
    write(database, rows, age=Text)
    found = measured(spec_of(log_of(database)), database.folder)
    age = found.features["age"]
    assert (age.status, age.rows, age.nulls) == (Status.OK, 4999, 1)
    told = "column 'age': values that cannot be read, counted as missing: 1, the first 'old'"
    assert [problem.problem for problem in found.problems] == [told]


def test_a_table_that_is_not_there_is_told(database: Database) -> None:
    write(database, [{"timestamp": WINDOW.start}])
    with pytest.raises(LogError, match="there is no table 'nowhere'"):
        read(database, table="nowhere")


def test_a_database_that_is_not_there_is_told(tmp_path: Path) -> None:
    log = PredictionLog(path="sqlite:///nowhere.db", format=LogFormat.SQL, table="log")
    with pytest.raises(LogError, match=r"nowhere\.db does not exist"):
        measured(spec_of(log), tmp_path)


def test_a_table_without_the_time_column_is_told(database: Database) -> None:
    write(database, [{"timestamp": WINDOW.start, "age": 1}])
    with pytest.raises(LogError, match="has no time column 'when'; its rows belong to no window"):
        read(database, timestamp="when")


def test_milliseconds_are_refused(database: Database) -> None:
    write(database, [{"timestamp": int(WINDOW.start.timestamp()) * 1000, "age": 1}], BigInteger)
    with pytest.raises(LogError, match="milliseconds"):
        read(database)


@pytest.mark.parametrize("text", ["20260303T113000Z", "3 March 2026", ""])
def test_text_of_another_form_is_read_or_named_and_not_lost_in_silence(text: str, database: Database) -> None:
    write(database, [{"timestamp": text, "age": 1}, {"timestamp": WINDOW.start.isoformat(), "age": 2}], Text)
    if text.startswith("2026"):
        assert values(read(database), "age") == [1, 2]
    elif text:
        with pytest.raises(LogError, match="time column 'timestamp' holds text that is not an ISO 8601 time"):
            read(database)
    else:
        assert values(read(database), "age") == [2]


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_wrong_password_is_told_but_never_shown(database: Database) -> None:
    (database.folder / "wrong").write_text("hunter2")
    with pytest.raises(LogError, match="password authentication failed") as failure:
        read(database, password_file="wrong")
    assert "hunter2" not in str(failure.value)


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_time_beyond_python_is_told(database: Database) -> None:
    write(database, [{"timestamp": WINDOW.start, "seen": NOON}], seen=DateTime(timezone=True))
    quoted = TABLE.replace('"', '""')
    database.rows(f"""UPDATE "{quoted}" SET seen = 'infinity'""")
    with pytest.raises(LogError, match="timestamp too large"):
        read(database, {"seen": FeatureType.TIMESTAMP})


# ---------------------------------------------------------------- training data


def training_table(database: Database, **changes: Any) -> SqlTable:
    return SqlTable(
        **{
            "url": database.results.url,
            "table": TABLE,
            "base_dir": database.folder,
            "password_file": database.results.password_file,
            **changes,
        }
    )


def test_a_table_of_training_data_gives_the_same_features_as_files(database: Database) -> None:
    rows = log_rows(NOON - 48 * HOUR, NOON, 2000)
    write(database, rows.to_pylist())
    expected = build_reference(SPEC, rows, created=NOON, source_hash="")
    found = build_from_table(SPEC, training_table(database), NOON)
    assert (found.features, found.score, found.rows, found.span) == (
        expected.features,
        expected.score,
        2000,
        expected.span,
    )


def test_the_same_table_has_the_same_hash_and_other_rows_another(database: Database) -> None:
    write(database, log_rows(NOON - 48 * HOUR, NOON, 200).to_pylist())
    first, second = (build_from_table(SPEC, training_table(database), NOON).source_hash for _ in range(2))
    quoted = TABLE.replace('"', '""')
    database.rows(f'UPDATE "{quoted}" SET age = age + 1')
    assert first == second
    assert build_from_table(SPEC, training_table(database), NOON).source_hash != first


def test_a_table_of_training_data_that_is_not_there_is_told(database: Database) -> None:
    write(database, [{"timestamp": NOON}])
    with pytest.raises(ReferenceDataError, match=r"table nowhere .* there is no table 'nowhere'"):
        build_from_table(SPEC, training_table(database, table="nowhere"), NOON)


def test_a_table_of_training_data_without_a_feature_is_told(database: Database) -> None:
    write(database, [{"timestamp": NOON, "age": 1}])
    with pytest.raises(ReferenceDataError, match="no column 'country'"):
        build_from_table(SPEC, training_table(database), NOON)
