"""The common part of all reference stores: version names, aliases, and the checks before promotion."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from mlvitals.exporters.reference.artifact import ArtifactError, Reference, version_of

_VERSION = re.compile(r"[0-9a-f]{16}")
_ALIAS = re.compile(r"[a-z][a-z0-9_]{0,39}")


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """A version in a store. Of one that cannot be read, `problem` says why and the other fields are None."""

    version: str
    aliases: tuple[str, ...]
    created: datetime | None = None
    rows: int | None = None
    model_version: str | None = None
    problem: str = ""


class ReferenceStore(Protocol):
    """Keeps the references of one system. Every method raises ArtifactError where it cannot do its task."""

    def save(self, reference: Reference) -> str:
        """Keep a reference and return its version. Saving the same one again changes nothing."""
        ...

    def load(self, version_or_alias: str) -> Reference:
        """Return the reference of a version, or of the version that an alias names."""
        ...

    def versions(self) -> list[StoredVersion]:
        """Return all versions, newest first; unreadable ones last."""
        ...

    def promote(self, version: str, alias: str) -> None:
        """Let an alias name a version from now on."""
        ...


REMEDY = "build one with `mlvitals reference build` and promote it with `mlvitals reference promote`"


def is_version(text: str) -> bool:
    """True if a text can be a version."""
    return _VERSION.fullmatch(text) is not None


def is_alias(text: str) -> bool:
    """True if a text can be an alias, and cannot be taken for a version."""
    return _ALIAS.fullmatch(text) is not None and not is_version(text)


def check_promotion(version: str, alias: str) -> None:
    """Refuse what cannot be an alias or a version.

    Raises:
        ArtifactError: with what is expected.
    """
    if not is_alias(alias):
        raise ArtifactError(f"{alias!r} cannot be an alias: use lower-case letters, digits and underscores")
    if not is_version(version):
        raise ArtifactError(f"{version!r} is not a version; `mlvitals reference list` shows them")


def artifact_to_keep(reference: Reference, system: str) -> tuple[bytes, str]:
    """Return the bytes to keep of a reference, and their version.

    Raises:
        ArtifactError: the reference is of another system.
    """
    if reference.system != system:
        raise ArtifactError(
            f"the reference is of system {reference.system}, this store keeps those of {system}: "
            f"build one from the spec of {system}"
        )
    artifact = reference.to_json()
    return artifact, version_of(artifact)


def sound_reference(artifact: bytes, version: str, system: str, place: str) -> Reference:
    """Return the reference that an artifact holds, if it is what it claims to be.

    Args:
        artifact: what the store holds.
        version: the version under which it is stored.
        system: the system whose reference it has to be.
        place: where it is, for messages.

    Raises:
        ArtifactError: it is damaged, of another schema version or of another system.
    """
    if version_of(artifact) != version:
        raise ArtifactError(f"the reference at {place} is damaged: its content is not that of {version}: {REMEDY}")
    try:
        reference = Reference.from_json(artifact)
    except ArtifactError as error:
        raise ArtifactError(f"{place}: {error}") from None
    if reference.system != system:
        raise ArtifactError(f"the reference at {place} is of system {reference.system}, not of {system}: {REMEDY}")
    return reference


def listed(
    versions: Iterable[str], aliases: Mapping[str, str], read: Callable[[str], Reference]
) -> list[StoredVersion]:
    """Describe versions, newest first; those that `read` refuses last, with their problem.

    Args:
        versions: all versions of a store, each once.
        aliases: by alias, its version.
        read: loads a version, or raises ArtifactError.
    """

    def described(version: str) -> StoredVersion:
        names = tuple(alias for alias, target in sorted(aliases.items()) if target == version)
        try:
            known = read(version)
        except ArtifactError as error:
            return StoredVersion(version, names, problem=str(error))
        return StoredVersion(version, names, created=known.created, rows=known.rows, model_version=known.model_version)

    def newest(stored: StoredVersion) -> tuple[bool, float, str]:
        return stored.created is None, -(stored.created.timestamp() if stored.created else 0.0), stored.version

    return sorted(map(described, versions), key=newest)
