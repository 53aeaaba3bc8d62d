"""Imports run one way: each room of exporters/ imports only rooms below it."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "exporters"
LAYERS = (
    {"parts", "paths", "listener", "web"},
    {"schedule", "database", "wording"},
    {"reading"},
    {"statistics"},
    {"reference"},
    {"sections"},
    {"window"},
    {"training", "publish"},
    {"process"},
)
"""Lowest first; rooms of one layer do not import each other."""
ROOT_MODULES = LAYERS[0] | LAYERS[1]
SPEC_SIDE = {"atomic", "contract", "errors", "spec"}
"""What exporters/ may know of generator/: the spec, the metrics contract, and what both sides write with."""
MOST_MODULES = 10


def rank(room: str) -> int:
    return next(place for place, rooms in enumerate(LAYERS) if room in rooms)


def modules() -> list[Path]:
    return [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


@cache
def imported(path: Path) -> tuple[tuple[str, ...], ...]:
    """Dotted names below mlvitals that a module imports, wherever in it."""
    return tuple(_imported(path))


def _imported(path: Path) -> Iterator[tuple[str, ...]]:
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        yield from (tuple(name.split(".")[1:]) for name in names if name.startswith("mlvitals."))


def room_of(path: Path) -> tuple[str, ...]:
    return path.relative_to(PACKAGE).with_suffix("").parts


def relations() -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Pairs of importing and imported module, without the leading `exporters`."""
    for path in modules():
        for name in imported(path):
            if name[0] == "exporters":
                yield room_of(path), name[1:]


def test_every_room_and_module_has_a_layer():
    assert {room_of(path)[0] for path in modules()} == set().union(*LAYERS) | {"serving"}


def test_no_room_imports_a_room_above_it():
    measuring = [(source, target) for source, target in relations() if source[0] != "serving"]
    assert measuring
    upwards = [
        (source, target)
        for source, target in measuring
        if source[0] != target[0] and (target[0] == "serving" or rank(target[0]) >= rank(source[0]))
        if not (source[0] in ROOT_MODULES and target[0] in ROOT_MODULES and rank(target[0]) <= rank(source[0]))
    ]
    assert upwards == []


def test_the_serving_instrumentation_imports_root_modules_only():
    foreign = [
        (source, target)
        for source, target in relations()
        if source[0] == "serving" and target[0] not in ROOT_MODULES | {"serving"}
    ]
    assert foreign == []


def test_a_section_imports_no_other_section_but_segments_outcomes():
    across = [
        (source, target)
        for source, target in relations()
        if source[0] == target[0] == "sections" and len(target) > 1 and source[1] != target[1]
    ]
    assert {(source[1], target[1]) for source, target in across} == {("segments", "outcomes")}


def test_exporters_know_the_spec_and_the_contract_and_nothing_else_of_the_program():
    names = {name[:2] for path in modules() for name in imported(path)}
    outside = {name for name in names if name[0] != "exporters"}
    assert {name[0] for name in outside} == {"generator"}
    assert {name[1] for name in outside} <= SPEC_SIDE


def test_the_generator_imports_nothing_of_the_exporters():
    generator = PACKAGE.parent / "generator"
    names = {name[0] for path in sorted(generator.rglob("*.py")) for name in imported(path)}
    assert names == {"generator"}


def test_there_is_no_import_cycle():
    known = {room_of(path): path for path in modules()}
    below = {
        room: {
            target[:size] for target in (name[1:] for name in imported(path)) for size in (len(target), len(target) - 1)
        }
        & known.keys()
        for room, path in known.items()
    }
    free: set[tuple[str, ...]] = set()
    while ready := {room for room, targets in below.items() if room not in free and targets - {room} <= free}:
        free |= ready
    assert below.keys() - free == set()


@pytest.mark.parametrize("folder", sorted({path.parent for path in modules()}), ids=lambda path: path.name)
def test_no_folder_has_more_modules_than_one_can_keep_in_mind(folder: Path):
    assert len([path for path in folder.glob("*.py") if path.name != "__init__.py"]) <= MOST_MODULES


def test_every_module_of_the_generator_can_be_imported_first():
    """Modules by what they load with themselves: a cycle works or fails by who comes first."""
    generator = PACKAGE.parent / "generator"
    paths = {path.relative_to(generator).with_suffix("").parts: path for path in generator.rglob("*.py")}
    known = {name[:-1] if name[-1] == "__init__" else name: path for name, path in paths.items()}
    loaded = {name: set(_loaded(path)) & known.keys() for name, path in known.items()}
    # The packages that a module is in are always loaded before it.
    waiting = {name: {each for each in targets if each != name[: len(each)]} for name, targets in loaded.items()}
    free: set[tuple[str, ...]] = set()
    while ready := {name for name, targets in waiting.items() if name not in free and targets <= free}:
        free |= ready
    assert waiting.keys() - free == set()


def _loaded(path: Path) -> Iterator[tuple[str, ...]]:
    """Names below the generator that a module imports as it is loaded, and the packages on the way to them."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mlvitals.generator"):
            for alias in node.names:
                parts = (*str(node.module).split(".")[2:], alias.name)
                yield from (parts[:size] for size in range(1, len(parts) + 1))
