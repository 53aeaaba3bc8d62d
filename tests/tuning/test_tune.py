"""`mlvitals tune`: thresholds that the past would have kept quiet with, and that would have missed nothing real."""

from contextlib import closing
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from command_line import mlvitals
from exporter_samples import HOUR, NOON, report
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from mlvitals.exporters.parts import Finding, Measure, Window
from mlvitals.exporters.publish.results import open_results
from mlvitals.exporters.sections.changes import Change, ChangeKind
from mlvitals.exporters.sections.features.report import FeatureReport
from mlvitals.exporters.window.report import WindowReport
from mlvitals.generator.contract import Status
from mlvitals.generator.spec.load import load_spec, parse_spec
from mlvitals.generator.spec.model import Condition, FeatureType, Results, Severity, Spec
from mlvitals.tuning.normal import Marked, changed_segments
from mlvitals.tuning.propose import TooShortError, Tuning, tune
from mlvitals.tuning.series import Alarm, alarms

DAY = timedelta(days=1)
SPEC = """\
# Written by hand.
version: 1
system: {name: shop}
prediction_log: {path: log, timestamp: at}
windows: {length: 1d}  # a day
features:
  age: {type: integer}  # years

  # Of the customer.
  country:
    type: categorical
results: {url: "sqlite:///results.db"}
"""


@pytest.fixture
def spec() -> Spec:
    return parse_spec(SPEC)


def days_of(psi: list[float], *, noise: float = 0.01, step: timedelta = DAY, rows: int = 1000) -> list[WindowReport]:
    """Reports of windows with these PSI of `age`; `country` never moves."""
    calm = FeatureReport(
        type=FeatureType.FLOAT, status=Status.OK, rows=rows, psi=Measure(value=0.005, critical_value=noise)
    )
    return [
        report(
            window=Window(NOON + place * step - step, NOON + place * step),
            features={"age": replace(calm, psi=Measure(value=value, critical_value=noise)), "country": calm},
            score=None,
            rows=rows,
            findings=(),
            severity=None,
        )
        for place, value in enumerate(psi)
    ]


def quiet(count: int, seed: int = 0) -> list[float]:
    return np.random.default_rng(seed).uniform(0.01, 0.06, count).round(4).tolist()


def with_storms(count: int = 112, peaks: tuple[float, ...] = (0.14, 0.19, 0.12, 0.31, 0.17)) -> list[float]:
    """Days of which every three weeks one is out of the ordinary."""
    values = quiet(count)
    for place, peak in enumerate(peaks):
        values[10 + 21 * place] = peak
    return values


def levels(tuning: Tuning) -> dict[tuple[object, ...], object]:
    return {proposal.path: proposal.value for proposal in tuning.proposals}


# ---------------------------------------------------------------- proposals


def test_storms_raise_the_level_to_where_the_wanted_number_of_them_remains(spec: Spec):
    found = tune(spec, days_of(with_storms()), every=56 * DAY)
    assert levels(found) == {
        ("features", "age", "thresholds", "psi", "warning"): 0.17,
        ("features", "age", "thresholds", "psi", "critical"): 0.25,
    }
    assert (found.before, found.after, found.allowed) == (5, 2, 2)


def test_a_past_that_is_quiet_enough_is_left_alone(spec: Spec):
    found = tune(spec, days_of(with_storms()), every=14 * DAY)
    assert (found.before, found.after) == (5, 5)
    assert found.proposals == ()


@pytest.mark.parametrize(
    ("peaks", "level"),
    [
        pytest.param((0.14, 0.19, 0.12), 0.12, id="storms may be told from it"),
        pytest.param((0.3, 0.31, 0.32), None, id="storms are larger than it"),
    ],
)
def test_a_change_that_stays_is_real_and_stays_found(spec: Spec, peaks: tuple[float, ...], level: float | None):
    values = with_storms(peaks=peaks)
    values[70:] = [0.16 + value / 10 for value in quiet(len(values) - 70)]
    found = tune(spec, days_of(values), every=56 * DAY)
    [effect] = found.effects
    assert effect.before.real == 1
    assert effect.after.real == 1
    assert "a change of level from 2026-05-" in effect.laid_to[0]
    assert levels(found).get(("features", "age", "thresholds", "psi", "warning")) == level
    assert any("would silence a real one" in remark for remark in found.remarks) == (level is None)


def test_what_people_recorded_is_real(spec: Spec):
    values = with_storms()
    reports = days_of(values)
    incident = Marked(reports[73].window.start, reports[73].window.end, "incident 2026-05-15-storm")
    change = Marked(reports[52].window.start + HOUR, None, "pipeline of features to 7")
    found = tune(spec, reports, 56 * DAY, [incident, change])
    [effect] = found.effects
    assert (effect.before.real, effect.after.real) == (2, 2)
    assert effect.laid_to == ("pipeline of features to 7", "incident 2026-05-15-storm")
    assert (found.before, found.after) == (3, 3)  # 0.12 was real: no level above it is proposed
    assert "would silence a real one" in found.remarks[0]


def test_a_rhythm_of_the_week_asks_for_a_condition_and_not_for_a_level(spec: Spec):
    values = [0.2 if place % 7 == 5 else value for place, value in enumerate(quiet(84))]
    found = tune(spec, days_of(values), every=28 * DAY)
    assert levels(found) == {("reference", "condition"): Condition.DAY_OF_WEEK.value}
    assert "new reference" in found.remarks[0]


def test_windows_too_small_are_lengthened(spec: Spec):
    small = Finding(section="window", kind="window_too_small", severity=Severity.WARNING)
    reports = [replace(one, rows=170, findings=(small,)) for one in days_of(quiet(60))]
    found = levels(tune(spec, reports, every=28 * DAY))
    assert found == {("windows", "length"): "1w", ("windows", "step"): "1d"}


def test_alarms_that_last_for_days_are_not_repeated_each_half_day(spec: Spec):
    values = quiet(120)
    for start in (10, 40, 70, 100):
        values[start : start + 3] = [0.15] * 3
    found = levels(tune(spec, days_of(values), every=14 * DAY))
    assert found == {("alerts", "feature_psi", "cooldown", "warning"): "2d"}


def test_a_short_history_is_refused_with_what_it_lacks(spec: Spec):
    with pytest.raises(TooShortError, match=r"needs 30 windows with rows over 8w, and has 20 over 2w6d"):
        tune(spec, days_of(quiet(20)), every=28 * DAY)
    with pytest.raises(TooShortError, match="has 0"):
        tune(spec, [], every=DAY)


# ---------------------------------------------------------------- alarms


def test_one_better_window_ends_no_alarm():
    assert alarms(np.array([0, 1, 0, 1, 0, 0, 1, np.nan, np.nan, 1.0]), 0.5) == (Alarm(1, 3), Alarm(6, 6), Alarm(9, 9))


@given(st.lists(st.floats(0, 1), max_size=60), st.floats(0, 1))
def test_alarms_hold_every_window_beyond_the_level_and_part_at_two_others(values: list[float], level: float):
    found = alarms(np.array(values), level)
    inside = {place for one in found for place in range(one.first, one.last + 1)}
    assert {place for place, value in enumerate(values) if value > level} <= inside
    assert all(values[one.first] > level and values[one.last] > level for one in found)
    assert all(later.first - earlier.last > 2 for earlier, later in pairwise(found))


def test_a_test_for_changes_is_as_rarely_wrong_as_it_says():
    generator = np.random.default_rng(1)
    wrong = sum(bool(changed_segments(generator.lognormal(size=90))) for _ in range(1000))
    assert wrong <= 3


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(0.001, 0.4), min_size=60, max_size=60), st.integers(1, 4))
def test_no_proposal_silences_what_was_real_or_leaves_more_false_alarms(values: list[float], months: int):
    spec = parse_spec(SPEC)
    reports = days_of(values)
    marked = [Marked(reports[30].window.start, reports[33].window.end, "incident a")]
    found = tune(spec, reports, months * 7 * DAY, marked)
    assert found.after <= found.before
    for effect in found.effects:
        assert bool(effect.after.real) == bool(effect.before.real)
    assert found == tune(spec, reports, months * 7 * DAY, marked)


# ---------------------------------------------------------------- the command


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "shop.yaml").write_text(SPEC)
    with closing(open_results(Results(url="sqlite:///results.db"), tmp_path)) as results:
        for one in days_of(with_storms()):
            results.save(one)
    return tmp_path


def test_the_diff_has_the_reason_next_to_each_line_and_keeps_the_rest(place: Path):
    done = mlvitals("tune", place / "shop.yaml", "--every", "8w")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "--- a/shop.yaml",
        "+++ b/shop.yaml",
        "@@ -4,7 +4,8 @@",
        " prediction_log: {path: log, timestamp: at}",
        " windows: {length: 1d}  # a day",
        " features:",
        "-  age: {type: integer}  # years",
        "+  # 5 false alarms at 0.1, at most 2 at 0.17",
        "+  age: {type: integer, thresholds: {psi: {warning: 0.17, critical: 0.25}}}  # years",
        " ",
        "   # Of the customer.",
        "   country:",
    ]
    assert "5 before, 2 after" in " ".join(done.stderr.split())
    assert (place / "shop.yaml").read_text() == SPEC


def test_it_changes_the_spec_when_asked_to(place: Path):
    assert mlvitals("tune", place / "shop.yaml", "--every", "8w", "--apply").returncode == 0
    changed = load_spec(place / "shop.yaml")
    assert changed.features["age"].thresholds.psi is not None
    assert changed.features["age"].thresholds.psi.warning == 0.17
    again = mlvitals("tune", place / "shop.yaml", "--every", "8w")
    assert again.stdout == ""
    assert "Nothing to propose" in again.stderr


def test_or_writes_another_file(place: Path):
    assert mlvitals("tune", place / "shop.yaml", "--every", "8w", "--output", place / "new.yaml").returncode == 0
    assert (place / "shop.yaml").read_text() == SPEC
    assert load_spec(place / "new.yaml") != load_spec(place / "shop.yaml")


def test_recorded_changes_count(place: Path):
    with closing(open_results(Results(url="sqlite:///results.db"), place)) as results:
        results.note("shop", Change(ChangeKind.PIPELINE, "features", NOON + 51 * DAY, "7", "amara"))
    done = mlvitals("tune", place / "shop.yaml", "--every", "8w")
    assert "Not counted as normal, psi of age: pipeline of features to 7." in " ".join(done.stderr.split())
    assert done.stdout == ""


def test_a_short_history_is_an_error(place: Path):
    done = mlvitals("tune", place / "shop.yaml", "--every", "16w")
    assert done.returncode == 1
    assert "too short" in done.stderr
