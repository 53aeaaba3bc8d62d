"""Loading a spec: every problem of a file in one run, each at its place, or a `Spec` that obeys all rules.

A valid spec goes straight through msgspec. Only an invalid one is validated against the JSON Schema; wrong values are
then removed, so that the rules between sections still check the rest, and nothing that merely follows from another
problem is reported.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from mlvitals.generator.spec.defaults import completed
from mlvitals.generator.spec.diagnostics import MERGE_KEY, Diagnostic, KeyPath, Problem, SpecError
from mlvitals.generator.spec.model import Spec
from mlvitals.generator.spec.rules import check

if TYPE_CHECKING:
    from mlvitals.generator.spec.document import Document

MAX_SHOWN = 1000


def load_spec(path: str | Path) -> Spec:
    """Load the spec in a file.

    Raises:
        SpecError: the file cannot be read, or is not a valid spec; contains every problem with its place.
    """
    from mlvitals.generator.spec.document import read_bytes  # noqa: PLC0415  (PyYAML is slow to import)

    return _spec(read_bytes(Path(path)), str(path))


def advice_on(path: Path | str) -> "SpecError | None":
    """Return what a valid spec should say before anyone relies on it, as warnings; None where that is nothing.

    Raises:
        SpecError: it is not a valid spec.
    """
    from mlvitals.generator.spec.advice import advice  # noqa: PLC0415  (only lint asks)
    from mlvitals.generator.spec.document import parse, read_bytes  # noqa: PLC0415

    raw = read_bytes(Path(path))
    spec, document = _spec(raw, str(path)), parse(raw, str(path))
    found = [replace(document.diagnostic(item), severity="warning") for item in advice(spec)]
    return SpecError(found, document.lines) if found else None


def parse_spec(text: str, file_name: str = "<spec>") -> Spec:
    """Load a spec from text; `file_name` is its name in diagnostics.

    Raises:
        SpecError: the text is not a valid spec; contains every problem with its place.
    """
    return _spec(text.encode("utf-8", errors="surrogatepass"), file_name)


def _spec(raw: bytes, file: str) -> Spec:
    from mlvitals.generator.spec.document import parse  # noqa: PLC0415

    document = parse(raw, file)
    spec = None if document.problems else _converted(document)
    if spec is None:
        raise _refusal(document, _all_problems(document))
    if problems := check(spec):
        raise _refusal(document, problems)
    return spec


def _converted(document: "Document") -> Spec | None:
    """Return the spec of a document, or None if it violates the schema."""
    try:
        return msgspec.convert(completed(document.data), Spec)
    except msgspec.ValidationError:
        return None


def _all_problems(document: "Document") -> list[Problem]:
    """Return violations of the schema, and violations of the rules in the valid part."""
    from mlvitals.generator.spec.validation import sound_part, violations  # noqa: PLC0415  (only broken specs need jsonschema)

    found = violations(document.data, document.doubtful)
    part = sound_part(document.data, found.paths | document.doubtful)
    breaches = (
        replace(breach, paths=tuple(map(part.original, breach.paths)))
        for breach in check(msgspec.convert(completed(part.data), Spec))
    )
    doubtful = part.removed | found.misspelt
    outer = {path[:depth] for path in doubtful for depth in range(len(path))}
    return [*found.problems, *(breach for breach in breaches if not _follows(breach, doubtful, outer))]


def _follows(problem: Problem, doubtful: frozenset[KeyPath], outer: set[KeyPath]) -> bool:
    """True if a problem may merely follow from a doubtful value: one of its paths, or one inside or around these."""
    return any(
        path in outer
        or (*path[:-1], MERGE_KEY) in doubtful
        or any(path[: depth + 1] in doubtful for depth in range(len(path)))
        for path in problem.paths
    )


def _refusal(document: "Document", problems: Iterable[Problem]) -> SpecError:
    diagnostics = sorted({*document.problems, *map(document.diagnostic, problems)}, key=lambda item: item.position)
    if len(diagnostics) > MAX_SHOWN:
        message = f"there are more problems than these {MAX_SHOWN}"
        rest = Diagnostic(document.file, diagnostics[MAX_SHOWN].position, message, "too-many")
        diagnostics = [*diagnostics[:MAX_SHOWN], rest]
    return SpecError(diagnostics, document.lines)
