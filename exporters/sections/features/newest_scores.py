"""The count window of the prediction monitor: the newest scores up to a moment, however long ago they were given.

Where traffic is low an hour holds too few scores to judge; where it is high, 10,000 scores are minutes. The window is
read back from the log in steps that double, so that a quiet system costs few more walks than a busy one. A file that a
step opens is read for all steps to come.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mlvitals.exporters.parts import FileProblem, Window
from mlvitals.exporters.reading.columns import ColumnTypeError, epoch_microseconds, numbers
from mlvitals.exporters.reading.ids import DistinctRows
from mlvitals.exporters.reading.log import Plan
from mlvitals.exporters.reading.scan import Chunk
from mlvitals.exporters.reading.sources import Reader
from mlvitals.exporters.statistics.cells import Cells
from mlvitals.exporters.statistics.profile import FeatureProfile, profile_column
from mlvitals.generator.spec.model import FeatureType

_MOST_IDS = 1 << 20
"""Distinct ids remembered of each part of the past, 8 MB."""
LOOK_BACK = 32
"""Number of lengths of the time window that are searched at most."""


class NewestScores(NamedTuple):
    """The counts of the newest scores."""

    wanted: int
    window: Window
    """From the oldest score counted to the end of the time window."""
    profile: FeatureProfile


def newest_scores(
    score: str, cells: Cells, window: Window, count: int, ids: str | None = None
) -> Plan[NewestScores | None]:
    """Count the newest scores that were given before a window's end.

    Files that cannot be read are left out: the measurement of the time window reports them.

    Args:
        score: the log's column of scores.
        ids: its column of ids, of which each counts once; None: every row counts.
        cells: the score's cells, from its reference.
        window: the time window.
        count: how many scores to take; rows without a score do not count.

    Returns:
        None where there is no score within `LOOK_BACK` windows.
    """
    readers = [
        _ScoreReader(score, part, count, DistinctRows(ids, _MOST_IDS), patient=step > 0)
        for step, part in enumerate(_backwards(window))
    ]
    for step, reader in enumerate(readers):
        reader.patient = False
        # Those of older parts wait for files that are opened now; a busy window does not even need that.
        yield readers[step:] if step else [reader]
        if sum(len(of_part.newest.times) for of_part in readers[: step + 1]) >= count:
            break
    newest = [reader.newest for reader in reversed(readers)]
    found = _Scores(*(np.concatenate(columns)[-count:] for columns in zip(*newest, strict=True)))
    if not found.scores.size:
        return None
    oldest = _EPOCH + timedelta(microseconds=int(found.times[0]))
    return NewestScores(count, Window(oldest, window.end), found.profile(cells))


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _backwards(window: Window) -> Iterator[Window]:
    """Yield the window itself, then intervals before it, each as long as all later ones together."""
    yield window
    length, searched = window.end - window.start, 1
    while searched < LOOK_BACK:
        yield Window(window.end - 2 * searched * length, window.end - searched * length)
        searched *= 2


class _Scores(NamedTuple):
    """The times of scores, in microseconds since 1970, the scores, and which were written in single precision."""

    times: NDArray[np.int64]
    scores: NDArray[np.float64]
    single: NDArray[np.bool_]

    def joined(self, other: "_Scores") -> "_Scores":
        """Return both, one after the other."""
        return _Scores(
            np.append(self.times, other.times),
            np.append(self.scores, other.scores),
            np.append(self.single, other.single),
        )

    def take(self, places: NDArray[np.intp]) -> "_Scores":
        """Return the scores at some places."""
        return _Scores(self.times[places], self.scores[places], self.single[places])

    def profile(self, cells: Cells) -> FeatureProfile:
        """Count the scores in the precision in which they were written, as the time window counts the same rows."""
        single = self.scores[self.single].astype(np.float32)
        parts = (pa.array(self.scores[~self.single]), pa.array(single))
        return profile_column(parts[0], cells).merge(profile_column(parts[1], cells))


_NO_SCORES = _Scores(np.empty(0, np.int64), np.empty(0), np.empty(0, np.bool_))


class _ScoreReader(Reader):
    """Keeps the newest scores of one part of the past.

    Of equally old ones those of later files and rows count as newer, in the order in which folders list files: that in
    which a patient reader gets them is another one.
    """

    def __init__(self, score: str, part: Window, count: int, distinct: DistinctRows, *, patient: bool) -> None:
        super().__init__({**distinct.columns, score: FeatureType.FLOAT}, part, patient=patient)
        self._score = score
        self._distinct = distinct
        self._count = count
        self._of_file = _NO_SCORES
        self._paths: list[list[str]] = []
        self._path = ""
        self._files = np.empty(0, np.int64)
        """For each score, the place of its file in `_paths`."""
        self.newest = _NO_SCORES

    def add(self, chunk: Chunk) -> None:
        """Add the scores of some rows."""
        self._path = chunk.path
        both = self._of_file.joined(_timed_scores(self._distinct.of(chunk), self._score))
        self._of_file = both.take(np.argsort(both.times, kind="stable")[-self._count :])

    def end_file(self, problems: Sequence[FileProblem], *, broken: bool) -> None:
        """Count the scores of a file, where it does not break half way."""
        self._distinct.end_file(broken=broken)
        found, self._of_file = self._of_file, _NO_SCORES
        if broken or not found.times.size:
            return
        self._paths.append(self._path.split("/"))
        both = self.newest.joined(found)
        files = np.append(self._files, np.full(found.times.size, len(self._paths) - 1))
        newest = np.lexsort((self._ranks()[files], both.times))[-self._count :]
        self.newest, self._files = both.take(newest), files[newest]

    def _ranks(self) -> NDArray[np.int64]:
        """Return the place of each file among all, as folders list them."""
        ranks = np.empty(len(self._paths), np.int64)
        ranks[sorted(range(len(self._paths)), key=self._paths.__getitem__)] = np.arange(len(self._paths))
        return ranks


def _timed_scores(chunk: Chunk, score: str) -> _Scores:
    """Return when each score of a chunk was given; none where the column holds something else."""
    column = chunk.columns.get(score)
    if column is None or chunk.times is None:
        return _NO_SCORES
    present = column.is_valid()
    try:
        scores = numbers(column.filter(present), FeatureType.FLOAT)
    except ColumnTypeError:
        return _NO_SCORES
    times = epoch_microseconds(chunk.times.filter(present)).to_numpy()
    kept = ~np.isnan(scores)
    single = np.full(int(kept.sum()), scores.dtype == np.float32)
    return _Scores(times[kept], scores[kept].astype(np.float64), single)
