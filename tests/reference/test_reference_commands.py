"""`mlvitals reference`: what a person reads, what a machine reads, and what is said of wrong input."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from drift_samples import random

from mlvitals.cli import main

SPEC = """\
version: 1
system: {name: fraud}
prediction_log: {path: log, score: score}
reference: {condition: hour_of_day}
features:
  amount: {}
  country: {type: categorical, nullable: true}
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "fraud.yaml"
    path.write_text(SPEC)
    return path


def training(folder: Path, mean: float = 0.0, rows: int = 5000) -> Path:
    draw = random()
    path = folder / f"training-{mean}.parquet"
    table = {
        "amount": draw.normal(mean, 1, rows),
        "country": pa.array(draw.choice(["de", "fr"], rows), mask=draw.random(rows) < 0.1),
        "score": draw.random(rows),
        "timestamp": np.datetime64("2026-01-05T00:00", "us") + np.arange(rows) * np.timedelta64(600, "s"),
    }
    pq.write_table(pa.table(table), path)
    return path


def reference(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["reference", *map(str, arguments)])


def build(spec: Path, *options: str, mean: float = 0.0) -> str:
    done = reference("build", spec, "--data", training(spec.parent, mean), *options)
    assert done.exit_code == 0, done.output
    return done.stdout.strip()


def test_show_prints_what_a_person_wants_to_know(spec):
    version = build(spec, "--model-version", "2026-03-01")
    shown = reference("show", spec).stdout
    assert f"fraud reference {version}, created " in shown
    assert "rows       5,000" in shown
    assert "span       2026-01-05 00:00 to 2026-02-08 17:10 UTC" in shown
    assert "condition  hour_of_day (UTC), 24 with rows" in shown
    assert "model      2026-03-01" in shown
    assert all(name in shown for name in ("amount", "country", "(score)"))


def test_show_names_the_hours_that_hold_too_little_to_compare_with(spec):
    done = reference("build", spec, "--data", training(spec.parent, rows=2300))
    assert done.exit_code == 0
    assert "under 100 values: 0, 1, 2" in reference("show", spec).stdout


def test_the_artifact_holds_everything_that_a_comparison_and_a_reader_need(spec):
    version = build(spec, "--model-version", "2026-03-01")
    artifact = json.loads(reference("show", spec, version, "--json").stdout)
    assert artifact["schema"] == "mlvitals.reference/1"
    assert (artifact["system"], artifact["rows"], artifact["condition"]) == ("fraud", 5000, "hour_of_day")
    assert artifact["model_version"] == "2026-03-01"
    assert artifact["created"].endswith("Z")
    assert len(artifact["source_hash"]) == 64
    assert artifact["span"] == {"start": "2026-01-05T00:00:00Z", "end": "2026-02-08T17:10:00.000001Z"}
    amount = artifact["features"]["amount"]
    assert len(amount["cells"]["labels"]) == 10
    assert len(amount["cells"]["edges"]) >= 1000
    assert set(amount["counts"]) == {str(hour) for hour in range(24)}
    assert sum(map(sum, amount["counts"].values())) == 5000
    assert set(amount["summary"]["quantiles"]) == {"1", "5", "25", "50", "75", "95", "99"}
    assert all(isinstance(amount["summary"][name], float) for name in ("mean", "std", "median", "minimum", "maximum"))
    country = artifact["features"]["country"]
    assert sum(map(sum, country["counts"].values())) + country["nulls"] == 5000
    assert len(artifact["score"]["cells"]["labels"]) == 20


def test_list_says_which_is_in_force_and_which_model_it_belongs_to(spec):
    first = build(spec, "--model-version", "1")
    second = build(spec, "--promote", "--model-version", "2", mean=1.0)
    lines = reference("list", spec).stdout.splitlines()
    assert [line.split()[0] for line in lines] == [second, first]
    assert lines[0].endswith("model 2  production")
    listed = json.loads(reference("list", spec, "--json").stdout)
    assert [(item["version"], item["model_version"], item["aliases"]) for item in listed] == [
        (second, "2", ["production"]),
        (first, "1", []),
    ]


def test_an_empty_store_says_how_to_fill_it(spec):
    done = reference("list", spec)
    assert (done.exit_code, done.stdout) == (0, "")
    assert "mlvitals reference build" in done.stderr


def test_diff_shows_what_moved_and_by_how_much(spec):
    old, new = build(spec), build(spec, mean=1.0)
    shown = reference("diff", spec, old, new)
    assert shown.exit_code == 0
    rows = {line.split()[0]: line.split() for line in shown.stdout.splitlines() if line}
    assert float(rows["amount"][2]) > 0.5
    assert rows["country"][2] == "(0.000)"
    diff = json.loads(reference("diff", spec, "production", new, "--json").stdout)
    assert diff["schema"] == "mlvitals.reference-diff/1"
    assert (diff["old"]["version"], diff["new"]["version"]) == (old, new)
    assert diff["features"]["amount"]["psi"]["value"] > diff["features"]["amount"]["psi"]["critical_value"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("show", "0123456789abcdef"), "no reference 0123456789abcdef of fraud"),
        (("show", "canary"), "is called 'canary'"),
        (("promote", "0123456789abcdef"), "no reference 0123456789abcdef of fraud"),
        (("promote", "latest"), "'latest' is not a version; `mlvitals reference list` shows them"),
        (("diff", "production", "canary"), "is called 'canary'"),
    ],
)
def test_what_does_not_exist_is_named_with_the_remedy(spec, arguments, message):
    build(spec)
    command, *rest = arguments
    done = reference(command, spec, *rest)
    assert done.exit_code == 1
    assert message in done.stderr
    assert "mlvitals reference" in done.stderr


def test_a_damaged_reference_is_named_with_the_remedy_and_does_not_hide_the_others(spec):
    bad, good = build(spec), build(spec, mean=1.0)
    path = spec.parent / "references" / "fraud" / bad / "reference.json"
    path.write_bytes(path.read_bytes()[:-1])
    assert "is damaged" in reference("show", spec).stderr
    listed = reference("list", spec)
    assert listed.exit_code == 0
    assert [line.split()[0] for line in listed.stdout.splitlines()] == [good, bad]


@pytest.mark.parametrize("text", ["", " v1", "a\nb", "x" * 201])
def test_a_model_version_that_nobody_could_read_back_is_refused(spec, text):
    done = reference("build", spec, "--data", training(spec.parent), "--model-version", text)
    assert done.exit_code == 2
    assert "1 to 200 characters" in done.stderr
