"""The tally of one of several worker processes: a file that the others read.

The file is mapped into memory, in a folder that all workers of an application share: counting costs a store into
memory, and nothing is lost when a worker is killed. Whoever is scraped reads the files of all, waiting for nobody. A
worker holds a lock on its file for as long as it lives, so that the living differ from the dead whatever their
process ids. A worker that starts folds the counts of the dead into one file.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
from array import array
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from time import monotonic, sleep
from typing import Annotated, TypeAlias

import msgspec

from mlvitals.exporters.serving.tallies import Reading, Series, Tally, merge
from mlvitals.generator.atomic import replacing
from mlvitals.generator.contract import MetricType

_NUMBER = 8
"""Bytes."""
_GROWTH = 4096
"""Floats by which a worker's file grows."""
_ENDED = "ended.msgpack"
_SPARE = 1024
"""Floats at the end of the file that no series has: where counts go that cannot be stored. Wider than any histogram."""
_LONGEST_WAIT = 2.0
"""Seconds that a worker that starts waits for another that does."""

_Line: TypeAlias = tuple[
    Annotated[int, msgspec.Meta(ge=0)], str, tuple[str, ...], MetricType, Annotated[int, msgspec.Meta(ge=1, le=_SPARE)]
]
"""The place where a series starts, and the series. With its own place, a line is usable without those before it."""


class _Ended(msgspec.Struct, frozen=True):
    """The counts of workers that have ended, together."""

    folded: tuple[str, ...] = ()
    """Names of the files that are in it. One that is still there was not removed in time, and counts no more."""
    counts: tuple[tuple[str, tuple[str, ...], MetricType, tuple[float, ...]], ...] = ()

    def values(self) -> dict[Series, tuple[float, ...]]:
        """Return the counts by series."""
        return {Series(family, labels, kind, len(numbers)): numbers for family, labels, kind, numbers in self.counts}


class WorkerTally(Tally):
    """The numbers of one of several processes.

    Counts of workers that have ended stay, so that counters never fall. Where no worker is left, counting starts anew.
    A series for which there is no room on the disk counts into nowhere, and `unstored` says so.

    Args:
        folder: shared by the workers of one application and used for nothing else; made where it is missing.

    Raises:
        OSError: the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        with _alone_in(folder):
            self.name = _free_name(folder, _fold(folder))
            self._path = folder / f"{self.name}.series"
            self._end = 0
            self._numbers = _new_file(_values_of(self._path))
            try:
                self._map(_SPARE)
                self._names = _new_claimed(self._path)
            except OSError:
                os.close(self._numbers)
                _values_of(self._path).unlink(missing_ok=True)
                raise

    def place(self, series: Series) -> int:
        """Return where the numbers of a series start; where it cannot be stored, a place that is never shown."""
        try:
            return super().place(series)
        except OSError:
            self.unstored += 1
            return len(self.values) - _SPARE

    def readings(self) -> list[Reading]:
        """Return what this worker, every other one, and those before them have counted."""
        return [Reading(True, self.own()), *stored(self._folder, besides=self._path)]

    def all_series(self) -> frozenset[Series]:
        """Return the series of this worker, every other one, and those before them."""
        return super().all_series().union(*(reading.values for reading in stored(self._folder, besides=self._path)))

    def problem(self) -> str:
        """Return why the others do not see what is counted here: somebody removed the files."""
        there = all(os.fstat(file).st_nlink for file in (self._names, self._numbers))
        return "" if there else f"{self._path}: was removed"

    def abandon(self) -> None:
        """Let go of the file in a forked process; the parent keeps its lock."""
        os.close(self._names)
        os.close(self._numbers)

    def _add(self, series: Series, place: int) -> None:
        if place + series.width + _SPARE > len(self.values):
            self._map(place + series.width + _SPARE)
        self.values[place : place + series.width] = array("d", bytes(series.width * _NUMBER))  # it may have been spare
        self._append(msgspec.json.encode((place, *series)) + b"\n")

    def _append(self, line: bytes) -> None:
        """Write a line, whole or not at all, after the last that this worker wrote."""
        if os.fstat(self._names).st_size != self._end:
            os.ftruncate(self._names, self._end)
        if (written := os.write(self._names, line)) != len(line):
            os.ftruncate(self._names, self._end)
            raise OSError(errno.ENOSPC, f"only {written} of {len(line)} bytes were written", str(self._path))
        self._end += len(line)

    def _map(self, numbers: int) -> None:
        """Map the file, grown so that it holds that many numbers."""
        size = -(-numbers // _GROWTH) * _GROWTH * _NUMBER
        # Written and not only reserved: a full disk is an error here, and no crash at the first count.
        while missing := max(0, size - os.fstat(self._numbers).st_size):
            os.write(self._numbers, bytes(missing))
        self.values = memoryview(mmap.mmap(self._numbers, size)).cast("d")


class UnstoredTally(Tally):
    """The numbers of a worker whose folder cannot be written, until it can.

    It shows what the others have stored, as they do: counters that are more at one worker than at another would be seen
    to fall and rise with each scrape. Where nothing is stored at all, it shows its own.
    """

    def __init__(self, folder: Path, error: OSError) -> None:
        super().__init__()
        self._folder = folder
        self._problem = f"{folder}: {error.strerror or error}"
        self.unstored = 1

    def readings(self) -> list[Reading]:
        """Return what the workers have stored, or else what this one has counted."""
        found = stored(self._folder)
        return found if any(reading.values for reading in found) else [*found, *super().readings()]

    def problem(self) -> str:
        """Return why the folder could not be written."""
        return self._problem


# ---------------------------------------------------------------- reading


def stored(folder: Path, besides: Path | None = None) -> list[Reading]:
    """Return what all workers of a folder, alive or ended, have counted; unreadable files are left out and counted."""
    found = {path.stem: _try_to_read(path) for path in sorted(folder.glob("*.series")) if path != besides}
    # After the files: one that is folded meanwhile is found there, or here, and never in both.
    ended, unreadable = _read_ended(folder)
    readings = [reading for name, reading in found.items() if reading is not None and name not in ended.folded]
    return [*readings, Reading(False, ended.values(), unreadable)] if ended.counts or unreadable else readings


def _try_to_read(path: Path) -> Reading | None:
    """Return what a worker's file holds; None where it is gone."""
    try:
        return _read(path)
    except FileNotFoundError:
        return None
    except OSError:
        return Reading(False, {}, unreadable=1)


def _read(path: Path) -> Reading:
    with path.open("rb") as file:
        live = _is_claimed(file.fileno())
        lines = file.read().split(b"\n")[:-1]  # what follows the last is being written, or its writer was killed
    numbers = _values_of(path).read_bytes()
    values = memoryview(numbers[: len(numbers) // _NUMBER * _NUMBER]).cast("d")
    found = dict(_series_of(lines, values))
    return Reading(live, found, unreadable=len(lines) - len(found))


def _series_of(lines: Iterable[bytes], values: memoryview[float]) -> Iterator[tuple[Series, tuple[float, ...]]]:
    for line in lines:
        with suppress(msgspec.MsgspecError, ValueError):
            place, *fields = msgspec.json.decode(line, type=_Line)
            series = Series(*fields)
            numbers = tuple(values[place : place + series.width])
            if len(numbers) == series.width:
                yield series, numbers


def _read_ended(folder: Path) -> tuple[_Ended, int]:
    """Return what the workers that have ended left, and 1 where it cannot be read."""
    try:
        return msgspec.msgpack.decode((folder / _ENDED).read_bytes(), type=_Ended), 0
    except (FileNotFoundError, NotADirectoryError):
        return _Ended(), 0
    except (OSError, msgspec.MsgspecError, ValueError):
        return _Ended(), 1


def _values_of(names: Path) -> Path:
    return names.with_suffix(".values")


# ---------------------------------------------------------------- starting


def _fold(folder: Path) -> tuple[str, ...]:
    """Fold the files of workers that have ended, and return the names used up. Where all have, all files go."""
    _remove_unfinished(folder)
    paths = sorted(folder.glob("*.series"))
    dead = [path for path in paths if _is_dead(path)]
    if len(dead) == len(paths):
        _remove(dead)
        (folder / _ENDED).unlink(missing_ok=True)
        return ()
    ended, _ = _read_ended(folder)
    new = {path: reading for path in dead if path.stem not in ended.folded and (reading := _try_to_read(path))}
    _remove(path for path in dead if path not in new)
    if not new:
        return ended.folded
    names = tuple(path.stem for path in new)
    try:
        _write_ended(folder, names, merge([Reading(False, ended.values()), *new.values()]))
    except OSError:  # no room: the files stay as they are, and are read as before
        return ended.folded
    _remove(new)
    return names


def _remove_unfinished(folder: Path) -> None:
    """Remove what workers that were killed while they started left behind."""
    for pattern in ("*.new", f".{_ENDED}.*.tmp"):
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)


def _write_ended(folder: Path, folded: tuple[str, ...], values: Mapping[Series, tuple[float, ...]]) -> None:
    counts = tuple((series.family, series.labels, series.type, numbers) for series, numbers in values.items())
    with replacing(folder / _ENDED) as file:
        file.write(msgspec.msgpack.encode(_Ended(folded, counts)))


def _remove(files: Iterable[Path]) -> None:
    for path in files:
        path.unlink(missing_ok=True)
        _values_of(path).unlink(missing_ok=True)


def _free_name(folder: Path, used_up: Iterable[str]) -> str:
    taken = {*used_up, *(path.stem for path in folder.glob("*.series"))}
    return next(name for name in map(str, count()) if name not in taken)


def _is_dead(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return not _is_claimed(file.fileno())
    except OSError:
        return False


def _is_claimed(file: int) -> bool:
    """True if a living worker has the file. To ask disturbs nobody: the lock that tries is a shared one."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(file, fcntl.LOCK_UN)  # also where a process forked meanwhile has it open too
    return False


def _new_file(path: Path) -> int:
    """Return a new file to append to, in place of one that somebody may still have mapped."""
    path.unlink(missing_ok=True)
    return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o666)


def _new_claimed(path: Path) -> int:
    """Return a new file, locked for as long as it is open; nobody sees it before it is."""
    unseen = path.with_suffix(".new")
    file = _new_file(unseen)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        unseen.replace(path)
    except OSError:
        os.close(file)
        raise
    return file


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Wait until no other worker starts.

    Raises:
        OSError: that takes too long, or the folder cannot be written.
    """
    deadline = monotonic() + _LONGEST_WAIT
    file = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if monotonic() > deadline:
                    raise
                sleep(0.005)
        yield
    finally:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_UN)  # also where a process forked meanwhile has it open too
        os.close(file)
