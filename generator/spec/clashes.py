"""Specs that are used together: each system, and each environment of one, must differ from the others, or one hides another."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mlvitals.generator.boards import board_name, boards
from mlvitals.generator.spec.diagnostics import Problem, SpecError, quoted
from mlvitals.generator.spec.document import parse, read_bytes
from mlvitals.generator.spec.model import Spec


@dataclass(frozen=True, slots=True)
class _Clash:
    """A thing that two specs must not have in common, and the way out."""

    key: tuple[str, ...]
    what: str
    hint: str


def clashes(specs: Iterable[tuple[Path, Spec]]) -> list[SpecError]:
    """Return an error for each spec that cannot be used together with an earlier one; a file given twice is one spec.

    Series differ by the name and the identity, files and dashboards by the slug; people are notified by the title.
    """
    once = tuple({path.resolve(): (path, spec) for path, spec in specs}.values())
    errors = []
    for position, (path, spec) in enumerate(once):
        found = ((other, clash) for other, earlier in once[:position] for clash in _clashes(earlier, spec))
        if first := next(found, None):
            other, clash = first
            errors.append(_error(path, clash, f"two specs {clash.what}: {other} and {path}"))
    return errors


def _clashes(one: Spec, other: Spec) -> Iterator[_Clash]:
    name = one.system.name
    if name == other.system.name and not _apart(one, other):
        hint = (
            "give each system a name of its own, or each environment of it another value of a label of identity.labels"
        )
        yield _Clash(("system", "name"), f"describe system {name!r}", hint)
    if shared := _files(one) & _files(other):
        hint = "rename a system, or change a label of identity.labels; capitals make no difference to some file systems"
        yield _Clash(("identity", "labels"), f"write files named {min(shared)!r}", hint)
    if (one.title, one.identity.labels) == (other.title, other.identity.labels):
        hint = "alerts name a system by its title; give each its own"
        yield _Clash(("system", "title"), f"have the title {quoted(one.title)}", hint)


def _apart(one: Spec, other: Spec) -> bool:
    """True if no series can carry both identities: some label has two values."""
    labels = other.identity.labels
    return any(labels.get(name, value) != value for name, value in one.identity.labels.items())


def _files(spec: Spec) -> set[str]:
    """Return the names of all files and folders that are written for a spec, without their endings."""
    return {board_name(spec, board).casefold() for board in boards(spec)}


def _error(path: Path, clash: _Clash, message: str) -> SpecError:
    document = parse(read_bytes(path), str(path))
    problem = Problem((clash.key, ("system", "name")), message, "duplicate", clash.hint, complete=True)
    return SpecError([document.diagnostic(problem)], document.lines)
