"""The files that belong to an interval: a walk through a folder that leaves out partitions outside it.

Partitions are folders named ``key=value``. Days and hours among them are UTC and written as ``date=2026-03-03``
or ``year=2026/month=3/day=3``, each optionally with ``hour=0`` to ``hour=23``. Folders named in local time lose
nothing in silence either: they are found, or `mlvitals.exporters.reading.log` reports a folder with no row of its hour.
Values of partitions are written as Hive writes them: escaped by percent signs, and `__HIVE_DEFAULT_PARTITION__` for null.

A file counts once, whatever links lead to it. Folders of a table format (Delta, Iceberg, Hudi) are refused: their files
hold rows that were deleted or replaced, and only their own logs say which.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple, TypeAlias
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.fs as pafs

from mlvitals.exporters.parts import FileProblem, Window
from mlvitals.exporters.paths import plain, shown

ARRIVAL_SLACK = timedelta(hours=1)
"""A writer that partitions by time of arrival puts late rows into a folder that starts after they happened."""
WIDEST_OFFSET = timedelta(hours=15)
"""No zone is further from UTC."""
_HOUR = timedelta(hours=1)
_HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"
_EXPORT = "its files also hold rows that were deleted or replaced; export it as plain files, or read it by SQL"


Partition: TypeAlias = Mapping[str, str | None]
"""The values that the names of folders give, by key; None where one stands for null."""


class TableError(OSError):
    """A folder that is a table of a format with a log of its own; the message says so and what to do."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file, the partition it lies in, and when it was last written."""

    filesystem: pafs.FileSystem
    path: str
    modified: datetime
    partition: Partition = field(default_factory=dict)
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
    """A folder that cannot be listed, or something in one that cannot be read, and the partition it stands for."""

    problem: FileProblem
    partition: Partition


Keep = Callable[[Partition], bool]
Report = Callable[[ClosedFolder], None]
Listing = Callable[[str], Iterable[pafs.FileInfo]]
"""The contents of a folder, in any order."""


def keep_all(_: Partition) -> bool:
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

    def keep(partition: Partition) -> bool:
        span = partition_span(partition)
        if span is None:
            return True
        early = late = WIDEST_OFFSET
        if span.end - span.start == _HOUR:
            early = min(max(length - _HOUR, timedelta(0)), WIDEST_OFFSET)
            late = min(max(length, ARRIVAL_SLACK), WIDEST_OFFSET)
        return span.end > window.start - early and span.start < window.end + late

    return keep


def partition_span(partition: Partition) -> Window | None:
    """Return the day or hour that a partition stands for, or None where its keys do not say."""
    known = {key: value for key, value in partition.items() if value is not None}
    try:
        if "date" in known:
            day = date.fromisoformat(known["date"])
        else:
            day = date(int(known["year"]), int(known["month"]), int(known["day"]))
        begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
        if "hour" not in partition:
            return Window(begin, begin + timedelta(days=1))
        begin = begin.replace(hour=int(known["hour"]))
        return Window(begin, begin + timedelta(hours=1))
    except (KeyError, ValueError, OverflowError):
        return None


class _Contents(NamedTuple):
    """The contents of a folder, each in order of path."""

    entries: list[pafs.FileInfo]
    """Files and folders."""
    links: list[pafs.FileInfo]
    """Links to files and folders."""
    problems: list[FileProblem]
    """Those that are neither."""


class Tree:
    """The files at or below a root. Each folder is listed once, however often the tree is walked.

    Hidden files and folders (a name that starts with ``.`` or ``_``, unless it is a partition's) and files still being
    written (``.tmp``) are left out.

    Args:
        filesystem: where the root lies.
        root: a file or a folder.
        tables: take the files of table formats, deleted rows and all.
    """

    def __init__(self, filesystem: pafs.FileSystem, root: str, *, tables: bool = False) -> None:
        self._filesystem = filesystem
        self._root = root
        self._tables = tables
        self._is_local = filesystem.type_name == "local"
        self._listing: Listing | None = None
        self._listed: dict[str, _Contents] = {}

    def walk(self, keep: Keep = keep_all, closed: Report = pass_over) -> Iterator[StoredFile]:
        """Yield every file in order of path, those that only links lead to last.

        A folder that cannot be listed, and what is neither file nor folder, is reported to `closed`, and is not fatal.

        Raises:
            FileNotFoundError: there is nothing at the root.
            OSError: the root itself cannot be read, or is a table.
        """
        info = self._filesystem.get_file_info(self._root)
        if info.type == pafs.FileType.NotFound:
            raise FileNotFoundError(f"{self._root} does not exist")
        if info.type == pafs.FileType.File:
            yield _stored(self._filesystem, info, {})
        elif info.type != pafs.FileType.Directory:
            raise OSError(f"it {_NEITHER}")
        else:
            yield from _Walk(self, keep, closed).files(self._root)

    def contents(self, folder: str) -> _Contents:
        """Return what a folder holds.

        Raises:
            OSError: it cannot be listed, or is a table.
        """
        if folder not in self._listed:
            if self._listing is None:
                self._listing = _listing(self._filesystem, self._root)
            listed = list(self._listing(folder))
            everything = [entry for entry in listed if _has_name(entry)]
            if not self._tables:
                self._refuse_table(everything)
            visible = sorted(
                (entry for entry in everything if not is_left_out(entry.base_name)), key=lambda entry: entry.path
            )
            links, problems = self._links(folder, everything) if self._is_local else (set(), [])
            if (nameless := len(listed) - len(everything)) and not self._is_local:
                reason = (
                    f"holds {nameless} files or folders whose names are not UTF-8, which cannot be read: rename them"
                )
                problems.append(FileProblem(path=folder, problem=reason))
            self._listed[folder] = _Contents(
                [entry for entry in visible if entry.type in _READABLE and entry.base_name not in links],
                [entry for entry in visible if entry.type in _READABLE and entry.base_name in links],
                problems,
            )
        return self._listed[folder]

    def stored(self, info: pafs.FileInfo, partition: Partition) -> StoredFile:
        """Return a file of the tree."""
        return _stored(self._filesystem, info, partition)

    def _refuse_table(self, entries: Iterable[pafs.FileInfo]) -> None:
        folders = {entry.base_name: entry.path for entry in entries if entry.type == pafs.FileType.Directory}
        for name, title in {"_delta_log": "a Delta", ".hoodie": "a Hudi"}.items():
            if name in folders:
                raise TableError(f"it is {title} table ({name}/): {_EXPORT}")
        if "metadata" in folders and self._listing is not None:
            inside = (entry.base_name for entry in self._listing(folders["metadata"]))
            if any(".metadata.json" in name for name in inside):
                raise TableError(f"it is an Iceberg table (metadata/*.metadata.json): {_EXPORT}")

    def _links(self, folder: str, entries: Iterable[pafs.FileInfo]) -> tuple[set[str], list[FileProblem]]:
        """Return which entries of a local folder are links, and what is wrong with others: Arrow lists no broken link."""
        listed = {entry.base_name: entry.type for entry in entries}
        links, problems = set[str](), []
        with os.scandir(folder) as found:
            for entry in sorted(found, key=lambda entry: entry.name):
                if is_left_out(entry.name):
                    continue
                if shown(entry.name) != entry.name:
                    path = os.fsencode(entry.path).decode("utf-8", "backslashreplace")
                    problems.append(FileProblem(path=path, problem="has a name that is not UTF-8: rename it"))
                    continue
                if entry.is_symlink():
                    links.add(entry.name)
                if listed.get(entry.name) == pafs.FileType.Unknown:
                    problems.append(FileProblem(path=entry.path, problem=_NEITHER))
                elif entry.is_symlink() and not Path(entry.path).exists():
                    problems.append(FileProblem(path=entry.path, problem="is a link that leads nowhere"))
        return links, problems


def _has_name(entry: pafs.FileInfo) -> bool:
    """True if Arrow can name, and thereby open, what it lists."""
    try:
        return bool(entry.base_name)
    except UnicodeDecodeError:
        return False


_READABLE = (pafs.FileType.File, pafs.FileType.Directory)
_NEITHER = "is neither a file nor a folder, but a pipe, a socket or a device"


class _Walk:
    """One walk through a tree: real files and folders at their places, then what only links lead to, each once."""

    def __init__(self, tree: Tree, keep: Keep, closed: Report) -> None:
        self._tree = tree
        self._keep = keep
        self._closed = closed
        self._links: deque[tuple[pafs.FileInfo, Partition]] = deque()
        self._walked: list[Path] = []
        """Folders walked by their real paths, with all below them; and files that links lead to."""

    def files(self, root: str) -> Iterator[StoredFile]:
        """Yield all files below a root."""
        contents = self._tree.contents(root)
        yield from self._inside(contents, {})
        if not self._links:
            return
        self._walked.append(Path(root).resolve())
        while self._links:
            link, partition = self._links.popleft()
            yield from self._follow(link, partition)

    def _inside(self, contents: _Contents, partition: Partition, *, linked: bool = False) -> Iterator[StoredFile]:
        for problem in contents.problems:
            self._closed(ClosedFolder(problem, partition))
        self._links += ((link, partition) for link in contents.links)
        for entry in contents.entries:
            if linked and self._was_walked(Path(entry.path).resolve(), below=True):
                continue
            if entry.type == pafs.FileType.Directory:
                yield from self._folder(entry, partition, linked=linked)
            else:
                yield self._tree.stored(entry, partition)

    def _folder(self, folder: pafs.FileInfo, partition: Partition, *, linked: bool = False) -> Iterator[StoredFile]:
        inner = {**partition, **_partition_of(folder.base_name)}
        if not self._keep(inner):
            return
        try:
            contents = self._tree.contents(folder.path)
        except (OSError, pa.ArrowException) as error:
            self._closed(ClosedFolder(FileProblem(path=folder.path, problem=f"folder {plain(error)}"), inner))
            return
        yield from self._inside(contents, inner, linked=linked)

    def _follow(self, link: pafs.FileInfo, partition: Partition) -> Iterator[StoredFile]:
        """Yield what a link leads to, where nothing else does."""
        target = Path(link.path).resolve()
        if link.type == pafs.FileType.Directory and Path(link.path).parent.resolve().is_relative_to(target):
            problem = "is a link to a folder that it lies in, whose files count once"
            self._closed(ClosedFolder(FileProblem(path=link.path, problem=problem), partition))
        elif self._was_walked(target):
            return
        elif link.type == pafs.FileType.Directory:
            yield from self._folder(link, partition, linked=True)
            self._walked.append(target)
        else:
            self._walked.append(target)
            yield self._tree.stored(link, partition)

    def _was_walked(self, place: Path, *, below: bool = False) -> bool:
        """True if a real path was walked at its own place; with `below`, only as a part of what a link leads to.

        What lies in a hidden folder is walked by links alone, such as `current -> .release-7`.
        """
        walked = (folder for folder in (self._walked[1:] if below else self._walked) if place.is_relative_to(folder))
        return any(not any(map(is_left_out, place.relative_to(folder).parts)) for folder in walked)


def is_left_out(name: str) -> bool:
    """True for the name of a hidden file or folder, or of a file still being written."""
    return name.startswith(".") or (name.startswith("_") and "=" not in name) or name.endswith(".tmp")


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


def _stored(filesystem: pafs.FileSystem, info: pafs.FileInfo, partition: Partition) -> StoredFile:
    # Some object stores do not say when an object was written; the earliest time never looks fresh.
    modified = datetime.fromtimestamp((info.mtime_ns or 0) / 1e9, UTC)
    return StoredFile(filesystem, info.path, modified, partition, info.size, info.mtime_ns)


def _partition_of(folder_name: str) -> Partition:
    key, separator, value = folder_name.partition("=")
    return {unquote(key): None if value == _HIVE_NULL else unquote(value)} if separator else {}
