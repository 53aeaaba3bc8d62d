"""An exercise on somebody's own log: text files, no serving metrics, no ids, a spec of ten lines."""

import csv
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from command_line import mlvitals

from mlvitals.cli import main
from mlvitals.incidents.tabletop.answers import Asked, SpokenAnswers

pytestmark = pytest.mark.slow
SPEC = """\
version: 1
system: {name: shop, title: Shop}
prediction_log: {path: log, format: csv}
serving: {enabled: false}
features:
  amount: {minimum: 0}
  country: {type: categorical}
"""
START = datetime(2026, 3, 2, tzinfo=UTC)
ANSWERS = """\
version: 1
answers:
  - {kind: take, after: 2m, who: ann}
  - {kind: act, after: 3m, action: feature-fallback}
"""


def write(path: Path, hours: int, seed: int) -> None:
    draw = random.Random(seed)
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["timestamp", "amount", "country"])
        for hour in range(hours):
            for _ in range(1_000):
                at = START + timedelta(hours=hour, seconds=draw.random() * 3600)
                rows.writerow([at.isoformat(), f"{draw.expovariate(0.02):.2f}", draw.choice(["DE", "FR", "IT"])])


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("shop")
    (root / "shop.yaml").write_text(SPEC)
    (root / "answers.yaml").write_text(ANSWERS)
    write(root / "log" / "predictions.csv", 17, seed=1)
    write(root / "training" / "data.csv", 4, seed=2)
    done = mlvitals("reference", "build", root / "shop.yaml", "--data", root / "training", "--promote")
    assert done.returncode == 0, done.stderr
    return root


@pytest.mark.parametrize(
    ("fault", "feature", "page"),
    [
        ("rescaled", "amount", "MLFeatureDrift critical amount"),
        ("upstream_nulls", "country", "MLRequiredFeatureNull critical country"),
    ],
)
def test_a_fault_in_ones_own_log_pages_and_is_ended(shop, tmp_path, fault, feature, page):
    before = (shop / "log" / "predictions.csv").read_bytes()
    done = mlvitals(
        "tabletop", shop / "shop.yaml", "--fault", fault, "--on", feature, "--answers", shop / "answers.yaml",
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"critical: {page}" in done.stdout
    assert "The incident is resolved." in done.stdout
    assert (shop / "log" / "predictions.csv").read_bytes() == before


def test_a_team_at_the_terminal_is_asked_until_it_ends_the_fault(shop, tmp_path):
    lines = [
        "ann",
        "amount is a thousand times as large",
        "SEV-2",
        "data",
        "all of it",
        "other",
        "looked",
        "rollback",
        "",
    ]
    command = ["tabletop", str(shop / "shop.yaml"), "--fault", "rescaled", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(main, command, input="\n".join([*lines, ""]), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "Who takes it?" in done.stderr
    assert "other is done. Nothing gets better." in done.stdout
    assert "rollback ended it. Tried before: other." in done.stdout


def test_a_folder_with_an_exercise_is_not_played_into_again(shop, tmp_path):
    (tmp_path / "incidents").mkdir()
    (tmp_path / "incidents" / "2026-03-02-drift.yaml").write_text("version: 1")
    done = mlvitals(
        "tabletop", shop / "shop.yaml", "--fault", "rescaled", "--answers", shop / "answers.yaml", "--out", tmp_path
    )
    assert done.returncode == 1
    assert "holds an exercise already; give another folder with --out" in done.stderr


def test_a_history_that_is_too_short_is_refused_with_what_it_needs(shop, tmp_path):
    done = mlvitals(
        "tabletop", shop / "shop.yaml", "--fault", "rescaled", "--until", "2026-03-02T10:00Z",
        "--answers", shop / "answers.yaml", "--out", tmp_path / "out",
    )  # fmt: skip
    assert done.returncode == 1
    assert "rescaled needs a history from 2026-03-01 18:00 to 2026-03-02 10:00 UTC" in done.stderr
    assert "the log starts at 2026-03-02 00:00 UTC" in done.stderr


def test_a_team_that_answers_nothing_ends_the_exercise(shop, tmp_path):
    command = ["tabletop", str(shop / "shop.yaml"), "--fault", "rescaled", "--out", str(tmp_path / "out"), "--strict"]
    done = CliRunner().invoke(main, command, input="\n" * 10, catch_exceptions=False)
    assert done.exit_code == 1
    assert "The exercise ends here: the fault goes on." in done.stdout


def test_thinking_takes_the_time_that_it_takes_times_the_pace():
    seconds = iter([0.0, 30.0])
    team = SpokenAnswers(lambda *_: "ann", 60, clock=lambda: next(seconds))
    taken = team.answer(Asked.TAKE)
    assert taken is not None and taken.took == timedelta(minutes=30)


def test_what_the_spec_lacks_is_named_as_missing(shop, tmp_path):
    done = mlvitals(
        "tabletop",
        shop / "shop.yaml",
        "--fault",
        "upstream_nulls",
        "--answers",
        shop / "answers.yaml",
        "--out",
        tmp_path,
    )
    for lacking in (
        "set links.runbooks",
        "features.amount has no description",
        "features.amount names no source",
        "escalation is empty",
        "business.kpis is empty",
        "routing.critical names no receiver",
    ):
        assert lacking in done.stdout
