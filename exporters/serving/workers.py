"""The tally of one of several worker processes: a file that the others read.

The file is mapped into memory, in a folder that all workers of an application share: counting costs a store into
memory, and nothing is lost when a worker is killed. Whoever is scraped reads the files of all. A worker holds a lock
on its file for as long as it lives, so that the living are told from the dead whatever their process ids.
"""

from __future__ import annotations

import fcntl
import json
import mmap
import os
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from mlvitals.exporters.serving.tallies import Reading, Series, Tally
from mlvitals.generator.contract import MetricType

_NUMBER = 8
_GROWTH = 4096
"""Floats by which a worker's file grows."""


class WorkerTally(Tally):
    """The numbers of one of several processes.

    A worker that starts takes over the file of one that has ended, and counts on from there: counters never fall, and
    there are never more files than there were workers at once. Where no worker is left, it starts all anew.

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
            self._names = self._take_over() or _claimed(self._new_name())
            self._numbers = _values_of(Path(self._names.name)).open("a+b")
            self._places = _read_places(self._names)
            self._names.truncate(sum(map(len, map(_line, self._places))))
            self._map(self._next_place())
        for series, place in self._places.items():
            if series.type is MetricType.GAUGE:
                self.values[place : place + 2] = array("d", (0.0, 0.0))  # what the dead said holds no more

    def readings(self) -> list[Reading]:
        """What this worker, every other one, and those before them have counted."""
        with _alone_in(self._folder):
            others = [path for path in self._folder.glob("*.series") if path != Path(self._names.name)]
            return [Reading(True, self.own()), *map(_read, others)]

    def abandon(self) -> None:
        """Let go of the file in a forked process; the parent keeps its lock."""
        self._names.close()
        self._numbers.close()

    def _take_over(self) -> IO[bytes] | None:
        """The file of a worker that has ended. Where all have, the files are of an earlier run, and go."""
        found = [claim for path in sorted(self._folder.glob("*.series")) if (claim := _claim(path))]
        if len(found) == sum(1 for _ in self._folder.glob("*.series")):
            for claim in found:
                Path(claim.name).unlink()
                _values_of(Path(claim.name)).unlink(missing_ok=True)
                claim.close()
            return None
        for claim in found[1:]:
            _release(claim)
        return found[0] if found else None

    def _new_name(self) -> Path:
        taken = {path.stem for path in self._folder.glob("*.series")}
        return self._folder / f"{next(name for name in map(str, range(len(taken) + 1)) if name not in taken)}.series"

    def _add(self, series: Series, place: int) -> None:
        if place + series.width > len(self.values):
            self._map(place + series.width)
        os.write(self._names.fileno(), _line(series))

    def _map(self, numbers: int) -> None:
        """Map the file, grown so that it holds so many numbers."""
        size = -(-max(numbers, 1) // _GROWTH) * _GROWTH * _NUMBER
        # Written and not only reserved: a full disk is an error here, and no crash at the first count.
        self._numbers.write(bytes(max(0, size - os.fstat(self._numbers.fileno()).st_size)))
        self._numbers.flush()
        self.values = memoryview(mmap.mmap(self._numbers.fileno(), size)).cast("d")


def _read(path: Path) -> Reading:
    claim = _claim(path)
    names = claim or path.open("a+b")
    places = _read_places(names)
    stored = _values_of(path).read_bytes()
    _release(names)
    values = memoryview(stored[: len(stored) // _NUMBER * _NUMBER]).cast("d")
    found = {series: tuple(values[place : place + series.width]) for series, place in places.items()}
    return Reading(
        claim is None, {series: numbers for series, numbers in found.items() if len(numbers) == series.width}
    )


def _read_places(names: IO[bytes]) -> dict[Series, int]:
    """The series of a file and where each begins."""
    names.seek(0)
    places, place = {}, 0
    for line in names:
        if not line.endswith(b"\n"):  # it is being written, or its writer was killed
            break
        family, labels, kind, width = json.loads(line)
        places[Series(family, tuple(labels), MetricType(kind), width)] = place
        place += width
    return places


def _line(series: Series) -> bytes:
    return json.dumps([series.family, series.labels, series.type, series.width]).encode() + b"\n"


def _values_of(names: Path) -> Path:
    return names.with_suffix(".values")


def _claimed(path: Path) -> IO[bytes]:
    claim = _claim(path)
    assert claim is not None, "a new file is nobody's"
    return claim


def _claim(path: Path) -> IO[bytes] | None:
    """The file, locked for as long as it is open; None where a living worker has it."""
    file = path.open("a+b")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def _release(file: IO[bytes]) -> None:
    """Close a file and unlock it, also where a process forked meanwhile has it open too."""
    fcntl.flock(file, fcntl.LOCK_UN)
    file.close()


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Wait until no other worker starts or reads."""
    file = (folder / "lock").open("a+b")
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        _release(file)
