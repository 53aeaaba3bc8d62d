"""Specs that are used together: each system has a name and a title of its own, or one hides the other."""

from collections.abc import Iterable
from pathlib import Path

from mlvitals.generator.spec.diagnostics import Problem, SpecError, quoted
from mlvitals.generator.spec.document import parse, read_bytes
from mlvitals.generator.spec.model import Spec


def clashes(specs: Iterable[tuple[Path, Spec]]) -> list[SpecError]:
    """Return an error for each spec that has the name, or the title, of an earlier one; a file given twice is one spec.

    Dashboards, metrics and files are called by the name; people are notified by the title.
    """
    names: dict[str, Path] = {}
    titles: dict[str, Path] = {}
    errors = []
    for path, spec in {path.resolve(): (path, spec) for path, spec in specs}.values():
        name, title = spec.system.name, spec.title
        if name in names:
            message = f"two specs describe system {name!r}: {names[name]} and {path}"
            errors.append(_error(path, "name", message, "give each system a name of its own"))
        elif title in titles:
            message = f"two specs have the title {quoted(title)}: {titles[title]} and {path}"
            errors.append(_error(path, "title", message, "alerts name a system by its title; give each its own"))
        names.setdefault(name, path)
        titles.setdefault(title, path)
    return errors


def _error(path: Path, key: str, message: str, hint: str) -> SpecError:
    document = parse(read_bytes(path), str(path))
    places = (("system", key), ("system", "name"))
    problem = Problem(places, message, "duplicate", hint, complete=True)
    return SpecError([document.diagnostic(problem)], document.lines)
