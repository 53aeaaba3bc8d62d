"""The command line as a new user meets it: results, messages and exit codes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import mlvitals

REPOSITORY = Path(__file__).resolve().parent.parent.parent
STREAMREC = REPOSITORY / "specs" / "streamrec.yaml"
BROKEN = """\
version: 1
system: {name: fraud, tilte: Fraud}
prediction_log: {path: predictions}
features:
  amount: {type: flot, source: nowhere}
"""


def process(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mlvitals", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
    )


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    path = tmp_path / "broken.yaml"
    path.write_text(BROKEN)
    return path


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(BROKEN.replace("tilte", "title").replace("flot, source: nowhere", "float"))
    return path


def test_help_lists_the_commands():
    done = process("--help")
    assert done.returncode == 0
    assert all(command in done.stdout for command in ("compile", "lint", "reference", "drift", "export", "backfill"))


def test_wrong_usage_exits_with_2():
    assert process("compile").returncode == 2
    assert mlvitals("drift", STREAMREC, "--start", "yesterday", "--end", "2026-01-01").returncode == 2
    assert mlvitals("drift", STREAMREC, "--start", "2026-01-02", "--end", "2026-01-01").returncode == 2


@pytest.mark.parametrize("start", ["0001-01-01", "0001-01-01T00:00+10:00", "9999-12-30"])
def test_a_time_at_the_end_of_the_calendar_is_wrong_usage_not_a_traceback(start: str):
    done = mlvitals("drift", STREAMREC, "--start", start, "--end", "9999-12-31")
    assert done.returncode == 2
    assert "not between the years 1900 and 2900" in done.stderr


def test_a_store_without_references_says_so(small: Path):
    done = mlvitals("reference", "list", small)
    assert (done.returncode, done.stdout) == (0, "")
    assert "no references yet; to build one: mlvitals reference build" in done.stderr


def test_compile_writes_and_then_finds_nothing_to_do(small: Path, tmp_path: Path):
    first = mlvitals("compile", small, "--out", tmp_path)
    assert first.returncode == 0, first.stderr
    assert "dashboards/fraud.json" in first.stdout
    assert mlvitals("compile", small, "--out", tmp_path).stdout == ""
    assert mlvitals("compile", small, "--out", tmp_path, "--check").returncode == 0


def test_check_exits_with_1_and_shows_the_diff_of_an_edited_file(small: Path, tmp_path: Path):
    mlvitals("compile", small, "--out", tmp_path)
    rules = tmp_path / "alert_rules" / "fraud.rules.yml"
    rules.write_text(rules.read_text() + "# mine\n")
    done = mlvitals("compile", small, "--out", tmp_path, "--check")
    assert done.returncode == 1
    assert "-# mine" in done.stdout
    assert rules.read_text().endswith("# mine\n")


def test_compile_does_not_overwrite_a_file_it_did_not_write(small: Path, tmp_path: Path):
    mine = tmp_path / "dashboards" / "fraud.json"
    mine.parent.mkdir()
    mine.write_text("{}")
    done = mlvitals("compile", small, "--out", tmp_path)
    assert done.returncode == 1
    assert "not written by mlvitals" in done.stderr
    assert mine.read_text() == "{}"


def test_compile_does_not_overwrite_the_files_of_another_spec_that_is_there(small: Path, tmp_path: Path):
    mlvitals("compile", small, "--out", tmp_path)
    other = small.with_name("other.yaml")
    other.write_text(small.read_text())
    done = mlvitals("compile", other, "--out", tmp_path)
    assert done.returncode == 1
    assert "not written by mlvitals from these specs" in done.stderr
    small.unlink()  # renamed
    assert mlvitals("compile", other, "--out", tmp_path).returncode == 0


def test_the_files_of_several_environments_last_while_their_specs_do(tmp_path: Path):
    one, other = environments(tmp_path, "{labels: {env: a}}", "{labels: {env: b}}")
    joint = tmp_path / "out/stack/shop/alertmanager.yml"
    mlvitals("compile", one, other, "--out", tmp_path / "out")
    assert "from 0.yaml/1.yaml. Do not edit." in joint.read_text()
    mlvitals("compile", one, "--out", tmp_path / "out")
    assert joint.exists()
    other.unlink()
    mlvitals("compile", one, "--out", tmp_path / "out")
    assert not joint.exists()


def test_all_problems_of_a_spec_are_named_with_their_places_and_no_traceback(broken: Path):
    done = mlvitals("lint", broken)
    assert done.returncode == 1
    assert f"{broken}:2:23:" in done.stdout
    assert f"{broken}:5:18:" in done.stdout
    assert f"{broken}:5:32:" in done.stdout
    assert "Traceback" not in done.stderr + done.stdout


def test_lint_speaks_json(broken: Path):
    found = json.loads(mlvitals("lint", broken, "--format", "json").stdout)
    assert [(item["line"], item["column"]) for item in found] == [(2, 23), (5, 18), (5, 32)]


def test_compile_of_a_broken_spec_fails_with_the_same_places_and_writes_nothing(broken: Path, tmp_path: Path):
    done = mlvitals("compile", broken, "--out", tmp_path / "out")
    assert done.returncode == 1
    assert f"{broken}:2:23:" in done.stderr
    assert not (tmp_path / "out").exists()


def test_two_specs_of_one_system_are_refused(small: Path, tmp_path: Path):
    copy = tmp_path / "copy.yaml"
    copy.write_text(small.read_text())
    done = mlvitals("compile", small, copy, "--out", tmp_path)
    assert done.returncode == 1
    assert "two specs describe system 'fraud'" in done.stderr


@pytest.mark.parametrize("command", ["compile", "lint"])
def test_specs_of_one_name_or_one_title_are_named_with_both_files(tmp_path: Path, command: str):
    lines = "version: 1\nsystem: {name: NAME, title: Shop}\nprediction_log: {path: log}\nfeatures: {age: {}}\n"
    one, other, third = (tmp_path / f"{place}.yaml" for place in "abc")
    for path, name in ((one, "shop"), (other, "cart"), (third, "shop")):
        path.write_text(lines.replace("NAME", name))
    done = mlvitals(command, one, other, third)
    assert done.returncode == 1
    told = done.stdout + done.stderr
    assert f'{other}:2:29: error: two specs have the title "Shop": {one} and {other}; alerts name' in told
    assert f"{third}:2:16: error: two specs describe system 'shop': {one} and {third}; give each" in told
    assert not (tmp_path / "dashboards").exists()


def environments(folder: Path, *identities: str) -> list[Path]:
    """Specs of one system with one identity each."""
    paths = []
    for number, identity in enumerate(identities):
        path = folder / f"{number}.yaml"
        path.write_text(
            f"version: 1\nsystem: {{name: shop}}\nidentity: {identity}\nprediction_log: {{path: log}}\nfeatures: {{age: {{}}}}\n"
        )
        paths.append(path)
    return paths


def test_environments_of_one_system_compile_together(tmp_path: Path):
    labels = ("{env: prod, zone: eu}", "{env: prod, zone: us}", "{env: staging}", "{env: prod/x, zone: eu}")
    specs = environments(tmp_path, *(f"{{labels: {each}}}" for each in labels))
    done = mlvitals("compile", *specs, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out/alert_rules").glob("*.rules.yml"))) == len(specs)


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        ("{labels: {env: prod}}", "{}", "1.yaml:2:16: error: two specs describe system 'shop': "),
        ("{labels: {env: prod}}", "{labels: {zone: eu}}", "two specs describe system 'shop': "),
        ("{labels: {env: prod}}", "{labels: {env: prod, zone: eu}}", "two specs describe system 'shop': "),
        ("{alert_labels: {env: a}}", "{alert_labels: {env: b}}", "two specs describe system 'shop': "),
        ("{labels: {a: x-y, b: z}}", "{labels: {a: x, b: y-z}}", "1.yaml:3:20: error: two specs write files named 'shop-x-y-z'"),
    ],
    ids=["none", "another label", "a part of it", "labels of alerts", "names of files"],
)  # fmt: skip
def test_environments_that_nothing_tells_apart_are_refused(tmp_path: Path, one: str, other: str, said: str):
    done = mlvitals("compile", *environments(tmp_path, one, other), "--out", tmp_path / "out")
    assert done.returncode == 1
    assert said in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_dashboard_of_a_system_is_no_environment_of_it(tmp_path: Path):
    specs = environments(tmp_path, "{labels: {env: prod}}", "{labels: {env: prod-details}}")
    done = mlvitals("compile", *specs, "--out", tmp_path / "out")
    assert "two specs write files named 'shop-prod-details'" in done.stderr


def test_a_spec_given_twice_is_one(tmp_path: Path):
    assert mlvitals("lint", STREAMREC, STREAMREC).returncode == 0


def test_a_title_that_is_another_systems_name_is_taken(tmp_path: Path):
    lines = "version: 1\nsystem: {name: NAME}\nprediction_log: {path: log}\nfeatures: {age: {}}\n"
    (tmp_path / "a.yaml").write_text(lines.replace("NAME", "shop"))
    (tmp_path / "b.yaml").write_text(lines.replace("NAME", "cart, title: shop"))
    done = mlvitals("lint", tmp_path / "a.yaml", tmp_path / "b.yaml")
    assert (done.returncode, "two specs have the title" in done.stdout) == (1, True)


@pytest.mark.parametrize("command", ["compile", "lint", "drift", "export"])
def test_a_spec_that_is_not_there_is_a_message(command: str):
    done = mlvitals(command, "nowhere.yaml")
    assert done.returncode == 1
    assert "nowhere.yaml" in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_an_error_of_the_user_ends_the_process_with_1_and_no_traceback():
    done = process("compile", "nowhere.yaml")
    assert done.returncode == 1
    assert "nowhere.yaml" in done.stderr
    assert "Traceback" not in done.stderr


def test_drift_without_a_reference_says_how_to_build_one(tmp_path: Path):
    spec = tmp_path / "fraud.yaml"
    spec.write_text("version: 1\nsystem: {name: fraud}\nprediction_log: {path: log}\nfeatures: {amount: {}}\n")
    done = mlvitals("drift", spec)
    assert done.returncode == 1
    assert "reference build" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_heavy_libraries_stay_out_of_help_and_compile():
    script = (
        "import sys; from mlvitals.cli import main\n"
        "try: main({!r}, standalone_mode=False)\n"
        "except SystemExit: pass\n"
        "heavy = {{'numpy', 'scipy', 'pyarrow', 'sqlalchemy', 'rich', 'grafanalib', 'yaml'}}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )

    def loaded(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", script.format(list(arguments))],
            capture_output=True,
            text=True,
            check=True,
            cwd=REPOSITORY,
        )
        return done.stderr.splitlines()[-1]

    assert loaded("--help") == "[]"
    assert loaded("compile", str(STREAMREC), "--check") == "['grafanalib', 'yaml']"
