"""The files of a spec inside a container: the same relative paths, below a folder of their own.

What the exporter reads is mounted read-only from where it is; what it writes is a volume. A URL is reached as it is.
"""

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from mlvitals.generator.spec.model import Spec
from mlvitals.generator.spec.walk import fields, path_fields, sections

_SQLITE = re.compile(r"^sqlite(?:\+\w+)?:///(?P<file>[^?]+)")
_MLFLOW = "mlflow+"
_PASSED_BY = frozenset({"routing"})
"""Sections whose files Alertmanager reads, not the exporter."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A file or folder of the host in the container. A relative `source` starts at the spec's folder."""

    source: str
    target: str
    writable: bool = False
    is_secret: bool = False
    """True of the file of a password."""


@dataclass(frozen=True, slots=True)
class Mounts:
    """Where a spec is in its container, and what must be there with it."""

    spec: str
    """The path of the spec."""
    read: tuple[Mount, ...]
    written: tuple[str, ...]
    """Folders that the exporter writes to, each a volume."""


def mounts(spec: Spec, file_name: str) -> Mounts:
    """Return the mounts of a spec. `file_name` is that of the spec, without its folder."""
    read, written = dict(_read(spec)), _written(spec)
    root = PurePosixPath(f"/srv/{spec.slug}")
    # The folder of the spec is as deep as its paths lead upwards.
    depth = max(
        (path.split("/").count("..") for path in {*read, written or "."} if not path.startswith("/")), default=0
    )
    folder = root.joinpath(*["spec"] * depth)
    binds = [Mount(path, posixpath.normpath(folder / path), is_secret=secret) for path, secret in read.items()]
    kept = tuple(_outermost(sorted(binds, key=lambda bind: bind.target)))
    target = None if written is None else posixpath.normpath(folder / written)
    if target is not None and (around := next((bind for bind in kept if _is_within(target, bind.target)), None)):
        # A volume cannot lie in a folder that is mounted read-only: the results stay in the host's folder.
        kept = tuple(Mount(bind.source, bind.target, writable=True) if bind is around else bind for bind in kept)
        target = None
    spec_file = str(folder / file_name)
    own = () if any(_is_within(spec_file, bind.target) for bind in kept) else (Mount(file_name, spec_file),)
    return Mounts(spec_file, (*own, *kept), () if target is None else (target,))


def _read(spec: Spec) -> Iterator[tuple[str, bool]]:
    """Yield the local files and folders that the exporter reads, as the spec writes them, and True of secrets."""
    for path, section in sections(spec):
        if path[:1] and path[0] in _PASSED_BY:
            continue
        of_paths = {field.name for field in path_fields(type(section))}
        for field in fields(type(section)):
            value = getattr(section, field.name)
            if not isinstance(value, str) or (section is spec.results and field.name == "url"):
                continue
            if (database := _SQLITE.match(value.removeprefix(_MLFLOW))) is not None:
                yield posixpath.dirname(database["file"]) or ".", False
            elif field.name in of_paths and "://" not in value and not value.startswith(_MLFLOW):
                is_secret = field.name.endswith("_file")
                yield value if is_secret else _folder_of_a_file(value), is_secret


def _folder_of_a_file(path: str) -> str:
    """Return what to mount for a path: of a file its folder, for a file that is replaced would stay the old one."""
    is_file = "." in PurePosixPath(path).name.strip(".")
    return posixpath.dirname(path) or "." if is_file else posixpath.normpath(path)


def _written(spec: Spec) -> str | None:
    """Return the folder of the results, if they are in a file."""
    found = _SQLITE.match(spec.results.url)
    return (posixpath.dirname(found["file"]) or ".") if found and found["file"] != ":memory:" else None


def _outermost(binds: list[Mount]) -> Iterator[Mount]:
    """Yield the mounts that no other one contains; they come in order of their targets."""
    kept: list[Mount] = []
    for bind in binds:
        if not any(_is_within(bind.target, other.target) for other in kept):
            kept.append(bind)
            yield bind


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
