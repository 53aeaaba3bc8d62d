"""Specs that are damaged, by structure and by characters: a message about each problem, or a spec that compiles."""

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import event_samples
import lab
import pytest
import yaml

from mlvitals.generator.compiler import compile_spec
from mlvitals.generator.errors import UserError
from mlvitals.generator.spec.diagnostics import SpecError
from mlvitals.generator.spec.load import parse_spec

Happens = Callable[[str], None]
REPOSITORY = Path(__file__).resolve().parents[2]
FEW, MANY = 12, 2000
"""Specs of each kind of damage, in `make test` and in `make faults`: 10,000 of all five."""
COMPILED_ONE_IN = 40
LARGE = [(REPOSITORY / "specs" / f"{name}.yaml").read_text() for name in ("streamrec", "flights")]
SMALL = [(REPOSITORY / "examples" / "fastapi_app" / "churn.yaml").read_text(), lab.SPEC_TEXT, event_samples.TEXT]
SPECS = [*LARGE, *(4 * SMALL)]
Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
STRANGE: list[Any] = [
    None, "", " ", 0, -1, 1, 1e308, -1e308, float("nan"), float("inf"), 2**70, True, False, [], {}, [[]], {"a": {}}, "1h",
    "0s", "999999999d", "é", "\u200b", "\U0001f600", "{{ $labels.x }}", "${x}", '"', "'", "\\", "a" * 3000, "%s", "../..",
    "s3://", "sqlite://", "http://[", "\x7f", "NaN", "yes", "2026-03-03", "2026-02-30T00:00Z", "12:60", -0.0, 0.5, [None],
]  # fmt: skip


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every container and key or index in it."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    return [(value, key) for key in keys] + [place for key in keys for place in places(value[key])]


def with_strange_value(chance: random.Random, text: str) -> str:
    return structural(chance, text, lambda container, key: container.__setitem__(key, chance.choice(STRANGE)))


def without_a_part(chance: random.Random, text: str) -> str:
    return structural(chance, text, lambda container, key: container.__delitem__(key))


def with_parts_exchanged(chance: random.Random, text: str) -> str:
    def exchange(container: Any, key: Any) -> None:
        other, place = chance.choice(found)
        container[key], other[place] = other[place], container[key]

    document = yaml.load(text, Loader)
    found = places(document)
    exchange(*chance.choice(found))
    return dumped(document)


def with_strange_key(chance: random.Random, text: str) -> str:
    def rename(container: Any, key: Any) -> None:
        if isinstance(container, dict):
            strange = [one for one in STRANGE if not isinstance(one, list | dict)]
            container[chance.choice([*strange, f"{key}s", str(key).upper()])] = container.pop(key)

    return structural(chance, text, rename)


def with_characters_changed(chance: random.Random, text: str) -> str:
    letters = list(text)
    for _ in range(chance.choice([1, 1, 2, 5])):
        place = chance.randrange(len(letters))
        match chance.randrange(3):
            case 0:
                letters[place] = chance.choice("\t\n :-{}[]&*!|>'\"%@`#,?\\\x00\ufeff\ud800é")
            case 1:
                letters[place : place + chance.randrange(1, 40)] = []
            case _:
                letters[place:place] = chance.choice(
                    ["\n", "  ", "- ", ": ", "<<: *a\n", "&a ", "!!python/name:os.system ", "---"]
                )
    return "".join(letters)


def structural(chance: random.Random, text: str, change: Callable[[Any, Any], object]) -> str:
    document = yaml.load(text, Loader)
    for _ in range(chance.choice([1, 1, 1, 2, 4])):
        if found := places(document):
            change(*chance.choice(found))
    return dumped(document)


def dumped(document: Any) -> str:
    try:
        return str(yaml.dump(document, Dumper=Dumper, allow_unicode=True, sort_keys=False))
    except (yaml.YAMLError, RecursionError, ValueError):
        return ""


DAMAGE = {
    "strange values": with_strange_value,
    "parts left out": without_a_part,
    "parts exchanged": with_parts_exchanged,
    "strange keys": with_strange_key,
    "characters changed": with_characters_changed,
}


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(
            damage,
            id=name,
            marks=pytest.mark.fault(
                "specs", f"specs with {name}", "a message for each problem, or a spec that compiles"
            ),
        )
        for name, damage in DAMAGE.items()
    ],
)
def test_damaged_specs(
    damage: Callable[[random.Random, str], str], request: pytest.FixtureRequest, happens: Happens
) -> None:
    count = MANY if request.config.getoption("--write-faults", default=False) else FEW
    tally: Counter[str] = Counter()
    for seed in range(count):
        text = damage(random.Random(seed), SPECS[seed % len(SPECS)])
        try:
            spec = parse_spec(text)
        except SpecError as error:
            assert str(error).strip(), f"seed {seed}"
            tally["refused"] += 1
            continue
        except BaseException as error:
            raise AssertionError(f"seed {seed}: {type(error).__name__}: {error}") from error
        tally["accepted"] += 1
        if seed % COMPILED_ONE_IN == 0:
            try:
                compile_spec(spec)
            except UserError:
                tally["refused by the compiler"] += 1
            except BaseException as error:
                raise AssertionError(f"seed {seed}: compiling: {type(error).__name__}: {error}") from error
    happens(f"of {count}: " + ", ".join(f"{number} {name}" for name, number in sorted(tally.items())))
