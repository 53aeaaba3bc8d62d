"""The files that belong to an interval: a walk through a folder that leaves out partitions outside it.

Partitions are folders named ``key=value``. Days and hours among them are UTC and written as ``date=2026-03-03``
or ``year=2026/month=3/day=3``, each optionally with ``hour=0`` to ``hour=23``. Folders named in local time lose
nothing in silence either: they are found, or `mlvitals.exporters.reading.log` reports a folder with no row of its hour.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.fs as pafs

from mlvitals.exporters.parts import FileProblem, Window
from mlvitals.exporters.paths import plain

ARRIVAL_SLACK = timedelta(hours=1)
"""A writer that partitions by time of arrival puts late rows into a folder that starts after they happened."""
WIDEST_OFFSET = timedelta(hours=15)
"""No zone is further from UTC."""
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file, the partition it lies in, and when it was last written."""

    filesystem: pafs.FileSystem
    path: str
    modified: datetime
    partition: Mapping[str, str] = field(default_factory=dict)
    size: int | None = None
    """In bytes, and the time of the last change to the nanosecond; None where the store does not say."""
    modified_ns: int | None = None

    def state(self, *, now: bool = True) -> FileState:
        """Return the file's state, or, of an object in a store, with `now` false, the one in which it was listed.

        Raises:
            OSError: it is gone.
        """
        if isinstance(self.filesystem, pafs.LocalFileSystem):
            status = Path(self.path).stat()
            return FileState((status.st_dev, status.st_ino), status.st_size, status.st_mtime_ns)
        if not now:
            return FileState(None, self.size, self.modified_ns)
        info = self.filesystem.get_file_info(self.path)
        return FileState(None, info.size, info.mtime_ns)


class FileState(NamedTuple):
    """The facts that distinguish the bytes of a file from those of another moment."""

    inode: tuple[int, int] | None
    """Of a local file, that and its device."""
    size: int | None
    modified_ns: int | None

    def is_disturbed(self, later: FileState, *, has_one_handle: bool) -> bool:
        """True if who read the file between the two may have seen parts of either.

        Who has one handle on a local file goes on reading the file that was there when another took its name. Others
        notice that. They may read on where only lines were added, for these come after what they read.
        """
        if self.inode is None or later.inode is None:
            return self != later
        if has_one_handle:
            return self.inode == later.inode and self != later
        return self.inode != later.inode or (later.size or 0) < (self.size or 0)


@dataclass(frozen=True, slots=True)
class ClosedFolder:
    """A folder that cannot be listed, and the partition it stands for."""

    problem: FileProblem
    partition: Mapping[str, str]


Keep = Callable[[Mapping[str, str]], bool]
Report = Callable[[ClosedFolder], None]
Listing = Callable[[str], Iterable[pafs.FileInfo]]
"""The contents of a folder, in any order."""


def keep_all(_: Mapping[str, str]) -> bool:
    """Walk into every partition."""
    return True


def pass_over(_: ClosedFolder) -> None:
    """Walk on as if the folder were not there."""


def within(window: Window) -> Keep:
    """Walk only into partitions that may hold rows of the window; one whose time is unknown may.

    The names of days may be off by any zone. Those of hours may be off by less than the window's length; further off,
    an hour inside the window holds none of the window's rows, which is reported.
    """
    length = window.end - window.start

    def keep(partition: Mapping[str, str]) -> bool:
        span = partition_span(partition)
        if span is None:
            return True
        early = late = WIDEST_OFFSET
        if span.end - span.start == _HOUR:
            early = min(max(length - _HOUR, timedelta(0)), WIDEST_OFFSET)
            late = min(max(length, ARRIVAL_SLACK), WIDEST_OFFSET)
        return span.end > window.start - early and span.start < window.end + late

    return keep


def partition_span(partition: Mapping[str, str]) -> Window | None:
    """Return the day or hour that a partition stands for, or None where its keys do not say."""
    try:
        if "date" in partition:
            day = date.fromisoformat(partition["date"])
        else:
            day = date(int(partition["year"]), int(partition["month"]), int(partition["day"]))
        begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
        if "hour" not in partition:
            return Window(begin, begin + timedelta(days=1))
        begin = begin.replace(hour=int(partition["hour"]))
        return Window(begin, begin + timedelta(hours=1))
    except (KeyError, ValueError, OverflowError):
        return None


class Tree:
    """The files at or below a root. Each folder is listed once, however often the tree is walked.

    Hidden files and folders (a name that starts with ``.`` or ``_``) and files still being written (``.tmp``)
    are left out.
    """

    def __init__(self, filesystem: pafs.FileSystem, root: str) -> None:
        self._filesystem = filesystem
        self._root = root
        self._listing: Listing | None = None
        self._listed: dict[str, list[pafs.FileInfo]] = {}
        self._nameless: dict[str, int] = {}
        """By folder, how many entries have names that are not UTF-8, by which Arrow opens nothing."""

    def walk(self, keep: Keep = keep_all, closed: Report = pass_over) -> Iterator[StoredFile]:
        """Yield every file in order of path; a folder that cannot be listed is reported to `closed`, and is not fatal.

        Raises:
            FileNotFoundError: there is nothing at the root.
            OSError: the root itself cannot be read.
        """
        info = self._filesystem.get_file_info(self._root)
        if info.type == pafs.FileType.NotFound:
            raise FileNotFoundError(f"{self._root} does not exist")
        if info.type == pafs.FileType.File:
            yield _stored(self._filesystem, info, {})
        else:
            yield from self._walk_folder(self._root, self._entries(self._root), {}, keep, closed)

    def _walk_folder(
        self,
        folder: str,
        entries: Iterable[pafs.FileInfo],
        partition: Mapping[str, str],
        keep: Keep,
        closed: Report,
    ) -> Iterator[StoredFile]:
        if nameless := self._nameless.get(folder):
            reason = f"holds {nameless} files or folders whose names are not UTF-8, which cannot be read: rename them"
            closed(ClosedFolder(FileProblem(path=folder, problem=reason), partition))
        for entry in entries:
            if entry.type == pafs.FileType.Directory:
                inner = {**partition, **_partition_of(entry.base_name)}
                if not keep(inner):
                    continue
                try:
                    inside = self._entries(entry.path)
                except (OSError, pa.ArrowException) as error:
                    problem = FileProblem(path=entry.path, problem=f"folder {plain(error)}")
                    closed(ClosedFolder(problem, inner))
                    continue
                yield from self._walk_folder(entry.path, inside, inner, keep, closed)
            elif entry.type == pafs.FileType.File:
                yield _stored(self._filesystem, entry, partition)

    def _entries(self, folder: str) -> list[pafs.FileInfo]:
        """Return what a folder holds, in order of path."""
        if folder not in self._listed:
            if self._listing is None:
                self._listing = _listing(self._filesystem, self._root)
            entries = list(self._listing(folder))
            named = [entry for entry in entries if _has_name(entry)]
            self._nameless[folder] = len(entries) - len(named)
            visible = (entry for entry in named if not _is_left_out(entry.base_name))
            self._listed[folder] = sorted(visible, key=lambda entry: entry.path)
        return self._listed[folder]


def _has_name(entry: pafs.FileInfo) -> bool:
    try:
        return bool(entry.path)
    except UnicodeDecodeError:
        return False


def _is_left_out(name: str) -> bool:
    return name.startswith((".", "_")) or name.endswith(".tmp")


def _listing(filesystem: pafs.FileSystem, root: str) -> Listing:
    """Return a function that lists the folders at and below `root`."""
    if filesystem.type_name == "gcs":
        return _by_names(filesystem.get_file_info(pafs.FileSelector(root, recursive=True)), root)
    return lambda folder: filesystem.get_file_info(pafs.FileSelector(folder))


def _by_names(objects: Iterable[pafs.FileInfo], root: str) -> Listing:
    """Return a function that lists folders as the names of objects imply them.

    Arrow lists a folder of Google's store only where an empty object marks it, which most writers do not make: a single
    list of all objects shows every folder.
    """
    inside: dict[str, dict[tuple[str, pafs.FileType], pafs.FileInfo]] = {}
    for entry in objects:
        while entry.path != root:
            parent = entry.path.rpartition("/")[0]
            is_known = parent in inside
            inside.setdefault(parent, {})[entry.path, entry.type] = entry
            if is_known:
                break
            entry = pafs.FileInfo(parent, pafs.FileType.Directory)  # noqa: PLW2901
    return lambda folder: inside.get(folder, {}).values()


def _stored(filesystem: pafs.FileSystem, info: pafs.FileInfo, partition: Mapping[str, str]) -> StoredFile:
    # Some object stores do not say when an object was written; the earliest time never looks fresh.
    modified = datetime.fromtimestamp((info.mtime_ns or 0) / 1e9, UTC)
    return StoredFile(filesystem, info.path, modified, partition, info.size, info.mtime_ns)


def _partition_of(folder_name: str) -> dict[str, str]:
    key, separator, value = folder_name.partition("=")
    return {unquote(key): unquote(value)} if separator else {}
