"""Data sets that packages ship, as CSV files, and the truth of their columns: what a person says they are."""

import csv
import io
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import yaml

from mlvitals.generator.spec.load import parse_spec

TRUTH = Path(__file__).parent / "public"
ROLES = frozenset({"label", "timestamp", "id", "entity", "left out"})
MOST_ROWS = 20_000


class Score(NamedTuple):
    """Columns of a data set: as a person says, as no person says, and those whose role was not seen."""

    right: int
    wrong: tuple[str, ...]
    missed: tuple[str, ...]


def names() -> list[str]:
    return sorted(path.stem for path in TRUTH.glob("*.yaml"))


def truth_of(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((TRUTH / f"{name}.yaml").read_text())
    return found


def write(name: str, folder: Path) -> Path:
    """Write a data set as a CSV file, as it comes; of long ones the first rows."""
    origin = truth_of(name)["from"]
    package, path = origin["package"], folder / f"{name}.csv"
    place = Path(find_spec(package).origin).parent  # type: ignore[union-attr, arg-type]
    if package == "sklearn":
        path.write_text("\n".join(_sklearn(name)) + "\n")
    elif origin["file"].endswith(".zip"):
        with zipfile.ZipFile(place / origin["file"]) as archive:
            text = archive.read(archive.namelist()[0]).decode()
        path.write_text("".join(line for line, _ in zip(io.StringIO(text), range(MOST_ROWS + 1), strict=False)))
    elif origin["file"].endswith(".json"):
        rows = msgspec.json.decode((place / origin["file"]).read_bytes())
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        path.write_bytes((place / origin["file"]).read_bytes())
    return path


def _sklearn(name: str) -> Iterator[str]:
    from sklearn import datasets

    data = getattr(datasets, f"load_{name}")()
    yield ",".join([*map(str, data.feature_names), "target"])
    for row, target in zip(data.data, data.target, strict=True):
        yield ",".join(map(str, [*row.tolist(), target]))


def decided(text: str) -> dict[str, str]:
    """What the text of a spec says of each column: its role, `left out`, or the type of a feature."""
    spec = parse_spec(text)
    log = spec.prediction_log
    found = {name: str(feature.type) for name, feature in spec.features.items()}
    found |= dict.fromkeys(log.other_columns, "left out")
    found |= {name: "label" for name in log.other_columns if f"- {name}  # the label" in text}
    roles = {"timestamp": log.timestamp, "id": log.id, "entity": log.entity}
    found |= {name: role for role, name in roles.items() if name}
    return found | ({log.outcome.column: "label"} if log.outcome else {})


def score(text: str, truth: dict[str, str]) -> Score:
    found = decided(text)
    off = {name: said for name, said in truth.items() if found.get(name, "left out") not in said.split(" | ")}
    missed = [name for name, said in off.items() if said.split(" | ")[0] in ROLES and found.get(name) not in ROLES]
    return Score(len(truth) - len(off), tuple(off.keys() - set(missed)), tuple(missed))
