"""A history of windows as OpenMetrics text."""

import io
import subprocess
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from exporter_samples import HOSTILE, HOUR, NOON, SPEC
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from mlvitals.exporters.parts import Sample
from mlvitals.exporters.publish.openmetrics import LOOKBACK, History
from mlvitals.generator.contract import Contract

CONTRACT = Contract(SPEC)
FOUR_MINUTES = timedelta(minutes=4)
Series = dict[tuple[str, str], list[tuple[float, float]]]


def text_of(
    folder: Path, *moments: tuple[datetime, Mapping[str, Iterable[Sample]]], until: datetime = NOON + HOUR
) -> str:
    with History(CONTRACT, {"job": "shop-exporter"}, folder, FOUR_MINUTES) as history:
        for moment, samples in moments:
            history.add(moment, samples)
        file = io.BytesIO()
        count = history.write(file, until)
    text = file.getvalue().decode()
    assert count == sum(not line.startswith("#") for line in text.splitlines())
    return text


def series_of(text: str) -> Series:
    """Minutes after noon and values, by name and feature."""
    found: Series = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            minutes = (float(sample.timestamp) - NOON.timestamp()) / 60
            found.setdefault((sample.name, sample.labels.get("feature_name", "")), []).append((minutes, sample.value))
    return found


def psi(**values: float) -> dict[str, list[Sample]]:
    return {"drift_psi": [((name,), value) for name, value in values.items()]}


def test_a_value_is_written_again_until_the_next_moment(tmp_path: Path):
    text = text_of(tmp_path, (NOON, psi(age=0.1)), (NOON + HOUR, psi(age=0.2)), until=NOON + 2 * HOUR)
    [found] = series_of(text).values()
    assert found == [(float(minute), 0.1 if minute < 60 else 0.2) for minute in range(0, 120, 4)]


def test_no_query_of_prometheus_falls_into_a_gap(tmp_path: Path):
    text = text_of(tmp_path, (NOON, psi(age=0.1)), (NOON + HOUR, psi(age=0.1)), until=NOON + 2 * HOUR)
    [found] = series_of(text).values()
    minutes = [minute for minute, _ in found]
    assert max(later - earlier for earlier, later in pairwise(minutes)) * 60 < LOOKBACK.seconds
    assert (120 - minutes[-1]) * 60 < LOOKBACK.seconds


def test_a_series_that_the_next_moment_lacks_is_not_found_after_it(tmp_path: Path):
    text = text_of(tmp_path, (NOON, psi(age=0.1, country=0.3)), (NOON + HOUR, psi(age=0.2)), until=NOON + 2 * HOUR)
    last, _ = series_of(text)["shop_drift_psi", "country"][-1]
    assert 60 - FOUR_MINUTES.seconds / 60 < last + LOOKBACK.seconds / 60 <= 60


def test_a_series_that_comes_back_is_silent_between(tmp_path: Path):
    moments = [(NOON, psi(age=0.1, country=0.3)), (NOON + HOUR, psi(age=0.2)), (NOON + 2 * HOUR, psi(country=0.4))]
    found = series_of(text_of(tmp_path, *moments, until=NOON + 3 * HOUR))["shop_drift_psi", "country"]
    assert not [minute for minute, _ in found if 60 <= minute < 120]
    assert {value for minute, value in found if minute >= 120} == {0.4}


def test_the_last_moment_is_written_once_even_where_its_time_is_over(tmp_path: Path):
    assert series_of(text_of(tmp_path, (NOON, psi(age=0.1)), until=NOON)) == {("shop_drift_psi", "age"): [(0.0, 0.1)]}


def test_a_family_stands_together_under_its_type_and_help(tmp_path: Path):
    both = {"drift_ks": [(("age",), 0.5)], **psi(age=0.1, country=0.2)}
    families = list(text_string_to_metric_families(text_of(tmp_path, (NOON, both), (NOON + HOUR, both))))
    assert [family.name for family in families] == ["shop_drift_psi", "shop_drift_ks"], "the contract's order"
    for family in families:
        assert (family.type, family.documentation) == ("gauge", CONTRACT.by_name[family.name].help)


def test_a_counter_is_named_without_the_suffix_that_its_samples_bear(tmp_path: Path):
    text = text_of(tmp_path, (NOON, {"exporter_runs_total": [((), 1)]}))
    [family] = text_string_to_metric_families(text)
    assert (family.name, family.type) == ("shop_exporter_runs", "counter")
    assert {sample.name for sample in family.samples} == {"shop_exporter_runs_total"}


def test_labels_come_back_as_they_were_with_those_of_a_scrape(tmp_path: Path):
    [family] = text_string_to_metric_families(text_of(tmp_path, (NOON, psi(**{HOSTILE: 0.1}))))
    assert family.samples[0].labels == {"feature_name": HOSTILE, "job": "shop-exporter"}


@pytest.mark.parametrize("undefined", [None, float("nan"), float("inf")])
def test_what_is_undefined_has_no_sample_and_no_family(tmp_path: Path, undefined: float | None):
    assert text_of(tmp_path, (NOON, {"drift_psi": [(("age",), undefined)]})) == "# EOF\n"


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e-17, 1e300, 1772499900.0, 0.0, -2.0])
def test_a_value_comes_back_exactly(tmp_path: Path, value: float):
    [found] = series_of(text_of(tmp_path, (NOON, psi(age=value)), until=NOON)).values()
    assert found == [(0.0, value)]


def test_nothing_is_left_beside_the_file(tmp_path: Path):
    text_of(tmp_path, (NOON, psi(age=0.1)))
    assert not list(tmp_path.iterdir())


def test_promtool_makes_blocks_of_it(tmp_path: Path, promtool: str):
    file = tmp_path / "history.om"
    file.write_text(
        text_of(tmp_path, (NOON, psi(**{HOSTILE: 0.1})), (NOON + HOUR, psi(age=0.2)), until=NOON + 2 * HOUR)
    )
    command = [promtool, "tsdb", "create-blocks-from", "openmetrics", file, tmp_path / "data"]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    (tmp_path / "data" / "wal").mkdir()
    # Prometheus 2.53 copies what it dumps to data/ below the folder it runs in, whatever it is asked to dump.
    dump = [promtool, "tsdb", "dump", "data"]
    dumped = subprocess.run(dump, cwd=tmp_path, capture_output=True, text=True, check=True)
    found = [line for line in dumped.stdout.splitlines() if '__name__="shop_drift_psi"' in line]
    assert len(found) == sum(not line.startswith("#") for line in file.read_text().splitlines())
