"""Noted changes: kept, published, marked."""

import json
from contextlib import closing
from datetime import UTC, datetime, timedelta

from click.testing import CliRunner

from mlvitals.cli import main
from mlvitals.exporters.publish.results import open_results
from mlvitals.exporters.sections.changes import Change, ChangeKind
from mlvitals.generator.spec.model import Results

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)


def change(minutes: int, name: str = "user_batch_features", version: str = "42") -> Change:
    return Change(ChangeKind.PIPELINE, name, NOON + timedelta(minutes=minutes), version, "dana")


def test_the_newest_changes_of_a_system_are_given_newest_first(database):
    with_two = database.open()
    for minutes in (0, 2, 1):
        with_two.note("shop", change(minutes))
    with_two.note("other", change(9))
    assert with_two.newest_changes("shop", 2) == (change(2), change(1))
    with_two.close()


def test_a_change_noted_again_takes_the_place_of_the_first(database):
    results = database.open()
    results.note("shop", change(0, version="42"))
    results.note("shop", change(0, version="43"))
    assert results.newest_changes("shop", 9) == (change(0, version="43"),)
    results.close()


def noted(tmp_path) -> tuple[Change, ...]:
    with closing(open_results(Results(url="sqlite:///results.db"), tmp_path)) as results:
        return results.newest_changes("shop", 9)


def annotate(tmp_path, *arguments: str, sources: str = ""):
    spec = tmp_path / "shop.yaml"
    spec.write_text(
        f"version: 1\nsystem: {{name: shop}}\nprediction_log: {{path: log, timestamp: at}}\n"
        f"features: {{age: {{}}}}\nresults: {{url: 'sqlite:///results.db'}}\nsources: {{{sources}}}\n"
    )
    kind, *rest = arguments
    return CliRunner().invoke(main, ["annotate", kind, str(spec), *rest])


def test_a_noted_pipeline_change_is_in_the_results_database(tmp_path):
    done = annotate(tmp_path, "pipeline", "user features", "--version", "7", "--author", "amara", "--at", "2026-03-03")
    assert done.output == "recorded pipeline user features 7 at 2026-03-03T00:00:00Z\n"
    [found] = noted(tmp_path)
    assert found == Change(ChangeKind.PIPELINE, "user features", datetime(2026, 3, 3, tzinfo=UTC), "7", "amara")


def test_a_pipeline_that_is_no_source_of_the_spec_is_noted_with_a_warning_that_names_the_nearest(tmp_path):
    sources = "user_batch_features: {path: users, max_age: 1h}, prices: {path: prices, max_age: 1h}"
    done = annotate(tmp_path, "pipeline", "user_batch_feature", "--version", "7", sources=sources)
    assert (done.exit_code, [change.name for change in noted(tmp_path)]) == (0, ["user_batch_feature"])
    assert done.stderr == (
        'warning: the spec has no source "user_batch_feature", only "user_batch_features", "prices"; '
        'did you mean "user_batch_features"?\n'
    )


def test_a_pipeline_that_is_a_source_of_the_spec_is_noted_without_a_word(tmp_path):
    done = annotate(tmp_path, "pipeline", "prices", "--version", "7", sources="prices: {path: prices, max_age: 1h}")
    assert (done.exit_code, done.stderr) == (0, "")


def test_a_deployment_is_of_the_model(tmp_path):
    assert annotate(tmp_path, "deployment", "--version", "v8").exit_code == 0
    [found] = noted(tmp_path)
    assert (found.kind, found.name, found.version) == (ChangeKind.DEPLOYMENT, "model", "v8")


def test_a_version_that_cannot_be_shown_is_refused(tmp_path):
    done = annotate(tmp_path, "deployment", "--version", "two\nlines")
    assert done.exit_code == 2
    assert "printable" in done.output


def test_changes_are_marked_at_the_time_they_were_made_not_scraped(streamrec_files):
    shown = json.loads(streamrec_files["dashboards/streamrec.json"])
    [marks] = [item for item in shown["annotations"]["list"] if item["name"] == "Pipeline changes"]
    assert marks["useValueForTime"] is True
    assert marks["expr"].endswith('(streamrec_change_timestamp_seconds{kind="pipeline"}) * 1000')
