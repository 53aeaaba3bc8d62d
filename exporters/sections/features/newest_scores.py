"""The count window of the prediction monitor: the newest scores up to a moment, however long ago they were given.

Where traffic is low an hour holds too few scores to judge; where it is high, 10,000 scores are minutes. The window is
read back from the log in steps that double, so that a quiet system costs few more walks than a busy one.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mlvitals.exporters.parts import FileProblem, Window
from mlvitals.exporters.reading.columns import ColumnTypeError, epoch_microseconds, numbers
from mlvitals.exporters.reading.files import StoredFile
from mlvitals.exporters.reading.log import BrokenFileError, Chunk, files_of_window, read_file
from mlvitals.exporters.reading.sql import SqlTable
from mlvitals.exporters.statistics.cells import Cells
from mlvitals.exporters.statistics.profile import FeatureProfile, profile_column
from mlvitals.generator.spec.model import FeatureType, PredictionLog

LOOK_BACK = 32
"""How many lengths of the time window are searched at most."""


class NewestScores(NamedTuple):
    """What was counted of the newest scores."""

    wanted: int
    window: Window
    """From the oldest score counted to the end of the time window."""
    profile: FeatureProfile


def newest_scores(log: PredictionLog, base_dir: Path, cells: Cells, window: Window, count: int) -> NewestScores | None:
    """Count the newest scores that were given before a window's end.

    Files that cannot be read are left out: the measurement of the time window tells them.

    Args:
        log: where predictions are recorded; with a score column.
        base_dir: where a relative path starts.
        cells: the score's cells, from its reference.
        window: the time window.
        count: how many scores to take; rows without a score do not count.

    Returns:
        None where there is no score within `LOOK_BACK` windows.

    Raises:
        LogError: the log as a whole cannot be read.
    """
    newest = _Scores(np.empty(0, np.int64), np.empty(0))
    for part in _backwards(window):
        for file in files_of_window(log, base_dir, part):
            newest = _with_file(newest, file, log, part, count)
        if newest.scores.size >= count:
            break
    if not newest.scores.size:
        return None
    oldest = _EPOCH + timedelta(microseconds=int(newest.times[0]))
    return NewestScores(count, Window(oldest, window.end), profile_column(pa.array(newest.scores), cells))


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Scores(NamedTuple):
    """Scores in order of time."""

    times: NDArray[np.int64]
    """Microseconds since 1970."""
    scores: NDArray[np.float64]

    def merge(self, other: "_Scores", count: int) -> "_Scores":
        """The newest of both; of equally old ones those of the other count as newer."""
        times, scores = np.append(self.times, other.times), np.append(self.scores, other.scores)
        order = np.argsort(times, kind="stable")[-count:]
        return _Scores(times[order], scores[order])


def _backwards(window: Window) -> Iterator[Window]:
    """The window itself, then stretches before it, each as long as all later ones together."""
    yield window
    length, searched = window.end - window.start, 1
    while searched < LOOK_BACK:
        yield Window(window.end - 2 * searched * length, window.end - searched * length)
        searched *= 2


def _with_file(
    newest: _Scores, file: StoredFile | SqlTable | FileProblem, log: PredictionLog, window: Window, count: int
) -> _Scores:
    """Add the scores of a file; one that breaks half way counts not at all."""
    if isinstance(file, FileProblem) or log.score is None:
        return newest
    merged = newest
    try:
        for chunk in read_file(file, log.format, {log.score: FeatureType.FLOAT}, log.timestamp, window):
            if isinstance(chunk, Chunk):
                merged = merged.merge(_timed_scores(chunk, log.score), count)
    except BrokenFileError:
        return newest
    return merged


def _timed_scores(chunk: Chunk, score: str) -> _Scores:
    """When each score of a chunk was given; none where the column holds something else."""
    nothing = _Scores(np.empty(0, np.int64), np.empty(0))
    column = chunk.columns.get(score)
    if column is None or chunk.times is None:
        return nothing
    present = column.is_valid()
    try:
        scores = numbers(column.filter(present), FeatureType.FLOAT).astype(np.float64)
    except ColumnTypeError:
        return nothing
    times = epoch_microseconds(chunk.times.filter(present)).to_numpy()
    kept = ~np.isnan(scores)
    return _Scores(times[kept], scores[kept])
