"""Where the paths of a spec lead: a relative one starts at the spec's folder, a URL leads to its own file system."""

import os
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.fs as pafs

from generator.errors import UserError


class PathError(UserError):
    """A path that leads nowhere: an unknown kind of URL, or a store that cannot be reached."""


def is_url(path: str) -> bool:
    """Whether the path names its own file system, like ``s3://bucket/log``."""
    return "://" in path


def resolve(path: str, base_dir: Path) -> Path:
    """The absolute local path that a spec in `base_dir` means by `path`."""
    return (base_dir / path).absolute()


def locate(path: str, base_dir: Path) -> tuple[pafs.FileSystem, str]:
    """The file system that holds the path, and the path inside it.

    Raises:
        PathError: no file system for this URL, or it cannot be reached.
    """
    if not is_url(path):
        return pafs.LocalFileSystem(), str(resolve(path, base_dir))
    try:
        return pafs.FileSystem.from_uri(path)
    except (OSError, pa.ArrowException) as error:
        raise PathError(f"{path}: {first_line(error)}") from error


def read_secret(path: str, base_dir: Path) -> str:
    """The content of a secret's file, without the white space around it.

    Raises:
        PathError: the file cannot be read.
    """
    file = resolve(path, base_dir)
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise PathError(f"{file}: {getattr(error, 'strerror', None) or 'not UTF-8 text'}") from error


def first_line(error: BaseException) -> str:
    """What an exception says, on one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def plain(error: BaseException) -> str:
    """What is wrong with a file, by an error of Arrow or the system, without the path that the caller knows."""
    if isinstance(error, OSError) and error.errno:
        return f"cannot be opened: {os.strerror(error.errno)}"
    return re.sub(
        r"^Could not open (\w+) input source '.*?': (Invalid: )?", r"cannot be read as \1: ", first_line(error)
    )
