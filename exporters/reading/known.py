"""The memory of files that were read before: which times they hold, so that no window opens those of other times.

A file is known by its path, size and time of change: a file that was written again is another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from mlvitals.exporters.reading.files import StoredFile
from mlvitals.exporters.reading.scan import Extent

MOST_FILES = 100_000
"""Files remembered at most, about 30 MB. Further ones are read as if there were no memory."""


class FileFacts(msgspec.Struct, frozen=True, array_like=True):
    """The facts that one reading of a file gives all later ones, whatever their window."""

    size: int
    modified_ns: int
    extent: Extent
    rows: int
    malformed: int
    """Lines left out."""

    @property
    def timeless(self) -> int:
        """Return the number of rows without a time."""
        return self.extent.timeless


Facts: TypeAlias = Mapping[str, Mapping[str, FileFacts]]
"""By log, the facts of its files by path."""


class KnownFiles:
    """A bounded memory of files for the windows of one process, one after the other.

        known = KnownFiles()
        for window in windows:
            measure(..., window, known=known)
            known = KnownFiles(known.asked)

    It starts with what the window before it asked for, and `asked` is what to hand on: files that no window asks for
    any more are forgotten.
    """

    def __init__(self, earlier: Facts | None = None) -> None:
        self._earlier = earlier or {}
        self._room = MOST_FILES
        self.asked: dict[str, dict[str, FileFacts]] = {}
        self.disturbed = False
        """A file was changed while it was read, or went before it was: what was measured has to be measured again."""

    def of(self, log: str) -> KnownOfLog:
        """Return the part that is about one log."""
        return KnownOfLog(self, log)

    def find(self, log: str, path: str, size: int, modified_ns: int) -> FileFacts | None:
        """Return what is known of this state of a file."""
        for facts_of in (self.asked, self._earlier):
            facts = facts_of.get(log, {}).get(path)
            if facts is not None and (facts.size, facts.modified_ns) == (size, modified_ns):
                if facts_of is self._earlier:
                    self.remember(log, path, facts)
                return facts
        return None

    def remember(self, log: str, path: str, facts: FileFacts) -> None:
        """Keep what was learnt of a file, while there is room."""
        files = self.asked.setdefault(log, {})
        if path not in files:
            if not self._room:
                return
            self._room -= 1
        files[path] = facts


class KnownOfLog:
    """The facts known of the files of one log, while one window is measured."""

    def __init__(self, files: KnownFiles, log: str) -> None:
        self._files = files
        self._log = log
        self._distrusted: set[str] = set()

    def find(self, file: StoredFile) -> FileFacts | None:
        """Return what is known of a file as it is now; nothing where its store does not say when it changed."""
        if file.size is None or not file.modified_ns:
            return None
        return self._files.find(self._log, file.path, file.size, file.modified_ns)

    def learn(self, file: StoredFile, extent: Extent, rows: int, malformed: int) -> None:
        """Remember what a reading showed."""
        if file.size is None or not file.modified_ns or file.path in self._distrusted:
            return
        facts = FileFacts(file.size, file.modified_ns, extent, rows, malformed)
        self._files.remember(self._log, file.path, facts)

    def disturb(self) -> None:
        """Record that a file was changed while it was read."""
        self._files.disturbed = True

    def distrust(self, file: StoredFile) -> None:
        """Learn nothing of a file that somebody found broken, so that the next window finds it broken again."""
        self._distrusted.add(file.path)
