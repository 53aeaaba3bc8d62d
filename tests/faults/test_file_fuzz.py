"""Files of a log whose bytes are flipped, cut and inserted: nothing ends the process, and what the format can know is named."""

import io
import json
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from exporter_samples import HOUR, NOON
from lab import ROWS, Lab, predictions
from test_log_faults import WINDOW, write

from mlvitals.exporters.window.measure import measure_window
from mlvitals.generator.spec.model import LogFormat

# What a damaged file does to Arrow happens in processes of their own.
pytestmark = pytest.mark.slow

Happens = Callable[[str], None]
Mutation = Callable[[random.Random, bytes], bytes]
FEW, MANY = 10, 500
"""Files of each format and kind of damage, in `make test` and in `make faults`."""


def flipped(chance: random.Random, data: bytes) -> bytes:
    """Change some bits, or all of a stretch."""
    damaged = bytearray(data)
    if chance.random() < 0.3:
        start = chance.randrange(len(data))
        end = min(len(data), start + chance.randrange(1, 200))
        damaged[start:end] = chance.choice([bytes(end - start), b"\xff" * (end - start), chance.randbytes(end - start)])
    for _ in range(chance.choice([1, 1, 2, 20])):
        damaged[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(damaged)


def cut(chance: random.Random, data: bytes) -> bytes:
    """Leave out the end, or a stretch in the middle."""
    start = chance.randrange(len(data))
    return data[:start] if chance.random() < 0.5 else data[:start] + data[start + chance.randrange(1, 500) :]


def inserted(chance: random.Random, data: bytes) -> bytes:
    """Put bytes in: noise, or a part of the file itself."""
    place, start = chance.randrange(len(data)), chance.randrange(len(data))
    part = data[start : start + 300] if chance.random() < 0.5 else chance.randbytes(chance.randrange(1, 64))
    return data[:place] + part + data[place:]


def gently_flipped(chance: random.Random, data: bytes) -> bytes:
    """Change one bit of a Parquet file's pages."""
    damaged = bytearray(data)
    footer = int.from_bytes(data[-8:-4], "little") + 8
    damaged[chance.randrange(4, len(data) - footer)] ^= 1 << chance.randrange(8)
    return bytes(damaged)


KINDS: dict[str, Mutation] = {"flipped": flipped, "cut": cut, "inserted": inserted}


def outcomes(lab: Lab, folder: Path, file_format: LogFormat, files: list[bytes]) -> Iterator[tuple[int, bool] | str]:
    """The rows counted and whether the file was named, of each file; or how the process that read it ended."""
    log = msgspec.structs.replace(lab.spec.prediction_log, path="predictions", format=file_format)
    spec, reference = msgspec.structs.replace(lab.spec, prediction_log=log), lab.reference()
    done = 0
    while done < len(files):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            with os.fdopen(writing, "w", buffering=1) as answers:
                for data in files[done:]:
                    (folder / "bad").write_bytes(data)
                    try:
                        report = measure_window(spec, lab.folder, reference, "v1", WINDOW, NOON)
                        report.to_json()
                        names = {Path(problem.path).name for problem in report.problems}
                        assert names <= {"bad"}
                        answers.write(json.dumps([report.rows - ROWS, bool(names)]) + "\n")
                    except BaseException as error:
                        answers.write(json.dumps(f"{type(error).__name__}: {error}"[:200]) + "\n")
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as answers:
            for line in answers:
                done += 1
                found = json.loads(line)
                yield found if isinstance(found, str) else (found[0], found[1])
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            done += 1
            yield f"signal {os.WTERMSIG(status)}"


def damaged(data: bytes, mutation: Mutation, count: int) -> list[bytes]:
    return [mutation(random.Random(seed), data) for seed in range(count)]


@pytest.fixture
def count(request: pytest.FixtureRequest) -> int:
    """How many files are damaged in each way."""
    return MANY if request.config.getoption("--write-faults", default=False) else FEW


@pytest.fixture
def folder(lab: Lab) -> Path:
    (lab.folder / "predictions").mkdir()
    return lab.folder / "predictions"


def a_file(file_format: LogFormat, path: Path) -> bytes:
    plans = pa.array(["basic", "premium", None, "family"] * (ROWS // 4))
    rows = predictions(NOON - HOUR).append_column("plan", plans.dictionary_encode())
    if file_format in (LogFormat.CSV, LogFormat.JSONL):
        rows = rows.drop_columns(["plan"])
    return write(rows, path, file_format)


@pytest.mark.parametrize(
    ("file_format", "kind"),
    [
        pytest.param(
            file_format,
            kind,
            id=f"{file_format}-{kind}",
            marks=pytest.mark.fault(
                "files",
                f"{file_format}, bytes {kind}",
                "the process lives; one file is named or its rows are counted; the rest is measured",
            ),
        )
        for file_format in (LogFormat.PARQUET, LogFormat.FEATHER, LogFormat.CSV, LogFormat.JSONL)
        for kind in KINDS
    ],
)
def test_damaged_files(lab: Lab, folder: Path, file_format: LogFormat, kind: str, count: int, happens: Happens) -> None:
    data = a_file(file_format, folder / "good")
    found = list(outcomes(lab, folder, file_format, damaged(data, KINDS[kind], count)))
    strange = [one for one in found if isinstance(one, str)]
    assert strange == []
    tally = Counter("named" if named else "counted" for _, named in found)  # type: ignore[misc]
    happens(f"of {count}: {tally['named']} named, {tally['counted']} counted")
    if kind == "cut" and file_format in (LogFormat.PARQUET, LogFormat.FEATHER):
        ends = [data[: random.Random(seed).randrange(len(data))] for seed in range(count)]
        assert all(one == (0, True) for one in outcomes(lab, folder, file_format, ends))


@pytest.mark.fault(
    "files",
    "Parquet with page checksums, one bit of a page flipped",
    "named, or all rows are counted: none lost in silence",
)
def test_damaged_pages_with_checksums(lab: Lab, folder: Path, count: int, happens: Happens) -> None:
    buffer = io.BytesIO()
    pq.write_table(predictions(NOON - HOUR), buffer, write_page_checksum=True)
    (folder / "good").write_bytes(buffer.getvalue())
    found = list(outcomes(lab, folder, LogFormat.PARQUET, damaged(buffer.getvalue(), gently_flipped, 2 * count)))
    silent = [one for one in found if one not in ((0, True), (ROWS, False))]
    assert silent == []
    tally = Counter("named" if named else "counted" for _, named in found)  # type: ignore[misc]
    happens(f"of {2 * count}: {tally['named']} named, {tally['counted']} counted whole")
