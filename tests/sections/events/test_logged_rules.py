"""What is generated of business events from the log: its rules, and the true rate in a real Prometheus."""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml
from event_samples import HOUR, MINUTE, NOON, SPEC, TEXT, events, write
from promtool_slices import slices
from real_servers import fetch, running

from mlvitals.exporters.process.backfill import backfill
from mlvitals.exporters.publish.openmetrics import History
from mlvitals.exporters.schedule import Steps
from mlvitals.exporters.training.data import build_from_files
from mlvitals.generator import rules as generated
from mlvitals.generator.compiler import compile_spec
from mlvitals.generator.contract import Contract
from mlvitals.generator.rules import rules_file
from mlvitals.generator.signals import signals
from mlvitals.generator.spec.load import parse_spec
from mlvitals.generator.spec.model import Spec

END = NOON + 6 * HOUR
FAMILY = re.compile(r"(?<![:\w])shop_\w+(?![:\w])")
"""A family's name in an expression, not that of a record."""


def records(spec: Spec) -> dict[str, str]:
    rules = yaml.safe_load(rules_file(spec, signals(spec), "m"))
    return {rule["record"]: rule["expr"] for group in rules["groups"] for rule in group["rules"] if "record" in rule}


def test_totals_of_the_log_are_the_same_in_every_exporter_and_not_added_up():
    assert records(SPEC)["system:shop_click_through_rate:ratio_2h"] == (
        "max(increase(shop_clicks_total[2h])) / (max(increase(shop_impressions_total[2h])) > 0)"
    )


def test_a_figure_may_be_of_the_log_and_of_the_application():
    mixed = TEXT.replace("impressions: {source: log, logged_as: impression}", "impressions: {}")
    spec = parse_spec(mixed.replace("{enabled: false}", "{}"))
    assert records(spec)["system:shop_click_through_rate:ratio_2h"] == (
        "max(increase(shop_clicks_total[2h])) / (sum(increase(shop_impressions_total[2h])) > 0)"
    )


def test_the_generated_rules_pass_their_own_tests(stable_promtool: str, tmp_path: Path):
    watched = signals(SPEC)
    rules = tmp_path / "shop.rules.yml"
    rules.write_text(rules_file(SPEC, watched, "m"))
    files = {tmp_path / name: text for name, text in generated.test_files(SPEC, watched, "m").items()}
    for path, text in files.items():
        path.write_text(text)
    lint = [stable_promtool, "check", "rules", "--lint=all", "--lint-fatal", rules]
    tests = [stable_promtool, "test", "rules", *slices(*files)]
    for command in (lint, tests):
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout + run.stderr


def test_everything_that_is_compiled_reads_families_of_the_contract():
    outputs = compile_spec(SPEC, "shop.yaml")
    dashboards = [json.loads(text) for path, text in outputs.items() if path.startswith("dashboards/")]
    asked = {
        name
        for dashboard in dashboards
        for panel in dashboard["panels"]
        for target in panel.get("targets", [])
        for name in FAMILY.findall(target["expr"])
    }
    assert {"shop_events_log_rejected", "shop_events_log_rows"} <= asked
    assert asked <= Contract(SPEC).by_series.keys()


# ---------------------------------------------------------------- a real Prometheus


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven hours of events, 100 impressions and 7 clicks an hour, and in the last hour 100 and 27, as OpenMetrics."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "log").mkdir()
    (folder / "training.csv").write_text("age,timestamp\n" + "30,2026-01-01T00:00:00Z\n" * 9)
    for hour in range(7):
        at = NOON + hour * HOUR - MINUTE
        clicked = events("click", at, 27 if hour == 6 else 7)
        write(folder, events("impression", at, 100, item=f"{hour % 3}"), clicked, name=f"{hour}.parquet")
    reference = build_from_files(SPEC, folder, [str(folder / "training.csv")], created=NOON - 99 * HOUR)
    windows = Steps(2 * HOUR, HOUR).windows(NOON - HOUR, END)
    path = folder / "history.txt"
    with History(Contract(SPEC), {"job": "shop-exporter"}, folder, timedelta(minutes=4)) as collected:
        for _ in backfill(SPEC, folder, reference, windows, measured_at=END + HOUR, history=collected, results=None):
            pass
        with path.open("wb") as file:
            collected.write(file, END + HOUR)
    return path


@pytest.fixture
def rate(
    history: Path, stable_promtool: str, stable_prometheus: str, tmp_path: Path
) -> Iterator[Callable[..., float | None]]:
    """Asks a Prometheus that holds the history for what a record would be at a moment."""
    data, config = tmp_path / "data", tmp_path / "prometheus.yml"
    subprocess.run([stable_promtool, "tsdb", "create-blocks-from", "openmetrics", history, data], check=True)
    config.write_text("global: {}\n")
    options = (f"--config.file={config}", f"--storage.tsdb.path={data}", "--storage.tsdb.retention.time=20y")
    with running(stable_prometheus, *options, ready="/-/ready") as address:

        def ask(record: str, at: datetime) -> float | None:
            query = quote(records(SPEC)[f"system:shop_{record}"])
            answer = json.loads(fetch(f"{address}/api/v1/query?query={query}&time={at.timestamp()}"))
            found = answer["data"]["result"]
            return float(found[0]["value"][1]) if found else None

        yield ask


def test_prometheus_finds_the_true_rate_of_the_files(rate: Callable[..., float | None]):
    assert rate("click_through_rate:ratio_2h", NOON + 5 * HOUR + 30 * MINUTE) == pytest.approx(0.07)
    last_two_steps = (7 + 27) / 200
    assert rate("click_through_rate:ratio_2h", END + 30 * MINUTE) == pytest.approx(last_two_steps)
    # The first step is where the series begin: what came before it cannot be told.
    assert rate("click_through_rate:ratio_7d", END + 30 * MINUTE) == pytest.approx((5 * 7 + 27) / 600)
    assert rate("revenue_per_click:ratio_2h", END + 30 * MINUTE) == 0
    assert rate("coverage:ratio_2h", END + 30 * MINUTE) is None, "nothing was listed: no denominator, no figure"
    assert rate("click_through_rate:ratio_2h", NOON - HOUR) is None
