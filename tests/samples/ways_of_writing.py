"""The same rows, written in every way in which people write them."""

import csv
import gzip
import io
import json
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.feather as pa_feather
import pyarrow.ipc as pa_ipc
import pyarrow.parquet as pq
from sqlalchemy import create_engine

from mlvitals.generator.spec.model import LogFormat

INTEGERS = ("age", "store", "id", "user")
NULLABLE_INTEGERS = ("age", "store")
FLOATS = ("price", "score", "euros")
BOOLEANS = ("active", "label")
TEXTS = ("plan", "country", "event", "note")


class Encoding(NamedTuple):
    """A way to write rows below a folder."""

    name: str
    format: LogFormat
    write: Callable[[pa.Table, Path], None]
    decimal: str = "."
    far: bool = True
    """True if it can hold dates that nanoseconds cannot."""
    parts: bool = False
    """True if sums are taken part by part: means then differ in their last digits."""
    typed: bool = True
    """False if a column has a type that says something else than what the spec has it measured as: bytes for text, text
    or seconds for numbers or times. A first spec goes by the type."""
    single: bool = False
    """True if it holds floats of single precision, which the cells of a reference remember."""

    def __str__(self) -> str:
        return self.name


# ---------------------------------------------------------------- Parquet and Feather


def cast(table: pa.Table, kind: pa.DataType, *names: str) -> pa.Table:
    """Return the table with some columns as another type."""
    for name in names:
        if name in table.column_names:
            table = table.set_column(table.column_names.index(name), name, table[name].cast(kind))
    return table


def parquet(
    change: Callable[[pa.Table], pa.Table] = lambda table: table, **options: Any
) -> Callable[[pa.Table, Path], None]:
    def write(table: pa.Table, folder: Path) -> None:
        folder.mkdir(parents=True)
        pq.write_table(change(table), folder / "a.parquet", **options)

    return write


def encoded(table: pa.Table) -> pa.Table:
    for name in TEXTS:
        if name in table.column_names:
            table = table.set_column(table.column_names.index(name), name, table[name].dictionary_encode())
    return table


def times(unit: str, zone: str | None) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        table = cast(table, pa.timestamp(unit, zone), "timestamp", "at")
        return cast(table, pa.timestamp(unit, zone), "seen")

    return change


def as_dates(table: pa.Table) -> pa.Table:
    return cast(table, pa.date32(), "seen")


def unix(table: pa.Table) -> pa.Table:
    return cast(cast(table, pa.timestamp("s", "UTC"), "timestamp", "seen"), pa.int64(), "timestamp", "seen")


def small_integers(table: pa.Table) -> pa.Table:
    return cast(cast(cast(table, pa.int8(), "age"), pa.uint32(), "store"), pa.int16(), "id", "user")


def decimals(table: pa.Table) -> pa.Table:
    table = cast(table, pa.decimal128(38, 0), *INTEGERS)
    return cast(table, pa.decimal128(20, 10), *FLOATS)


def floats_for_integers(table: pa.Table) -> pa.Table:
    """As pandas has integers where some are missing."""
    return cast(table, pa.float64(), *_with_nulls(table))


def _with_nulls(table: pa.Table) -> list[str]:
    return [name for name in NULLABLE_INTEGERS if name in table.column_names and table[name].null_count]


def booleans_as_integers(table: pa.Table) -> pa.Table:
    return cast(table, pa.int8(), *BOOLEANS)


def texts_of_numbers(table: pa.Table) -> pa.Table:
    return cast(table, pa.string(), *INTEGERS, *FLOATS)


def with_index(name: str) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.append_column(name, pa.array(range(len(table))))


def backwards(table: pa.Table) -> pa.Table:
    return table.select(table.column_names[::-1])


def many_files(table: pa.Table, folder: Path) -> None:
    folder.mkdir(parents=True)
    for start in range(0, len(table), 7):
        pq.write_table(table.slice(start, 7), folder / f"{start:05}.parquet")


def unlike_files(table: pa.Table, folder: Path) -> None:
    """Every part of another type than the one before."""
    changes = (
        encoded,
        booleans_as_integers,
        decimals,
        floats_for_integers,
        times("us", "Europe/Berlin"),
        times("ms", None),
        texts_of_numbers,
    )
    folder.mkdir(parents=True)
    for part, start in enumerate(range(0, len(table), 7)):
        pq.write_table(changes[part % len(changes)](table.slice(start, 7)), folder / f"{start:05}.parquet")


def by_date(table: pa.Table, folder: Path) -> None:
    days = table["timestamp"].cast(pa.timestamp("us")).cast(pa.date32()).to_pylist()
    for day in sorted(set(days)):
        part = table.filter(pa.array([value == day for value in days]))
        (folder / f"date={day}").mkdir(parents=True)
        pq.write_table(part, folder / f"date={day}" / "a.parquet")


def by_country(table: pa.Table, folder: Path) -> None:
    for country in sorted(set(table["country"].to_pylist())):
        part = table.filter(pa.array([value == country for value in table["country"].to_pylist()]))
        (folder / f"country={country}").mkdir(parents=True)
        pq.write_table(part.drop_columns(["country"]), folder / f"country={country}" / "a.parquet")


def feather(
    change: Callable[[pa.Table], pa.Table] = lambda table: table, **options: Any
) -> Callable[[pa.Table, Path], None]:
    def write(table: pa.Table, folder: Path) -> None:
        folder.mkdir(parents=True)
        pa_feather.write_feather(change(table), folder / "a.feather", **options)

    return write


def arrow_stream(table: pa.Table, folder: Path) -> None:
    folder.mkdir(parents=True)
    with pa.OSFile(str(folder / "a.arrow"), "wb") as sink, pa_ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)


def in_runs(table: pa.Table) -> pa.Table:
    for name in ("timestamp", "age", "price", "country", "active"):
        if name in table.column_names:
            column = table[name].combine_chunks()
            table = table.set_column(table.column_names.index(name), name, pc.call_function("run_end_encode", [column]))
    return table


# ---------------------------------------------------------------- CSV


def iso(value: datetime) -> str:
    return value.isoformat().replace("+00:00", "Z")


def with_blank(value: datetime) -> str:
    """As pandas writes it."""
    return value.isoformat(" ")


def basic(value: datetime) -> str:
    return iso(value).replace("-", "").replace(":", "")


def with_offset(value: datetime) -> str:
    return f"{value.replace(tzinfo=None).isoformat(' ')} +0000"


def day_only(value: datetime) -> str:
    """As a warehouse writes it."""
    return f"{value.replace(tzinfo=None).isoformat(' ')} UTC"


def spelt(
    value: Any,
    *,
    moment: Callable[[datetime], str] = iso,
    null: str = "",
    truth: tuple[str, str] = ("false", "true"),
    whole: Callable[[int], str] = str,
    decimal: str = ".",
) -> str:
    match value:
        case None:
            return null
        case bool():
            return truth[value]
        case int():
            return whole(value)
        case float():
            return repr(value).replace(".", decimal)
        case datetime():
            return moment(value)
    return str(value)


def lines(
    table: pa.Table,
    *,
    delimiter: str = ",",
    end: str = "\n",
    quoting: int = csv.QUOTE_MINIMAL,
    escape: str | None = None,
    **how: Any,
) -> str:
    page = io.StringIO(newline="")
    writer = csv.writer(
        page, delimiter=delimiter, lineterminator=end, quoting=quoting, doublequote=not escape, escapechar=escape
    )
    writer.writerow(table.column_names)
    plain = {key: value for key, value in how.items() if key != "whole"}
    floated = _with_nulls(table) if "whole" in how else []
    for row in rows_of(table):
        writer.writerow([spelt(value, **(how if name in floated else plain)) for name, value in row.items()])
    return page.getvalue()


def rows_of(table: pa.Table) -> Iterator[dict[str, Any]]:
    return iter(table.to_pylist())


def csv_file(
    name: str = "a.csv",
    pack: Callable[[bytes], bytes] = bytes,
    encoding: str = "utf-8",
    change: Callable[[pa.Table], pa.Table] = lambda table: table,
    above: str = "",
    **how: Any,
) -> Callable[[pa.Table, Path], None]:
    def write(table: pa.Table, folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / name).write_bytes(pack((above + lines(change(table), **how)).encode(encoding)))

    return write


def in_members(data: bytes) -> bytes:
    """As log shippers append to a compressed file."""
    return b"".join(gzip.compress(data[start : start + 1000]) for start in range(0, len(data), 1000))


def zstd(data: bytes) -> bytes:
    packed: bytes = pa.Codec("zstd").compress(data, asbytes=True)
    return packed


def with_notes(table: pa.Table) -> pa.Table:
    notes = [f'a "quoted" note,\nof {row} lines;\n\n\tand more' for row in range(len(table))]
    return table.append_column("note", pa.array(notes))


PANDAS: Mapping[str, Any] = {
    "moment": with_blank,
    "truth": ("False", "True"),
    "whole": lambda value: f"{value}.0",
}


# ---------------------------------------------------------------- JSON lines


def plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: iso(value) if isinstance(value, datetime) else value for name, value in row.items()}


def shuffled(row: dict[str, Any]) -> dict[str, Any]:
    names = list(row)
    random.Random(str(row)).shuffle(names)
    return {name: row[name] for name in names}


def without_nulls(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value is not None}


def as_text(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value if value is None else spelt(value) for name, value in row.items()}


def as_text_at_times(row: dict[str, Any]) -> dict[str, Any]:
    return as_text(row) if row["id"] % 2 else row


def json_file(
    *changes: Callable[[dict[str, Any]], dict[str, Any]],
    name: str = "a.jsonl",
    pack: Callable[[bytes], bytes] = bytes,
    encoding: str = "utf-8",
    between: str = "\n",
    end: str = "\n",
    table: Callable[[pa.Table], pa.Table] = lambda table: table,
) -> Callable[[pa.Table, Path], None]:
    def write(rows: pa.Table, folder: Path) -> None:
        objects = []
        for row in rows_of(table(rows)):
            found = plain(row)
            for change in changes:
                found = change(found)
            objects.append(json.dumps(found))
        folder.mkdir(parents=True)
        (folder / name).write_bytes(pack((between.join(objects) + end).encode(encoding)))

    return write


def many_json_files(table: pa.Table, folder: Path) -> None:
    folder.mkdir(parents=True)
    for place, row in enumerate(rows_of(table)):
        (folder / f"{place:05}.jsonl").write_text(json.dumps(plain(row)))


# ---------------------------------------------------------------- databases


def sqlite(kinds: Mapping[str, str], **how: Any) -> Callable[[pa.Table, Path], None]:
    """Write a table `rows` into the file that stands for the folder."""

    def write(table: pa.Table, folder: Path) -> None:
        folder.parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(f"sqlite:///{folder}.db")
        names = table.column_names
        with closing(engine.raw_connection()) as connection:
            columns = ", ".join(f"{name} {kinds.get(name, '')}" for name in names)
            connection.execute(f"CREATE TABLE rows ({columns})")
            marks = ", ".join("?" * len(names))
            rows = [
                [spelt(value, **how) if how or isinstance(value, datetime) else value for value in row.values()]
                for row in rows_of(table)
            ]
            rows = [[None if value == "" else value for value in row] for row in rows]
            connection.executemany(f"INSERT INTO rows VALUES ({marks})", rows)
            connection.commit()
        engine.dispose()

    return write


P, C, J, F = LogFormat.PARQUET, LogFormat.CSV, LogFormat.JSONL, LogFormat.FEATHER

FILES = (
    Encoding("parquet, plain text", P, parquet(use_dictionary=False)),
    Encoding("parquet, dictionaries of the file", P, parquet(use_dictionary=True)),
    Encoding("parquet, dictionary type", P, parquet(encoded)),
    Encoding("parquet, large text", P, parquet(lambda table: cast(table, pa.large_string(), *TEXTS))),
    Encoding("parquet, text views", P, parquet(lambda table: cast(table, pa.string_view(), *TEXTS))),
    Encoding(
        "parquet, text not marked as such", P, parquet(lambda table: cast(table, pa.binary(), *TEXTS)), typed=False
    ),
    Encoding("parquet, float32", P, parquet(lambda table: cast(table, pa.float32(), *FLOATS)), single=True),
    Encoding("parquet, small integers", P, parquet(small_integers)),
    Encoding("parquet, decimals", P, parquet(decimals)),
    Encoding("parquet, decimals as integers", P, parquet(decimals, store_decimal_as_integer=True)),
    Encoding("parquet, floats for integers beside nulls", P, parquet(floats_for_integers)),
    Encoding("parquet, booleans as integers", P, parquet(booleans_as_integers)),
    Encoding("parquet, numbers as text", P, parquet(texts_of_numbers), typed=False),
    *(
        Encoding(f"parquet, times in {unit}, {zone}", P, parquet(times(unit, zone)), far=unit != "ns")
        for unit in ("s", "ms", "us", "ns")
        for zone in (None, "UTC", "Europe/Berlin")
    ),
    Encoding("parquet, INT96", P, parquet(use_deprecated_int96_timestamps=True)),
    Encoding("parquet, dates", P, parquet(as_dates)),
    Encoding("parquet, Unix time", P, parquet(unix), far=False, typed=False),
    Encoding("parquet, version 1.0", P, parquet(version="1.0")),
    Encoding(
        "parquet, new encodings",
        P,
        parquet(
            use_dictionary=False,
            data_page_version="2.0",
            column_encoding={
                "price": "BYTE_STREAM_SPLIT",
                "id": "DELTA_BINARY_PACKED",
                "timestamp": "DELTA_BINARY_PACKED",
            },
        ),
    ),
    Encoding("parquet, zstd and small row groups", P, parquet(compression="zstd", row_group_size=5)),
    Encoding("parquet, many files", P, many_files, parts=True),
    Encoding("parquet, files that differ in types", P, unlike_files, parts=True, typed=False),
    Encoding("parquet, columns in another order", P, parquet(backwards)),
    Encoding("parquet, index of pandas", P, parquet(with_index("__index_level_0__"))),
    Encoding("parquet, partitions by date", P, by_date, parts=True),
    Encoding("parquet, partitions by a feature", P, by_country, parts=True, typed=False),
    Encoding("feather, lz4", F, feather(compression="lz4")),
    Encoding("feather, zstd", F, feather(compression="zstd")),
    Encoding("arrow, a stream", F, arrow_stream),
    Encoding("arrow, runs", F, lambda table, folder: arrow_stream(in_runs(table), folder)),
    Encoding(
        "feather, plain, dictionaries",
        F,
        lambda table, folder: feather(compression="uncompressed")(encoded(table), folder),
    ),
    Encoding("csv, comma", C, csv_file()),
    Encoding("csv, semicolon", C, csv_file(delimiter=";")),
    Encoding("csv, tab", C, csv_file("a.tsv", delimiter="\t")),
    Encoding("csv, pipe", C, csv_file(delimiter="|")),
    Encoding("csv, delimiter declared to Excel", C, csv_file(delimiter=";", above="sep=;\n")),
    Encoding("csv, decimal comma", C, csv_file(delimiter=";", decimal=","), decimal=","),
    Encoding("csv, decimal comma in quotes", C, csv_file(decimal=","), decimal=","),
    Encoding("csv, everything quoted", C, csv_file(quoting=csv.QUOTE_ALL)),
    Encoding("csv, quoted line breaks", C, csv_file(change=with_notes)),
    Encoding(
        "csv, quotes escaped by backslashes, as Spark writes them",
        C,
        csv_file(change=with_notes, escape="\\", quoting=csv.QUOTE_NONNUMERIC),
    ),
    Encoding("csv, CRLF", C, csv_file(end="\r\n")),
    Encoding("csv, byte order mark", C, csv_file(encoding="utf-8-sig")),
    Encoding("csv, UTF-16", C, csv_file(encoding="utf-16")),
    Encoding("csv, UTF-16, the other order, without mark", C, csv_file(encoding="utf-16-be")),
    Encoding("csv, UTF-32", C, csv_file(encoding="utf-32")),
    Encoding("csv, UTF-32, without mark", C, csv_file(encoding="utf-32-le")),
    Encoding("csv, UTF-32, the other order, without mark", C, csv_file(encoding="utf-32-be")),
    Encoding("csv, Hive's delimiter", C, csv_file(delimiter="\x01")),
    Encoding("csv, times in basic format", C, csv_file(moment=basic)),
    Encoding("csv, times as Snowflake writes them", C, csv_file(moment=with_offset)),
    Encoding("csv, gzip", C, csv_file("a.csv.gz", gzip.compress)),
    Encoding("csv, gzip in several members", C, csv_file("a.csv.gz", in_members)),
    Encoding("csv, gzip that is not named so", C, csv_file("a.csv", gzip.compress)),
    Encoding("csv, named gz and plain", C, csv_file("a.csv.gz")),
    Encoding("csv, zstd", C, csv_file("a.csv.zst", zstd)),
    Encoding("csv, as pandas writes it", C, csv_file(**PANDAS)),
    Encoding("csv, index of pandas without a name", C, csv_file(change=with_index(""), **PANDAS)),
    Encoding("csv, index of pandas read back", C, csv_file(change=with_index("Unnamed: 0"), **PANDAS)),
    Encoding("csv, as R writes it", C, csv_file(truth=("FALSE", "TRUE"), quoting=csv.QUOTE_NONNUMERIC)),
    Encoding("csv, as PostgreSQL writes it", C, csv_file(truth=("f", "t"), moment=with_blank)),
    Encoding("csv, as a warehouse writes times", C, csv_file(moment=day_only)),
    Encoding("json lines", J, json_file()),
    Encoding("json lines, keys in any order", J, json_file(shuffled)),
    Encoding("json lines, absent keys", J, json_file(without_nulls)),
    Encoding("json lines, numbers as text", J, json_file(as_text)),
    Encoding("json lines, numbers as text at times", J, json_file(as_text_at_times)),
    Encoding("json lines, floats for integers", J, json_file(table=floats_for_integers)),
    Encoding("json lines, booleans as integers", J, json_file(table=booleans_as_integers)),
    Encoding("json lines, no break at the end", J, json_file(end="")),
    Encoding("json lines, blank lines", J, json_file(between="\n\n")),
    Encoding("json lines, CRLF", J, json_file(between="\r\n")),
    Encoding("json lines, one long line", J, json_file(between=" ")),
    Encoding("json lines, byte order mark", J, json_file(encoding="utf-8-sig")),
    Encoding("json lines, UTF-16", J, json_file(encoding="utf-16")),
    Encoding("json lines, gzip", J, json_file(name="a.jsonl.gz", pack=gzip.compress)),
    Encoding("json lines, gzip that is not named so", J, json_file(pack=gzip.compress)),
    Encoding("json lines, a file for each row", J, many_json_files, parts=True),
)

_NATIVE = dict.fromkeys(INTEGERS, "INTEGER") | dict.fromkeys(FLOATS, "REAL") | dict.fromkeys(BOOLEANS, "BOOLEAN")
TABLES = (
    Encoding("sqlite, types", LogFormat.SQL, sqlite(_NATIVE | dict.fromkeys(("timestamp", "seen"), "TEXT"))),
    Encoding(
        "sqlite, text", LogFormat.SQL, sqlite(dict.fromkeys((*_NATIVE, "timestamp", "seen", *TEXTS), "TEXT"), null="")
    ),
)
