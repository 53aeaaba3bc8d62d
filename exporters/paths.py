"""The paths of a spec: a relative one starts at the spec's folder, a URL leads to its own file system."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from mlvitals.generator.errors import UserError, without_secrets

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

RETRY_LIMIT_SECONDS = 10
"""Seconds for which a request to Google's store is tried again."""
_GOOGLE_SCHEMES = ("gs://", "gcs://")
_RETRY_LIMIT = "retry_limit_seconds="
_GOOGLE_STATUS = re.compile(
    r"google::cloud::Status\((\w+): (?:.*?, with a last message of )?(.*?)(?: error_info=.*|\)?$)"
)
"""An error of Google's client: what it means, what its cause says, and where in the client's code it was."""


class PathError(UserError):
    """A path that leads nowhere: an unknown kind of URL, or a store that cannot be reached."""


def is_url(path: str) -> bool:
    """True if the path names its own file system, like ``s3://bucket/log``."""
    return "://" in path


def resolve(path: str, base_dir: Path) -> Path:
    """Return the absolute local path that a spec in `base_dir` means by `path`."""
    return (base_dir / path).absolute()


def locate(path: str, base_dir: Path) -> tuple[FileSystem, str]:
    """Return the file system that holds the path, and the path inside it.

    Raises:
        PathError: no file system for this URL, or it cannot be reached.
    """
    import pyarrow as pa  # noqa: PLC0415  (slow to import, and for who only resolves local paths in vain)
    import pyarrow.fs as pafs  # noqa: PLC0415

    if not is_url(path):
        local = str(resolve(path, base_dir))
        if shown(local) != local:
            raise PathError(f"{shown(local)}: a name in this path is not UTF-8; rename it")
        return pafs.LocalFileSystem(), local
    try:
        return pafs.FileSystem.from_uri(_with_retry_limit(path))
    except (OSError, pa.ArrowException) as error:
        raise PathError(f"{path}: {first_line(error)}") from error


def _with_retry_limit(url: str) -> str:
    """Limit the retries of Google's client: unless its URL says how long, it tries silently for 15 minutes."""
    if not url.startswith(_GOOGLE_SCHEMES) or _RETRY_LIMIT in url.partition("?")[2]:
        return url
    return f"{url}{'&' if '?' in url else '?'}{_RETRY_LIMIT}{RETRY_LIMIT_SECONDS}"


def read_secret(path: str, base_dir: Path) -> str:
    """Return the content of a secret's file, without the white space around it.

    Raises:
        PathError: the file cannot be read, or holds nothing.
    """
    file = resolve(path, base_dir)
    try:
        secret = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise PathError(f"{file}: {getattr(error, 'strerror', None) or 'not UTF-8 text'}") from error
    if not secret:
        raise PathError(f"{file}: is empty")
    return secret


def shown(text: str) -> str:
    """Return text as UTF-8 can hold it: a byte of a name that is none is written as its number."""
    return text.encode("utf-8", "backslashreplace").decode()


def first_line(error: BaseException) -> str:
    """Return what an exception says, on one line, without the secrets of addresses and without control characters.

    What a server answered may stand in it, and a terminal is not to obey that.
    """
    line = (shown(str(error)).strip() or type(error).__name__).splitlines()[0]
    line = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in line)
    status = _GOOGLE_STATUS.search(line)
    return without_secrets(f"{status[1]}: {status[2]}" if status else line)


def plain(error: BaseException) -> str:
    """Return what is wrong with a file, by an error of Arrow or the system, without the path that the caller knows."""
    if isinstance(error, OSError) and error.errno:
        return f"cannot be opened: {os.strerror(error.errno)}"
    return re.sub(
        r"^Could not open (\w+) input source '.*?': (Invalid: )?", r"cannot be read as \1: ", first_line(error)
    )
