"""Outcomes joined to predictions: which one counts, and what happens to the others."""

import math
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from outcome_samples import MATURE, NOON, apart, measured, minutes, predictions, spec_with, together, write
from sqlalchemy import create_engine, text

from mlvitals.exporters.sections.outcomes.report import OutcomeReport
from mlvitals.exporters.sections.outcomes.views import gauges, lines
from mlvitals.generator.contract import Contract
from mlvitals.generator.spec.model import LogFormat, Outcome, OutcomeKind


def clicks(folder, ids, at, clicked=None, name="clicks/a.parquet"):
    write(folder, name, id=ids, seen=minutes(*at), clicked=[True] * len(ids) if clicked is None else clicked)


def test_the_window_looked_at_is_the_one_whose_outcomes_are_all_in(tmp_path):
    predictions(tmp_path)
    clicks(tmp_path, ["p0"], [5])
    report = measured(apart(), tmp_path)
    assert report.window == MATURE
    assert (report.predictions, report.answered, report.feedback_rate) == (4, 1, 0.25)


def test_of_a_window_that_is_not_over_nothing_is_said(tmp_path):
    predictions(tmp_path)
    clicks(tmp_path, ["p0"], [5])
    report = measured(apart(), tmp_path, now=NOON - timedelta(minutes=1))
    assert (report.mature, report.predictions, report.feedback_rate) == (False, 0, None)


def test_the_first_valid_outcome_counts_and_further_ones_are_duplicates(tmp_path):
    predictions(tmp_path)
    clicks(tmp_path, ["p0", "p0", "p0"], [9, 3, 6], [True, False, True])
    report = measured(apart(), tmp_path)
    assert (report.answered, report.duplicates, report.observed_mean) == (1, 2, 0.0)
    assert report.delay_p50_seconds == 180


def test_an_outcome_before_its_prediction_is_early_and_does_not_count(tmp_path):
    predictions(tmp_path)
    clicks(tmp_path, ["p3", "p3"], [1, 4], [True, False])
    report = measured(apart(), tmp_path)
    assert (report.early, report.answered, report.observed_mean) == (1, 1, 0.0)


def test_a_delay_of_zero_and_one_of_exactly_the_maximum_count_and_a_longer_one_is_late(tmp_path):
    predictions(tmp_path)
    clicks(tmp_path, ["p0", "p1", "p2"], [0, 61, 62 + 1e-6])
    report = measured(apart(), tmp_path)
    assert (report.answered, report.late) == (2, 1)


def test_an_outcome_whose_id_no_prediction_has_is_an_orphan(tmp_path):
    predictions(tmp_path)
    clicks(tmp_path, ["p0", "unknown", None], [5, 6, 7])
    assert measured(apart(), tmp_path).orphans == 2


def test_an_outcome_of_a_prediction_before_the_window_is_no_orphan(tmp_path):
    predictions(tmp_path)
    write(tmp_path, "log/before.parquet", id=["old"], timestamp=minutes(-30), score=[0.5])
    clicks(tmp_path, ["old"], [5])
    report = measured(apart(), tmp_path)
    assert (report.predictions, report.orphans, report.answered) == (4, 0, 0)


def test_an_outcome_of_a_prediction_after_the_window_is_no_orphan_though_it_is_early(tmp_path):
    predictions(tmp_path)
    write(tmp_path, "log/after.parquet", id=["next"], timestamp=minutes(80), score=[0.5])
    clicks(tmp_path, ["next"], [50])
    assert measured(apart(), tmp_path).orphans == 0


def test_without_a_time_every_outcome_counts_and_no_orphan_can_be_told(tmp_path):
    predictions(tmp_path)
    write(tmp_path, "clicks/a.parquet", id=["p0", "unknown"], clicked=[1, 0])
    report = measured(apart(timestamp=None), tmp_path)
    assert (report.answered, report.orphans, report.delay_p50_seconds) == (1, None, None)


def test_an_id_that_is_logged_twice_is_one_prediction_the_earlier(tmp_path):
    predictions(tmp_path, id=["p0", "p0", "p2", "p3"])
    clicks(tmp_path, ["p0"], [0.5])
    report = measured(apart(), tmp_path)
    assert (report.predictions, report.repeated_predictions, report.answered) == (3, 1, 1)
    assert report.predicted_mean == pytest.approx(0.2)


BIG = 2**60 + np.arange(4)


@pytest.mark.parametrize(
    ("logged", "observed"),
    [
        (pa.array([1000, 1001, 1002, 1003]), ["1000.0", "1001.0"]),
        (pa.array([1000.0, 1001.0, 1002.0, 1003.0]), pa.array([Decimal("1000"), Decimal("1001")])),
        (pa.array(BIG), [str(one) for one in BIG[:2]]),
        (pa.array([bytes([one] * 16) for one in range(4)], pa.binary(16)), [str(UUID(int=0)), UUID("01" * 16).hex]),
    ],
)
def test_an_id_is_the_same_however_predictions_and_outcomes_write_it(tmp_path, logged, observed):
    predictions(tmp_path, id=logged)
    clicks(tmp_path, observed, [5, 6])
    report = measured(apart(), tmp_path)
    assert (report.predictions, report.answered, report.orphans, report.problems) == (4, 2, 0, ())


def test_ids_that_floats_have_made_equal_are_refused_by_name_and_join_nothing(tmp_path):
    predictions(tmp_path, id=BIG)
    clicks(tmp_path, BIG[:2].astype(np.float64), [5, 6])
    report = measured(apart(), tmp_path)
    assert (report.predictions, report.answered) == (4, 0)
    (problem,) = report.problems
    assert problem.path.endswith("clicks/a.parquet")
    assert problem.problem == (
        "column 'id', by which outcomes are joined, holds ids as double, which does not distinguish integers from "
        "9,007,199,254,740,992 on, such as 1.152921504606847e+18; write integers or texts"
    )


@pytest.mark.parametrize("label", [float("nan"), float("inf"), 2.0, -1.0, 0.5])
def test_a_label_that_is_neither_0_nor_1_is_invalid_for_a_binary_outcome(tmp_path, label):
    predictions(tmp_path)
    clicks(tmp_path, ["p0", "p1"], [5, 6], pa.array([label, 1.0]))
    report = measured(apart(), tmp_path)
    assert (report.invalid, report.answered, report.observed_mean) == (1, 1, 1.0)


def test_a_label_column_that_changes_its_type_loses_only_what_cannot_be_read(tmp_path):
    predictions(tmp_path)
    clicks(tmp_path, ["p0"], [5], [True], "clicks/a.parquet")
    clicks(tmp_path, ["p1", "p2"], [6, 7], ["1", "yes, twice"], "clicks/b.parquet")
    clicks(tmp_path, ["p3"], [8], minutes(8), "clicks/c.parquet")
    report = measured(apart(), tmp_path)
    assert (report.answered, report.invalid, report.observed_mean) == (2, 2, 1.0)


def test_a_file_whose_labels_are_all_of_another_type_is_named(tmp_path):
    predictions(tmp_path)
    clicks(tmp_path, ["p0", "p1"], [5, 6], [True, False], "clicks/a.parquet")
    clicks(tmp_path, ["p2", "p3"], [7, 8], ["yes", "no"], "clicks/b.parquet")
    report = measured(apart(), tmp_path)
    [problem] = report.problems
    assert problem.path.endswith("clicks/b.parquet")
    assert problem.problem == "column 'clicked' holds string values, none a binary label"
    assert (report.answered, report.invalid) == (2, 2)


def test_a_file_in_which_only_some_labels_are_none_is_no_problem(tmp_path):
    predictions(tmp_path)
    clicks(tmp_path, ["p0", "p1"], [5, 6], ["1", "perhaps"])
    assert measured(apart(), tmp_path).problems == ()


def test_a_null_label_is_no_outcome(tmp_path):
    predictions(tmp_path)
    clicks(tmp_path, ["p0"], [5], [None])
    report = measured(apart(), tmp_path)
    assert (report.answered, report.invalid, report.feedback_rate) == (0, 0, 0.0)


def test_files_that_come_late_and_out_of_order_give_the_same_report(tmp_path):
    ids, at = [f"p{number}" for number in range(50)], list(range(1, 51))
    for folder, cuts in (("one", [range(50)]), ("many", [range(30, 50), range(10), range(10, 30)])):
        predictions(tmp_path / folder, 50)
        for place, cut in enumerate(cuts):
            name = f"clicks/date=2026-03-{9 - place:02}/a.parquet"
            chosen = [number % 3 == 0 for number in cut]
            clicks(tmp_path / folder, [ids[n] for n in cut], [at[n] for n in cut], chosen, name)
    one, many = (measured(apart(), tmp_path / folder) for folder in ("one", "many"))
    assert one == many
    assert one.answered == 50


def test_an_outcome_folder_that_ends_before_the_window_is_not_read(tmp_path):
    predictions(tmp_path)
    clicks(tmp_path, ["p0"], [5], name="clicks/date=2026-03-03/a.parquet")
    broken = tmp_path / "clicks" / "date=2026-01-01" / "b.parquet"
    broken.parent.mkdir()
    broken.write_bytes(b"no parquet")
    assert measured(apart(), tmp_path).problems == ()


def test_ids_that_are_numbers_on_one_side_and_text_on_the_other_match(tmp_path):
    predictions(tmp_path, id=[1, 2, 3, 4])
    clicks(tmp_path, ["1", "2"], [5, 6])
    assert measured(apart(), tmp_path).answered == 2


def test_outcomes_in_the_same_row_need_no_id(tmp_path):
    predictions(tmp_path, clicked=[True, False, None, None], seen=[*minutes(5, 6), None, None])
    for spec in (together(), spec_with(together().prediction_log.outcome, id=None)):
        report = measured(spec, tmp_path)
        assert (report.predictions, report.answered, report.observed_mean, report.orphans) == (4, 2, 0.5, None)


def test_an_outcome_without_the_time_it_should_have_is_untimed(tmp_path):
    predictions(tmp_path, clicked=[True, False, None, None], seen=[*minutes(5), None, None, None])
    report = measured(together(), tmp_path)
    assert (report.answered, report.untimed) == (1, 1)


def test_no_predictions_give_no_figure(tmp_path):
    write(tmp_path, "log/a.parquet", id=["later"], timestamp=minutes(90), score=[0.5])
    clicks(tmp_path, ["unknown"], [5])
    report = measured(apart(), tmp_path)
    assert (report.predictions, report.feedback_rate, report.gap, report.observed_mean) == (0, None, None, None)
    assert all(figure.value is None for figure in report.performance.values())


def test_the_gap_is_prediction_less_outcome_with_its_standard_error(tmp_path):
    predictions(tmp_path)
    clicks(tmp_path, ["p0", "p1", "p2", "p3"], [5, 6, 7, 8], [0, 0, 1, 1])
    report = measured(apart(), tmp_path)
    differences = np.linspace(0.2, 0.8, 4) - [0, 0, 1, 1]
    assert report.gap == pytest.approx(differences.mean())
    assert report.gap == pytest.approx(report.predicted_mean - report.observed_mean)
    assert report.gap_error == pytest.approx(differences.std(ddof=1) / 2)


def test_an_answered_prediction_without_a_score_counts_for_feedback_and_not_for_the_gap(tmp_path):
    predictions(tmp_path, score=[0.2, math.nan, math.inf, None])
    clicks(tmp_path, ["p0", "p1", "p2", "p3"], [5, 6, 7, 8])
    report = measured(apart(), tmp_path)
    assert (report.answered, report.paired, report.gap) == (4, 1, pytest.approx(-0.8))
    assert report.gap_error is None


def test_scores_of_another_type_are_told_and_feedback_still_counts(tmp_path):
    predictions(tmp_path, score=["high"] * 4)
    clicks(tmp_path, ["p0"], [5])
    report = measured(apart(), tmp_path)
    assert (report.answered, report.paired) == (1, 0)
    assert "column 'score' holds" in report.problems[0].problem


def test_outcome_files_that_are_not_there_are_told_and_nobody_is_blamed(tmp_path):
    predictions(tmp_path)
    [problem] = measured(apart(), tmp_path).problems
    assert "prediction_log.outcome.path cannot be read" in problem.problem


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"id": ["p0"], "seen": minutes(5)}, "lacks the columns clicked"),
        ({"seen": minutes(5), "clicked": [True]}, "lacks the columns id"),
        ({"id": ["p0"], "clicked": [True]}, "no time column 'seen'"),
        ({"id": [0.5], "seen": minutes(5), "clicked": [True]}, "numbers that are not whole"),
    ],
)
def test_an_outcome_file_without_a_column_it_needs_is_told_by_name(tmp_path, columns, said):
    predictions(tmp_path)
    write(tmp_path, "clicks/a.parquet", **columns)
    report = measured(apart(), tmp_path)
    assert said in report.problems[0].problem
    assert report.answered == 0


def break_file(folder, name):
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"PAR1 half written")


def lose_folder(folder):
    """Nothing is written."""


def lose_table(folder):
    (folder / "clicks").write_text("no database")


def lose_every_file(folder):
    break_file(folder, "clicks/a.parquet")
    break_file(folder, "clicks/b.parquet")


def lose_column(folder):
    write(folder, "clicks/a.parquet", id=["p0"], seen=minutes(5))


def lose_type(folder):
    clicks(folder, ["p0", "p1"], [5, 6], ["yes", "no"])


@pytest.mark.parametrize(
    ("lose", "outcome"),
    [
        (lose_folder, {}),
        (lose_every_file, {}),
        (lose_column, {}),
        (lose_type, {}),
        (lose_table, {"path": "sqlite:///clicks", "format": LogFormat.SQL, "table": "clicks"}),
    ],
)
def test_feedback_of_which_nothing_could_be_read_is_unknown_and_no_fall(tmp_path, lose, outcome):
    predictions(tmp_path, 200, timestamp=minutes(*[0] * 200))
    lose(tmp_path)
    spec = apart(expected_rate=0.9, **outcome)
    report = measured(spec, tmp_path)
    assert report.predictions == 200
    assert report.feedback_rate is report.feedback_interval is report.feedback_fall is None
    samples = gauges(Contract(spec), report)
    assert samples["feedback_rate"] == samples["feedback_rate_upper_bound"] == [((), None)]
    assert samples["feedback_files_unreadable"][0][1] > 0, "what MLFeedbackUnreadable fires on"
    assert "none of their outcomes could be read" in lines(report)[0].text


def test_a_log_without_the_column_of_its_outcomes_leaves_the_feedback_unknown(tmp_path):
    predictions(tmp_path)
    report = measured(together(), tmp_path)
    assert (report.predictions, report.feedback_rate) == (4, None)


def test_feedback_of_which_some_files_could_be_read_is_a_lower_bound(tmp_path):
    predictions(tmp_path)
    clicks(tmp_path, ["p0"], [5])
    break_file(tmp_path, "clicks/b.parquet")
    report = measured(apart(), tmp_path)
    assert (report.feedback_rate, len(report.problems)) == (0.25, 1)


def test_no_outcomes_are_no_feedback_though_a_file_of_predictions_is_broken(tmp_path):
    predictions(tmp_path)
    break_file(tmp_path, "log/b.parquet")
    (tmp_path / "clicks").mkdir()
    report = measured(apart(), tmp_path)
    assert report.feedback_rate == 0
    assert {problem.path.rpartition("/")[2] for problem in report.problems} == {"b.parquet"}


def test_outcomes_of_text_formats_are_read_by_what_they_are(tmp_path):
    predictions(tmp_path)
    (tmp_path / "clicks").mkdir()
    lines = ["id,seen,clicked", f"p0,{minutes(5)[0].isoformat()},1", f"p1,{minutes(6)[0].isoformat()},maybe"]
    (tmp_path / "clicks" / "a.csv").write_text("\n".join(lines) + "\n")
    report = measured(apart(format=LogFormat.CSV), tmp_path)
    assert (report.answered, report.invalid, report.problems) == (1, 1, ())


def test_outcomes_may_be_a_table(tmp_path):
    predictions(tmp_path)
    engine = create_engine(f"sqlite:///{tmp_path / 'outcomes.db'}")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE clicks (id TEXT, seen TEXT, clicked INTEGER)"))
        row = {"id": "p0", "seen": minutes(5)[0].isoformat(), "clicked": 1}
        connection.execute(text("INSERT INTO clicks VALUES (:id, :seen, :clicked)"), row)
    engine.dispose()
    report = measured(apart(path="sqlite:///outcomes.db", format=LogFormat.SQL, table="clicks"), tmp_path)
    assert (report.answered, report.problems) == (1, ())


def test_hundreds_of_thousands_of_rows_spill_to_disk_and_lose_nothing(tmp_path):
    count = 200_000
    random = np.random.default_rng(0)
    at = random.random(count) * 60
    predictions(tmp_path, count, timestamp=[MATURE.start] * count)
    order = random.permutation(count)[: count // 2]
    write(
        tmp_path,
        "clicks/a.parquet",
        id=[f"p{number}" for number in order],
        seen=(np.datetime64(MATURE.start.replace(tzinfo=None)) + (at[order] * 6e7).astype("timedelta64[us]")),
        clicked=order % 4 == 0,
    )
    report = measured(apart(), tmp_path)
    assert (report.predictions, report.answered, report.orphans) == (count, count // 2, 0)
    assert report.observed_mean == pytest.approx(np.mean(order % 4 == 0))
    assert report.delay_p95_seconds == pytest.approx(np.quantile(at[order] * 60, 0.95), rel=1e-6)


def test_the_json_form_comes_back_as_it_was_and_holds_no_nan(tmp_path):
    predictions(tmp_path)
    clicks(tmp_path, ["p0", "p1"], [5, 6], [1, 0])
    report = measured(apart(), tmp_path)
    written = msgspec.json.encode(report)
    assert b"NaN" not in written
    assert msgspec.json.decode(written, type=OutcomeReport) == report


def test_a_continuous_outcome_is_any_finite_number(tmp_path):
    predictions(tmp_path, score=[10.0, 20.0, 30.0, 40.0])
    write(tmp_path, "delays/a.parquet", id=["p0", "p1", "p2"], seen=minutes(5, 6, 7), delay=[12.0, -20.0, math.inf])
    outcome = Outcome(column="delay", kind=OutcomeKind.CONTINUOUS, path="delays", timestamp="seen", max_delay="1h")
    report = measured(spec_with(outcome), tmp_path)
    assert (report.answered, report.invalid) == (2, 1)
    assert report.performance["bias"].value == pytest.approx(19)
    assert report.performance["mae"].value == pytest.approx(21)
