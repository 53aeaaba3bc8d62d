"""Writing a prediction log as its readers expect it: ``date=YYYY-MM-DD/hour=HH/NAME.parquet``, hours in UTC."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

_HOUR_MS = 3_600_000


def hours(log: pa.Table, column: str = "timestamp") -> Iterator[tuple[datetime, pa.Table]]:
    """The hours of a log, which is sorted by a column of times: each begin, in UTC, with its rows."""
    if not log.num_rows:
        return
    milliseconds = log[column].cast(pa.timestamp("ms", tz="UTC")).cast(pa.int64()).to_numpy()
    numbers, first = np.unique(milliseconds // _HOUR_MS, return_index=True)
    for number, begin, end in zip(numbers, first, [*first[1:], log.num_rows], strict=True):
        yield datetime.fromtimestamp(int(number) * 3600, UTC), log.slice(begin, end - begin)


def write_hour(
    folder: Path, hour: datetime, rows: pa.Table, name: str = "part-0", categories: Sequence[str] = ()
) -> None:
    """Write rows of one hour into its partition."""
    partition = folder / f"date={hour:%Y-%m-%d}" / f"hour={hour:%H}"
    write_file(rows, partition / f"{name}.parquet", categories)


def write_file(table: pa.Table, path: Path, categories: Sequence[str] = ()) -> None:
    """Write one Parquet file in a single step: readers see the whole file or none.

    `categories` are the columns of few distinct values, which are stored as a dictionary.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.tmp")
    pq.write_table(table, unfinished, compression="zstd", use_dictionary=list(categories))  # type: ignore[arg-type]  # the stubs know only bool
    unfinished.replace(path)


def remove_files(folder: Path) -> None:
    """Remove the log written here before, and nothing else."""
    for path in folder.glob("date=*/hour=*/*.parquet"):
        path.unlink()
