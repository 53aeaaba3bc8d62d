"""Blocks of a Prometheus, written directly: what Prometheus itself reads in them is what the text says."""

import io
import subprocess
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from exporter_samples import HOSTILE, HOUR, NOON, SPEC

from mlvitals.exporters.parts import Sample
from mlvitals.exporters.publish.blocks import BLOCK_MS, Run, _crc, write_blocks
from mlvitals.exporters.publish.openmetrics import History
from mlvitals.generator.contract import Contract

CONTRACT = Contract(SPEC)
LABELS = {"job": "shop-exporter", "instance": "127.0.0.1:9108"}
DAY = timedelta(days=1)
Moments = Iterable[tuple[datetime, Mapping[str, Iterable[Sample]]]]


def psi(**values: float) -> dict[str, list[Sample]]:
    return {"drift_psi": [((name,), value) for name, value in values.items()], "window_rows": [((), 5.0)]}


def days() -> Moments:
    """Twenty days, in which series come and go, change, and have labels that need quoting."""
    for day in range(20):
        values = {"age": 0.1 * (day // 3), HOSTILE: -1.5e-300 * day} | ({"country": 7.0} if day % 4 else {})
        yield NOON + day * DAY, psi(**values)


def dumped(promtool: str, folder: Path) -> list[str]:
    """The samples that Prometheus reads, as text."""
    (folder / "data" / "wal").mkdir(exist_ok=True)
    # Prometheus 2.53 copies what it dumps to data/ below the folder it runs in, whatever it is asked to dump.
    done = subprocess.run([promtool, "tsdb", "dump", "data"], cwd=folder, capture_output=True, text=True, check=True)
    return sorted(done.stdout.splitlines())


def as_text(folder: Path, promtool: str, history: History, until: datetime) -> list[str]:
    file, text = folder / "history.om", io.BytesIO()
    history.write(text, until)
    file.write_bytes(text.getvalue())
    command = [
        promtool,
        "tsdb",
        "create-blocks-from",
        "--max-block-duration=500h",
        "openmetrics",
        file,
        folder / "data",
    ]
    subprocess.run(command, capture_output=True, check=True)
    return dumped(promtool, folder)


@pytest.mark.parametrize("every", [HOUR, timedelta(minutes=97)])
def test_prometheus_reads_the_same_in_blocks_as_in_text(tmp_path: Path, promtool: str, every: timedelta):
    (tmp_path / "text").mkdir()
    (tmp_path / "blocks" / "data").mkdir(parents=True)
    until = NOON + 20 * DAY + HOUR
    with History(CONTRACT, LABELS, tmp_path, every) as history:
        for moment, samples in days():
            history.add(moment, samples)
        count = history.write_blocks(tmp_path / "blocks" / "data", until)
        read = dumped(promtool, tmp_path / "blocks")
        assert len(read) == count
        assert read == as_text(tmp_path / "text", promtool, history, until)
    assert len(list((tmp_path / "blocks" / "data").glob("*/meta.json"))) == 4, (
        "20 days in weeks that begin on no Sunday"
    )


def test_prometheus_finds_no_fault_with_a_block(tmp_path: Path, promtool: str):
    labels = [(("__name__", "a"), ("x", str(number))) for number in range(9)]
    write_blocks(tmp_path / "data", [(item, [Run(1_772_000_000_000, 240_000, 1, 0.5)]) for item in labels])
    [block] = [path.parent.name for path in (tmp_path / "data").glob("*/meta.json")]
    done = subprocess.run(
        [promtool, "tsdb", "analyze", tmp_path / "data", block], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Series: 9" in done.stdout


def test_half_a_year_of_days_is_a_few_megabytes(tmp_path: Path):
    begin = (NOON - NOON.replace(hour=0)).total_seconds()
    runs = [
        Run(int(1000 * (NOON.timestamp() - begin)) + day * 86_400_000, 240_000, 360, float(day)) for day in range(183)
    ]
    series = [((("__name__", "a"), ("x", f"{number:03}")), runs) for number in range(10)]
    assert write_blocks(tmp_path, series) == 10 * 183 * 360
    size = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert size < 10 * 183 * 200, "of 560 series less than 21 MB, where 37 million lines are 5 GB"


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [(0, 100, (20, 8)), (20, 30, (20, 1)), (21, 41, (30, 2)), (0, 20, None), (100, 200, None), (90, 91, (90, 1))],
)
def test_a_part_of_a_run_has_its_samples(start: int, end: int, expected: tuple[int, int] | None):
    part = Run(20, 10, 8, 1.0).within(start, end)
    assert (part and (part.start_ms, part.samples)) == expected


def test_a_block_ends_where_the_next_begins():
    assert BLOCK_MS % (2 * 3_600_000) == 0


def test_the_checksum_is_castagnolis():
    assert _crc(b"123456789") == 0xE3069283, "the check value of CRC-32C"


def test_nothing_is_left_where_writing_fails(tmp_path: Path):
    def series() -> Iterable[tuple[tuple[tuple[str, str], ...], list[Run]]]:
        yield (("__name__", "a"),), [Run(0, 1, 1, 0.0)]
        raise ValueError("the disk is full")

    with pytest.raises(ValueError, match="full"):
        write_blocks(tmp_path, series())
    assert not list(tmp_path.iterdir())
