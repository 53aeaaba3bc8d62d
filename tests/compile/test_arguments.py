"""Arguments that cannot be meant are wrong usage, said before the spec is even read."""

import pytest
from click.testing import CliRunner, Result

from mlvitals.cli import main

SPEC = "nowhere.yaml"
FOREVER = "999999999999w"
PROMETHEUS = ("--prometheus", "http://127.0.0.1:1")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ("verify", SPEC, *PROMETHEUS, "--range", FOREVER),
        ("verify", SPEC, *PROMETHEUS, "--slow", FOREVER),
        ("backfill", SPEC, "--start", "2026-01-01", "--end", "2026-01-02", "--save", "--every", FOREVER),
    ],
)
def test_a_duration_longer_than_time_is_counted_is_wrong_usage(arguments: tuple[str, ...]):
    done = run(*arguments)
    assert done.exit_code == 2, done.exception
    assert f"{FOREVER} is too long" in done.output


@pytest.mark.parametrize("text", ["0s", "", "month", "1h 30m"])
def test_what_is_no_duration_is_wrong_usage(text: str):
    assert run("verify", SPEC, *PROMETHEUS, "--range", "1h", "--range", text).exit_code == 2


@pytest.mark.parametrize("factor", ["inf", "nan", "0.5"])
@pytest.mark.parametrize("command", ["compile", "drift", "export"])
def test_time_is_compressed_by_a_finite_factor_of_at_least_1(command: str, factor: str):
    done = run(command, SPEC, "--compress-time", factor)
    assert done.exit_code == 2, done.exception


@pytest.mark.parametrize(
    "url",
    [
        "http://[::1",
        "http://a:b",
        "http://a:65536",
        "http://",
        "http://a b",
        "http://a/\u00e4",
        "ftp://a",
        "localhost:90",
    ],
)
@pytest.mark.parametrize("option", [("slo", "--prometheus"), ("verify", "--prometheus"), ("drift", "--pushgateway")])
def test_an_address_that_is_no_url_is_wrong_usage(option: tuple[str, str], url: str):
    command, name = option
    done = run(command, SPEC, name, url)
    assert done.exit_code == 2, done.exception
    assert "is not a URL such as http://localhost:9090" in done.output


@pytest.mark.parametrize("url", ["http://[::1]:9090", "https://shop.example/prometheus/", "http://a:1"])
def test_a_url_is_taken(url: str):
    assert "nowhere.yaml" in run("slo", SPEC, "--prometheus", url).output


@pytest.mark.parametrize("text", ["", " padded ", "two\nlines", "x" * 201])
def test_a_version_that_no_line_can_show_is_wrong_usage(text: str):
    assert run("annotate", "deployment", SPEC, "--version", text).exit_code == 2
    assert run("reference", "build", SPEC, "--data", "x", "--model-version", text).exit_code == 2


def test_help_of_evaluate_names_every_folder_that_is_read():
    told = run("evaluate", "--help").output
    assert all(
        f"{name}/" in told for name in ("predictions", "outcomes", "recomputed", "events", "training", "metrics")
    )
