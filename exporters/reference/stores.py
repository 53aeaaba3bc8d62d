"""Stores of reference artifacts: every version, and which version is active."""

import os
from pathlib import Path

from mlvitals.exporters.reference.artifact import ArtifactError, Reference
from mlvitals.exporters.reference.versions import (
    REMEDY,
    ReferenceStore,
    StoredVersion,
    artifact_to_keep,
    check_promotion,
    is_alias,
    is_version,
    listed,
    sound_reference,
)
from mlvitals.generator.atomic import replacing

_ARTIFACT = "reference.json"
_ALIASES = "aliases"


class DirectoryStore:
    """A store in a folder: ``SYSTEM/VERSION/reference.json`` and ``SYSTEM/aliases/ALIAS``, which holds a version.

    A version is the hash of its artifact, so that writers cannot disagree on its content and damage shows on
    reading. Files appear by renaming a complete, flushed one: a reader sees the old state or the new one.
    """

    def __init__(self, path: Path, system: str) -> None:
        self.system = system
        self.folder = path / system

    def save(self, reference: Reference) -> str:
        """Keep a reference and return its version. Saving the same one again fixes a damaged copy.

        Raises:
            ArtifactError: the reference is of another system, or the folder cannot be written.
        """
        artifact, version = artifact_to_keep(reference, self.system)
        self._write(self._artifact(version), artifact)
        return version

    def load(self, version_or_alias: str) -> Reference:
        """Return the reference of a version, or of the version that an alias names.

        Raises:
            ArtifactError: it is missing, damaged, of another schema version or of another system.
        """
        return self._read(version_or_alias if is_version(version_or_alias) else self._named(version_or_alias))

    def versions(self) -> list[StoredVersion]:
        """Return all versions, newest first; unreadable ones last, with their problem.

        Raises:
            ArtifactError: the folder cannot be read.
        """
        return listed(filter(self._is_stored, self._entries(self.folder)), self._aliases(), self._read)

    def promote(self, version: str, alias: str) -> None:
        """Let an alias name a version from now on.

        Raises:
            ArtifactError: the version cannot be loaded, the alias is no name, or the folder cannot be written.
        """
        check_promotion(version, alias)
        self._read(version)
        self._write(self.folder / _ALIASES / alias, f"{version}\n".encode())

    def _read(self, version: str) -> Reference:
        path = self._artifact(version)
        try:
            text = path.read_bytes()
        except FileNotFoundError:
            raise ArtifactError(f"no reference {version} of {self.system} at {path}: {REMEDY}") from None
        except OSError as error:
            raise ArtifactError(f"the reference at {path} cannot be read: {error.strerror}") from None
        return sound_reference(text, version, self.system, str(path))

    def _named(self, alias: str) -> str:
        path = self.folder / _ALIASES / alias
        version = self._aliases().get(alias)
        if version is None:
            raise ArtifactError(f"no reference of {self.system} is called {alias!r} in {self.folder}: {REMEDY}")
        if not is_version(version):
            raise ArtifactError(f"the alias at {path} is damaged: promote a version to {alias!r} again")
        return version

    def _aliases(self) -> dict[str, str]:
        folder = self.folder / _ALIASES
        try:
            return {
                alias: (folder / alias).read_text("ascii", "replace").strip()
                for alias in self._entries(folder)
                if is_alias(alias)
            }
        except OSError as error:
            raise ArtifactError(f"the aliases in {folder} cannot be read: {error.strerror}") from None

    def _is_stored(self, name: str) -> bool:
        """True if a folder is a version's; one that a writer died in before its artifact appeared is none."""
        if not is_version(name):
            return False
        try:
            return _ARTIFACT in os.listdir(self.folder / name)  # noqa: PTH208  (only the names)
        except OSError:
            return True

    def _artifact(self, version: str) -> Path:
        return self.folder / version / _ARTIFACT

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


def _write_atomically(path: Path, content: bytes) -> None:
    """Write next to the target, flush to disk, rename, and flush the folder, so that a crash leaves old or new."""
    with replacing(path) as file:
        file.write(content)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def open_store(uri: str, base: Path, system: str) -> ReferenceStore:
    """Return the reference store of a system.

    Args:
        uri: a folder, or ``mlflow+URI`` with a tracking URI of MLflow.
        base: where a relative folder or file starts, usually the spec's folder.
        system: the system's name.

    Raises:
        ArtifactError: there is no store of this kind, or MLflow is not installed.
    """
    if uri.startswith(_MLFLOW):
        try:
            from mlvitals.exporters.reference.mlflow import MlflowStore  # noqa: PLC0415  (an extra, and slow to import)
        except ImportError as error:
            raise ArtifactError(f"reference.store needs MLflow ({error}): pip install mlvitals[mlflow]") from None
        return MlflowStore(uri.removeprefix(_MLFLOW), base, system)
    if "://" in uri:
        raise ArtifactError(f"{uri}: a reference store is a folder or mlflow+URI; set reference.store to one of these")
    return DirectoryStore(base / uri, system)


_MLFLOW = "mlflow+"
