"""Shared parts of the commands: arguments, loading, writing, and errors as messages."""

import io
import math
import re
import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

import click

if TYPE_CHECKING:
    from mlvitals.exporters.reference.versions import ReferenceStore
    from mlvitals.generator.spec.diagnostics import SpecError
    from mlvitals.generator.spec.model import Spec


class _Output(click.Path):
    """A file to write, in a folder that exists: an error is better reported now than after minutes of measuring."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Convert to a path."""
        path: Any = super().convert(value, param, ctx)
        if not path.parent.is_dir():
            self.fail(f"the folder {str(path.parent)!r} does not exist; create it first", param, ctx)
        return path


def _finite(_ctx: click.Context, _param: click.Parameter, factor: float) -> float:
    if not math.isfinite(factor):
        raise click.BadParameter(f"{factor} is not a finite number")
    return factor


MEASURING_PACKAGES = frozenset({"numpy", "pyarrow", "scipy", "sqlalchemy"})
"""The packages of the extra `measure`, by import name."""

SPEC = click.Path(path_type=Path)
FILE = click.Path(path_type=Path, dir_okay=False)
OUTPUT = _Output(path_type=Path, dir_okay=False)
spec_argument = click.argument("spec_path", metavar="SPEC", type=SPEC)
data_format_option = click.option(
    "--format",
    "file_format",
    type=click.Choice(["parquet", "feather", "csv", "jsonl"]),
    help="Format of the files of --data. Default: what the name of each says.",
)
compress_option = click.option(
    "--compress-time",
    type=click.FloatRange(min=1),
    default=1.0,
    callback=_finite,
    metavar="FACTOR",
    help="Divide every duration of the spec by FACTOR: with 180, an hour takes 20 seconds.",
)


class Group(click.Group):
    """A command group whose users see messages, not tracebacks."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; an error that is the user's to fix becomes a message and exit code 1."""
        from mlvitals.generator.errors import UserError, without_secrets

        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            error.message = without_secrets(error.message)  # type: ignore[misc]  # what click shows
            raise
        except UserError as error:
            fail(str(error))
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] not in MEASURING_PACKAGES:
                raise
            fail("this command needs the measuring packages: pip install 'mlvitals[measure]'")
        except (ImportError, MemoryError, RuntimeError) as error:
            short = _shortage(error)
            if short is None:
                raise
            fail(f"the system has no {short} to go on; give this process more, or let it do less at once")
        except BrokenPipeError:
            sys.stderr.close()
            sys.exit(1)
        except OSError as error:
            fail(f"{error.filename or 'system'}: {error.strerror or error}")


def _shortage(error: BaseException) -> str | None:
    """Return what the system is short of where that is what went wrong; None of other errors."""
    texts = []
    cause: BaseException | None = error
    while cause is not None:
        texts.append(str(cause))
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, MemoryError) or any("failed to map segment" in text for text in texts):
        return "memory"
    return "thread" if any("can't start new thread" in text for text in texts) else None


def replace_unprintable() -> None:
    """Print characters that standard output's encoding lacks as question marks: none is worth losing a result for."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="replace")


def remark(message: str) -> None:
    """Print what is worth knowing of data that can be used."""
    click.echo(message, err=True)


_MARKED = re.compile(r"(\S.*?: )?error: ")
"""The start of a message that says already that it is an error: a problem of a spec, with its place."""


def fail(message: str) -> NoReturn:
    """End with a message and exit code 1."""
    click.echo(message if _MARKED.match(message) else f"error: {message}", err=True)
    sys.exit(1)


def load_all(paths: tuple[Path, ...], compress_time: float = 1.0) -> list[tuple[Path, "Spec"]]:
    """Load specs; the problems of all of them are reported together."""
    from mlvitals.generator.spec.compression import compress_time as compressed

    specs, errors = read_specs(paths)
    if errors:
        fail("\n".join(map(str, errors)))
    return [(path, spec if compress_time == 1 else compressed(spec, compress_time)) for path, spec in specs]


def read_specs(paths: Iterable[Path]) -> "tuple[list[tuple[Path, Spec]], list[SpecError]]":
    """Return the specs that can be used, and what is wrong with the others, or with using them together."""
    from mlvitals.generator.spec.diagnostics import SpecError
    from mlvitals.generator.spec.load import load_spec

    specs, errors = list[tuple[Path, "Spec"]](), list[SpecError]()
    for path in paths:
        try:
            specs.append((path, load_spec(path)))
        except SpecError as error:
            errors.append(error)
    if len(specs) > 1:
        from mlvitals.generator.spec.clashes import clashes

        errors += clashes(specs)
    return specs, errors


def load(path: Path, compress_time: float = 1.0) -> "Spec":
    """Load a spec; problems end the command."""
    return load_all((path,), compress_time)[0][1]


def reference_store(spec: "Spec", spec_path: Path) -> "ReferenceStore":
    """Open the store that the spec names, relative to the spec."""
    from mlvitals.exporters.reference.stores import open_store

    return open_store(spec.reference.store, spec_path.parent, spec.system.name)


def duration(text: str) -> timedelta:
    """Parse a length of time in the notation of specs."""
    import msgspec

    from mlvitals.generator.spec.durations import Duration, span

    try:
        length = span(msgspec.convert(text, Duration))
    except msgspec.ValidationError:
        raise click.BadParameter(f"{text!r} is not a duration such as 300ms, 1h or 30d") from None
    except OverflowError:
        raise click.BadParameter(f"{text} is too long") from None
    if not length:
        raise click.BadParameter(f"{text} is zero; give a longer duration")
    return length


def label(text: str) -> str:
    """Check a text that is shown on one line and may be a label of a metric."""
    if not (0 < len(text) <= 200 and text.isprintable() and text == text.strip()):
        raise click.BadParameter(
            "must be a printable text of 1 to 200 characters without leading or trailing white space"
        )
    return text


def http_url(text: str) -> str:
    """Check the URL of a server."""
    if not _is_http_url(text):
        raise click.BadParameter(f"{text!r} is not a URL such as http://localhost:9090")
    return text


def _is_http_url(text: str) -> bool:
    """True if the text has the scheme, the host and the characters of an HTTP URL, and a valid port if any."""
    try:
        url = urlsplit(text)
        _ = url.port
    except ValueError:
        return False
    written = text.isascii() and text.isprintable() and " " not in text
    return written and text.startswith(("http://", "https://")) and bool(url.hostname)


def instant(_ctx: click.Context, _param: click.Parameter, text: str | None) -> datetime | None:
    """Parse a time in ISO 8601. UTC unless a time zone is given."""
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a time such as 2013-07-01 or 2013-07-01T12:00Z") from None
    # Time zones, and code that reads slightly beyond a window, need room at both ends of the calendar.
    if not 1900 <= instant.year <= 2900:
        raise click.BadParameter(f"{text!r} is not between the years 1900 and 2900")
    return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)


def write(path: Path, content: bytes) -> None:
    """Write a file atomically."""
    from mlvitals.generator.atomic import replacing

    with replacing(path) as file:
        file.write(content)
