"""Where reference artifacts are kept, version by version, and which version is in force."""

import os
import re
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from exporters.reference import ArtifactError, Reference, version_of

_VERSION = re.compile(r"[0-9a-f]{16}")
_ALIAS = re.compile(r"[a-z][a-z0-9_]{0,39}")
_ARTIFACT = "reference.json"
_ALIASES = "aliases"


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """A version in a store. Of one that cannot be read, `problem` says why and the figures are None."""

    version: str
    aliases: tuple[str, ...]
    created: datetime | None = None
    rows: int | None = None
    problem: str = ""


class ReferenceStore(Protocol):
    """Keeps the references of one system. Every method raises ArtifactError where it cannot do its task."""

    def save(self, reference: Reference) -> str:
        """Keep a reference and return its version. Saving the same one again changes nothing."""
        ...

    def load(self, version_or_alias: str) -> Reference:
        """The reference of a version, or of the version that an alias names."""
        ...

    def versions(self) -> list[StoredVersion]:
        """All versions, newest first; unreadable ones last."""
        ...

    def promote(self, version: str, alias: str) -> None:
        """Let an alias name a version from now on."""
        ...


class DirectoryStore:
    """A store in a folder: ``SYSTEM/VERSION/reference.json`` and ``SYSTEM/aliases/ALIAS``, which holds a version.

    A version is the hash of its artifact, so that writers cannot disagree on its content and damage shows on
    reading. Files appear by renaming a complete, flushed one: a reader sees the old state or the new one.
    """

    def __init__(self, path: Path, system: str) -> None:
        self.system = system
        self.folder = path / system

    def save(self, reference: Reference) -> str:
        """Keep a reference and return its version. Saving the same one again mends a damaged copy.

        Raises:
            ArtifactError: the reference is of another system, or the folder cannot be written.
        """
        if reference.system != self.system:
            raise ArtifactError(
                f"the reference is of system {reference.system}, this store keeps those of {self.system}"
            )
        self._write(self._artifact(reference.version), reference.to_json())
        return reference.version

    def load(self, version_or_alias: str) -> Reference:
        """The reference of a version, or of the version that an alias names.

        Raises:
            ArtifactError: there is none, or it is damaged, of another schema version or of another system.
        """
        return self._read(version_or_alias if self._is_version(version_or_alias) else self._named(version_or_alias))

    def versions(self) -> list[StoredVersion]:
        """All versions, newest first; unreadable ones last, with their problem.

        Raises:
            ArtifactError: the folder cannot be read.
        """
        aliases = self._aliases()
        found = [
            self._described(version, tuple(alias for alias, target in aliases.items() if target == version))
            for version in self._entries(self.folder)
            if self._is_version(version)
        ]
        return sorted(found, key=lambda stored: (stored.created is None, -_age_key(stored), stored.version))

    def promote(self, version: str, alias: str) -> None:
        """Let an alias name a version from now on.

        Raises:
            ArtifactError: the version cannot be loaded, the alias is no name, or the folder cannot be written.
        """
        if not _ALIAS.fullmatch(alias) or self._is_version(alias):
            raise ArtifactError(f"{alias!r} cannot be an alias: use lower-case letters, digits and underscores")
        if not self._is_version(version):
            raise ArtifactError(f"{version!r} is not a version; `mlvitals reference list` shows them")
        self._read(version)
        self._write(self.folder / _ALIASES / alias, f"{version}\n".encode())

    def _read(self, version: str) -> Reference:
        path = self._artifact(version)
        try:
            text = path.read_bytes()
        except FileNotFoundError:
            raise ArtifactError(f"no reference {version} of {self.system} at {path}: {_REMEDY}") from None
        except OSError as error:
            raise ArtifactError(f"the reference at {path} cannot be read: {error.strerror}") from None
        if version_of(text) != version:
            raise ArtifactError(f"the reference at {path} is damaged: its content is not that of {version}: {_REMEDY}")
        try:
            reference = Reference.from_json(text)
        except ArtifactError as error:
            raise ArtifactError(f"{path}: {error}") from None
        if reference.system != self.system:
            raise ArtifactError(f"the reference at {path} is of system {reference.system}, not of {self.system}")
        return reference

    def _named(self, alias: str) -> str:
        path = self.folder / _ALIASES / alias
        version = self._aliases().get(alias)
        if version is None:
            raise ArtifactError(f"no reference of {self.system} is called {alias!r} in {self.folder}: {_REMEDY}")
        if not self._is_version(version):
            raise ArtifactError(f"the alias at {path} is damaged: promote a version to {alias!r} again")
        return version

    def _aliases(self) -> dict[str, str]:
        folder = self.folder / _ALIASES
        try:
            return {
                alias: (folder / alias).read_text("ascii", "replace").strip()
                for alias in self._entries(folder)
                if _ALIAS.fullmatch(alias)
            }
        except OSError as error:
            raise ArtifactError(f"the aliases in {folder} cannot be read: {error.strerror}") from None

    def _described(self, version: str, aliases: tuple[str, ...]) -> StoredVersion:
        try:
            reference = self._read(version)
        except ArtifactError as error:
            return StoredVersion(version, aliases, problem=str(error))
        return StoredVersion(version, aliases, created=reference.created, rows=reference.rows)

    def _artifact(self, version: str) -> Path:
        return self.folder / version / _ARTIFACT

    @staticmethod
    def _is_version(text: str) -> bool:
        return _VERSION.fullmatch(text) is not None

    @staticmethod
    def _entries(folder: Path) -> list[str]:
        try:
            return sorted(entry.name for entry in folder.iterdir())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise ArtifactError(f"the reference store {folder} cannot be read: {error.strerror}") from None

    @staticmethod
    def _write(path: Path, content: bytes) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_atomically(path, content)
        except OSError as error:
            raise ArtifactError(f"{path} cannot be written: {error.strerror}") from None


_REMEDY = "build one with `mlvitals reference build` and promote it with `mlvitals reference promote`"


def _age_key(stored: StoredVersion) -> float:
    return stored.created.timestamp() if stored.created else 0.0


def _write_atomically(path: Path, content: bytes) -> None:
    """Write beside the target, flush to disk, rename, and flush the folder, so that a crash leaves old or new."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def open_store(uri: str, base: Path, system: str) -> ReferenceStore:
    """The reference store of a system.

    Args:
        uri: a folder, or ``mlflow+URI``.
        base: where a relative folder starts, usually the spec's folder.
        system: the system's name.

    Raises:
        ArtifactError: there is no store of this kind.
    """
    if uri.startswith("mlflow+"):
        raise ArtifactError(f"{uri}: reference stores on MLflow are not available yet; set reference.store to a folder")
    if "://" in uri:
        raise ArtifactError(f"{uri}: a reference store is a folder; set reference.store to one")
    return DirectoryStore(base / uri, system)
