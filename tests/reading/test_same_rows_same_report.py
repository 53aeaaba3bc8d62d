"""The law of reading: the same rows give the same report, the same reference and the same first spec, whatever they are
written in.

Hypothesis draws the rows. Each way to write them is compared with the plain one, in every use at once: the log with its
features, scores, segments and outcomes, features recomputed offline, outcomes kept elsewhere, and business events.
"""

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from pathlib import Path
from shutil import copytree
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from databases import Database
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import BigInteger, Boolean, Column, DateTime, Double, MetaData, Numeric, Table, Text
from ways_of_writing import FILES, FLOATS, TABLES, Encoding, cast, parquet

from mlvitals.exporters.parts import Window
from mlvitals.exporters.reading.sql import SqlTable
from mlvitals.exporters.reference.artifact import Reference
from mlvitals.exporters.training.build import build_reference
from mlvitals.exporters.training.data import build_from_files, build_from_table
from mlvitals.exporters.training.first_look import first_look
from mlvitals.exporters.window.measure import measure_window
from mlvitals.exporters.window.report import WindowReport
from mlvitals.generator.spec.model import (
    Business,
    Event,
    EventsLog,
    EventSource,
    Feature,
    FeatureType,
    Kpi,
    KpiKind,
    LogFormat,
    Outcome,
    PredictionLog,
    Skew,
    Spec,
    System,
    Windows,
)

pytestmark = pytest.mark.slow
END = datetime(2026, 3, 4, tzinfo=UTC)
HOUR = timedelta(hours=1)
WINDOW = Window(END - 24 * HOUR, END)
DELAY = 24 * HOUR
COUNT = 210
"""Rows of a frame: enough for statistics, in as many as a test can afford."""
FAR = [datetime(year, month, 1, tzinfo=UTC) for year, month in ((1, 1), (1600, 2), (9999, 12))]
NEAR = [END - timedelta(days=day) for day in (1, 2, 3, 400, 20_000)]


def nullable(values: list[Any], at_least: int = 1) -> st.SearchStrategy[list[Any]]:
    """A column with values of a pool, some of them missing."""
    some = st.lists(st.sampled_from(values), min_size=at_least, max_size=len(values), unique=True)
    return st.builds(
        _drawn,
        some,
        st.integers(0, 2**32 - 1),
        st.sampled_from([0, 0.1, 0.6]),
    )


def _drawn(pool: list[Any], seed: int, missing: float) -> list[Any]:
    generator = np.random.default_rng(seed)
    places, lacks = generator.integers(0, len(pool), COUNT), generator.random(COUNT) < missing
    return [None if lack else pool[place] for place, lack in zip(places, lacks, strict=True)]


@st.composite
def frames(draw: st.DrawFn, *, far: bool = True) -> pa.Table:
    """Rows of two days, the window and the day before, of which the outcomes are known."""
    seconds = np.sort(np.random.default_rng(draw(st.integers(0, 2**32 - 1))).integers(0, 2 * 86_400, COUNT))
    moments = [WINDOW.start - 24 * HOUR + timedelta(seconds=int(second)) for second in seconds]
    utc = pa.timestamp("us", "UTC")
    return pa.table(
        {
            "timestamp": pa.array(moments, utc),
            "id": pa.array(range(1000, 1000 + COUNT), pa.int64()),
            "user": pa.array([place % 5 for place in range(COUNT)], pa.int64()),
            "age": pa.array(draw(nullable([-5, 0, 1, 5, 42, 100])), pa.int64()),
            "price": pa.array(draw(nullable([-0.5, 0.0, 0.125, 7.0, 1024.5])), pa.float64()),
            "active": pa.array(draw(nullable([True, False], at_least=2)), pa.bool_()),
            "plan": pa.array(
                draw(nullable(["free", "Ünïcode, ;\t|", "007", "true", 'a "b"', "N/A", "x" * 50])), pa.string()
            ),
            "country": pa.array([["de", "fr", "pl"][place % 3] for place in range(COUNT)], pa.string()),
            "store": pa.array(draw(nullable([0, 5, 10, 100_000])), pa.int64()),
            "seen": pa.array(draw(nullable(NEAR + (FAR if far else []))), utc),
            "score": pa.array([place % 64 / 64 for place in range(COUNT)], pa.float64()),
            "label": pa.array(draw(nullable([True, False], at_least=2)), pa.bool_()),
            "event": pa.array([["click", "buy"][place % 2] for place in range(COUNT)], pa.string()),
            "euros": pa.array([place / 8 for place in range(COUNT)], pa.float64()),
        }
    )


def spec_of(encoding: Encoding, folder: Path) -> Spec:
    """A spec that uses rows in every way there is."""
    of_sql = encoding.format is LogFormat.SQL
    table = "rows" if of_sql else None

    def path(name: str) -> str:
        return f"sqlite:///{folder / name}.db" if of_sql else name

    how: dict[str, Any] = {"format": encoding.format, "decimal": encoding.decimal}
    skew = Skew() if of_sql else Skew(path="offline", **how)
    return Spec(
        version=1,
        system=System(name="shop"),
        prediction_log=PredictionLog(
            path=path("log"),
            table=table,
            id="id",
            score="score",
            segments=("country", "store"),
            other_columns=("event", "euros", "user", "note", "__index_level_0__", "Unnamed: 0", "date"),
            outcome=Outcome(column="label", path=path("outcomes"), table=table, timestamp="timestamp", max_delay="24h"),
            **how,
        ),
        features={
            "age": Feature(type=FeatureType.INTEGER, nullable=True),
            "price": Feature(type=FeatureType.FLOAT, nullable=True),
            "active": Feature(type=FeatureType.BOOLEAN, nullable=True),
            "plan": Feature(type=FeatureType.CATEGORICAL, nullable=True),
            "country": Feature(type=FeatureType.CATEGORICAL),
            "store": Feature(type=FeatureType.CATEGORICAL, nullable=True),
            "seen": Feature(type=FeatureType.TIMESTAMP, nullable=True),
        },
        windows=Windows(length="24h", step="24h", score_count=100),
        skew=skew,
        business=Business(
            events={
                "clicks": Event(source=EventSource.LOG, logged_as="click"),
                "revenue": Event(source=EventSource.LOG, logged_as="buy", unit="euros"),
                "visitors": Event(source=EventSource.LOG, logged_as="click", distinct="user"),
            },
            kpis={"revenue_per_click": Kpi(kind=KpiKind.MEAN, numerator="revenue", denominator="clicks")},
            events_log=EventsLog(path=path("events"), table=table, amount="euros", **how),
        ),
    )


PLAIN = Encoding("plain", LogFormat.PARQUET, parquet())


def link(path: Path, target: Path) -> None:
    """Give a file, or a folder of files, another name."""
    if path.is_dir():
        copytree(path, target, copy_function=os.link)
    else:
        os.link(path, target)


def measured(rows: pa.Table, encoding: Encoding, reference: Reference) -> WindowReport:
    with TemporaryDirectory() as name:
        folder = Path(name)
        encoding.write(rows, folder / "log")
        for written in list(folder.iterdir()):
            for place in ("offline", "outcomes", "events"):
                link(written, written.with_name(written.name.replace("log", place)))
        spec = spec_of(encoding, folder)
        return measure_window(spec, folder, reference, "v1", WINDOW, END + 2 * DELAY, workers=1)


def differences(one: Any, other: Any, *, close: bool, path: str = "") -> list[str]:
    """Return where two values differ; `close` lets floats differ in their last digits."""
    match one, other:
        case msgspec.Struct(), msgspec.Struct():
            one, other = ({name: getattr(item, name) for name in item.__struct_fields__} for item in (one, other))
        case tuple(), tuple():
            one, other = dict(enumerate(one)), dict(enumerate(other))
        case float(), float() if close and np.isclose(one, other, rtol=1e-9, atol=0):
            return []
    if isinstance(one, dict) and isinstance(other, dict):
        return [
            found
            for name in {**one, **other}
            for found in differences(one.get(name), other.get(name), close=close, path=f"{path}.{name}")
        ]
    return [] if one == other else [f"{path}: {one!r} is not {other!r}"]


def plain_reference(rows: pa.Table) -> Reference:
    return build_reference(spec_of(PLAIN, Path()), rows, created=END, source_hash="")


def trained(rows: pa.Table, encoding: Encoding) -> Reference:
    with TemporaryDirectory() as name:
        folder = Path(name)
        encoding.write(rows, folder / "log")
        spec = spec_of(encoding, folder)
        if encoding.format is LogFormat.SQL:
            return build_from_table(spec, SqlTable(spec.prediction_log.path, "rows", folder), END)
        return build_from_files(spec, folder, ["log"], END, file_format=encoding.format)


def seen(rows: pa.Table, encoding: Encoding) -> dict[str, tuple[FeatureType | None, bool, bool]]:
    with TemporaryDirectory() as name:
        encoding.write(rows, Path(name) / "log")
        columns, *_ = first_look(["log"], Path(name), file_format=encoding.format, decimal=encoding.decimal)
    known = {column.name: (column.type, column.nullable, column.unique) for column in columns}
    return {name: known.get(name, (None, False, False)) for name in rows.column_names}


pytestmark = pytest.mark.slow

LAW = settings(
    max_examples=1,
    phases=[Phase.generate],
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@dataclass(frozen=True)
class Plain:
    """Rows, and what the plain way to write them gives."""

    rows: pa.Table

    @cached_property
    def reference(self) -> Reference:
        return plain_reference(self.rows)

    @cached_property
    def report(self) -> WindowReport:
        return measured(self.rows, PLAIN, self.reference)

    @cached_property
    def first_look(self) -> dict[str, tuple[FeatureType | None, bool, bool]]:
        return seen(self.rows, PLAIN)


@cache
def drawn(far: bool) -> list[Plain]:
    """The same rows for every way to write them: what the plain one gives is asked once."""
    found: list[Plain] = []

    @LAW
    @given(frames(far=far))
    def keep(rows: pa.Table) -> None:
        found.append(Plain(rows))

    keep()
    assert len(found) == LAW.max_examples
    return found


@pytest.mark.parametrize("encoding", [*FILES, *TABLES], ids=str)
def test_the_same_rows_give_the_same_report(encoding: Encoding) -> None:
    for plain in drawn(encoding.far):
        expected, found = plain.report, measured(plain.rows, encoding, plain.reference)
        if encoding.format is LogFormat.SQL:
            expected = msgspec.structs.replace(expected, skew=None)
        assert found.problems == ()
        assert differences(expected, found, close=encoding.parts) == []


@pytest.mark.parametrize("encoding", [*FILES, *TABLES], ids=str)
def test_the_same_training_data_give_the_same_reference(encoding: Encoding) -> None:
    for plain in drawn(encoding.far):
        expected, found = plain.reference, trained(plain.rows, encoding)
        if encoding.single:
            expected = plain_reference(cast(plain.rows, pa.float32(), *FLOATS))
        for part in ("features", "score", "outcome", "segments", "rows", "span"):
            assert differences(getattr(expected, part), getattr(found, part), close=False) == [], part


@pytest.mark.parametrize("encoding", [encoding for encoding in FILES if encoding.typed], ids=str)
def test_the_same_training_data_give_the_same_first_spec(encoding: Encoding) -> None:
    for plain in drawn(encoding.far):
        assert seen(plain.rows, encoding) == plain.first_look


NUMERIC = {name: Numeric(30, 6) for name in ("price", "score", "euros")} | {
    name: Numeric(30, 0) for name in ("id", "user", "age", "store")
}
NATIVE = dict.fromkeys(("price", "score", "euros"), Double) | dict.fromkeys(("id", "user", "age", "store"), BigInteger)
TEXTS = dict.fromkeys((*NATIVE, "active", "label", "timestamp", "seen"), Text)


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
@pytest.mark.parametrize("kinds", [NATIVE, NUMERIC, TEXTS], ids=["native", "numeric", "text"])
def test_the_same_rows_give_the_same_report_in_a_table_of_a_server(kinds: dict[str, Any], database: Database) -> None:
    types = (
        {"active": Boolean, "label": Boolean} | dict.fromkeys(("timestamp", "seen"), DateTime(timezone=True)) | kinds
    )

    @LAW
    @given(frames())
    def check(rows: pa.Table) -> None:
        engine = database.engine()
        table = Table("rows", MetaData(), *(Column(name, types.get(name, Text)) for name in rows.column_names))
        written = rows.to_pylist()
        if kinds is TEXTS:
            written = [
                {name: value if value is None or name not in TEXTS else str(value) for name, value in row.items()}
                for row in written
            ]
        with engine.begin() as connection:
            table.drop(connection, checkfirst=True)
            table.create(connection)
            connection.execute(table.insert(), written)
        engine.dispose()
        reference = plain_reference(rows)
        expected = msgspec.structs.replace(measured(rows, PLAIN, reference), skew=None)
        spec = of_database(spec_of(TABLES[0], database.folder), database)
        found = measure_window(spec, database.folder, reference, "v1", WINDOW, END + 2 * DELAY, workers=1)
        assert found.problems == ()
        assert differences(expected, found, close=False) == []

    check()


def of_database(spec: Spec, database: Database) -> Spec:
    """The spec, with all rows in one table."""
    place = {"path": database.results.url, "password_file": database.results.password_file}
    log = msgspec.structs.replace(spec.prediction_log, **place)
    log = msgspec.structs.replace(log, outcome=msgspec.structs.replace(log.outcome, **place))
    events = msgspec.structs.replace(spec.business.events_log, **place)
    business = msgspec.structs.replace(spec.business, events_log=events)
    return msgspec.structs.replace(spec, prediction_log=log, business=business)
