"""StreamRec's files: training data, the hourly prediction log, and the marks its feature sources leave."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from examples.partitions import remove_files, write_file, write_hour
from examples.streamrec.faults import Fault
from examples.streamrec.population import population
from examples.streamrec.record import OutcomeFiles, ServingRecord
from examples.streamrec.simulate import SOURCES, USUAL, Traffic, simulate_hour, training_table
from mlvitals.generator.contract import Contract

TRAINING_DAYS = 14
RECOMPUTED_EVERY = timedelta(days=1)

_HOUR = timedelta(hours=1)


def write_history(
    folder: Path,
    end: datetime,
    days: int,
    *,
    seed: int,
    faults: Sequence[Fault] = (),
    traffic: Traffic = USUAL,
    contract: Contract | None = None,
    outcomes_apart: bool = False,
) -> Iterator[int]:
    """Write `folder`/training, /predictions, /recomputed and /sources, in place of what was written before.

    The log covers the `days` before `end`, an aware full hour; the training data the 14 days before the log.
    With a contract also what else was to be seen over that time: `folder`/metrics, what the serving application
    published; `folder`/sources.parquet, when each source was updated; `folder`/events.parquet, what the business
    counted each hour. With `outcomes_apart` the clicks are in `folder`/outcomes, by the hour in which they became
    known, and not in the log. Yields the rows written, after each file; nothing is written unless the iterator is
    consumed.
    """
    predictions = folder / "predictions"
    begin = end - timedelta(days=days)
    yield from write_training(folder / "training", begin, TRAINING_DAYS, seed=seed, traffic=traffic)
    remove_files(predictions)
    for part in ("recomputed", "outcomes", "metrics"):
        remove_files(folder / part)
    for day in range(days):
        write_recomputed(folder / "recomputed", begin + day * RECOMPUTED_EVERY, seed=seed)
    record = contract and ServingRecord(folder, contract, begin, seed=seed, faults=faults, traffic=traffic)
    outcomes = OutcomeFiles(folder / "outcomes") if outcomes_apart else None
    for hour in range(24 * days):
        start = begin + hour * _HOUR
        table = simulate_hour(start, seed=seed, faults=faults, traffic=traffic)
        if record:
            record.add(start, table)
        if outcomes:
            outcomes.add(table, start + _HOUR)
            table = table.drop_columns([*OutcomeFiles.columns[1:]])
        write_hour(predictions, start, table, categories=categories(table))
        yield table.num_rows
    if record:
        record.close(end)
    if outcomes:
        outcomes.close()
    touch_sources(folder / "sources" / name for name in SOURCES)


def write_training(folder: Path, end: datetime, days: int, *, seed: int, traffic: Traffic = USUAL) -> Iterator[int]:
    """Write the `days` before `end` into `folder`, one file a day, in place of what was written before.

    Yields the rows written, after each file; nothing is written unless the iterator is consumed.
    """
    for old in folder.glob("part-*.parquet"):
        old.unlink()
    for day in range(days):
        table = training_table(end - timedelta(days=days - day), 24, seed=seed, traffic=traffic)
        write_file(table, folder / f"part-{day:03}.parquet", categories(table))
        yield table.num_rows


def write_recomputed(folder: Path, moment: datetime, *, seed: int) -> None:
    """Write the features of all users as the offline pipeline computes them at a moment: one row a user."""
    users = population(seed).users.features
    rows = pa.table(
        {
            "user_id": pa.array(np.arange(users.num_rows)),
            "timestamp": pa.repeat(pa.scalar(moment, pa.timestamp("ms", tz="UTC")), users.num_rows),
            **dict(zip(users.schema.names, users.columns, strict=True)),
        }
    )
    write_hour(folder, moment, rows, f"part-{moment:%M%S}", categories(rows))


def touch_sources(folders: Iterable[Path]) -> None:
    """Leave the mark of a finished update in each source's folder: the time of its file is the data's age."""
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "UPDATED").touch()


def categories(table: pa.Table) -> list[str]:
    """The columns of few distinct values: all but fractions and the prediction's own columns."""
    return [
        field.name
        for field in table.schema
        if not (pa.types.is_floating(field.type) or field.name in {"prediction_id", "timestamp", "outcome_timestamp"})
    ]
