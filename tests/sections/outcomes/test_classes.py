"""Outcomes of more than two classes: scikit-learn's metrics, the same bits in any order, and what is judged of them."""

import json
import sqlite3
from contextlib import closing
from datetime import timedelta

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from class_samples import NAMES, Digits, digits, log_of, of_classes, reference_of
from gap_history import drift_history
from hypothesis import given, settings
from hypothesis import strategies as st
from outcome_samples import HOUR, MATURE, NOON, measured
from pyarrow import csv, feather, parquet
from sklearn import metrics

from mlvitals.exporters.parts import Window
from mlvitals.exporters.publish.html.classes import MOST_IN_MATRIX
from mlvitals.exporters.publish.html.outcomes import outcome_section
from mlvitals.exporters.reference.artifact import Reference
from mlvitals.exporters.reference.confusion import Confusion
from mlvitals.exporters.sections.features.views import gauges as feature_gauges
from mlvitals.exporters.sections.outcomes.classes.judge import balanced_loss
from mlvitals.exporters.sections.outcomes.classes.tally import ClassTally, ExactSums
from mlvitals.exporters.sections.outcomes.findings import findings
from mlvitals.exporters.sections.outcomes.views import gauges, lines
from mlvitals.exporters.training.build import ReferenceDataError
from mlvitals.exporters.window.history import judge
from mlvitals.exporters.window.measure import measure_window
from mlvitals.exporters.window.sections import SECTIONS
from mlvitals.generator.contract import CLASSES_SHOWN, Contract
from mlvitals.generator.spec.model import LogFormat, Severity

EXACT = 1e-12


def values_of(report):
    return {name: figure.value for name, figure in report.performance.items()}


# ---------------------------------------------------------------- metrics


def test_metrics_of_digits_are_those_of_scikit_learn(tmp_path):
    _, now = digits()
    log_of(tmp_path, now)
    found = values_of(measured(of_classes(), tmp_path))
    assert found["accuracy"] == metrics.accuracy_score(now.labels, now.predicted)
    for mean in ("macro", "weighted"):
        precision, recall, f1, _ = metrics.precision_recall_fscore_support(now.labels, now.predicted, average=mean)
        assert found[f"{mean}_precision"] == pytest.approx(precision, abs=EXACT)
        assert found[f"{mean}_recall"] == pytest.approx(recall, abs=EXACT)
        assert found[f"{mean}_f1"] == pytest.approx(f1, abs=EXACT)
    assert found["macro_recall"] == pytest.approx(metrics.balanced_accuracy_score(now.labels, now.predicted), abs=EXACT)
    assert found["log_loss"] == pytest.approx(metrics.log_loss(now.labels, now.probabilities, labels=NAMES), abs=EXACT)


def test_the_confusion_matrix_and_each_class_are_those_of_scikit_learn(tmp_path):
    before, now = digits()
    spec = of_classes()
    log_of(tmp_path, now)
    classes = measured(spec, tmp_path, reference_of(spec, before).outcome).classes
    for matrix, rows in ((classes.matrix, now), (classes.reference_matrix, before)):
        assert np.array_equal(
            np.array(matrix)[:-1, :-1], metrics.confusion_matrix(rows.labels, rows.predicted, labels=NAMES)
        )
    sides = [metrics.precision_recall_fscore_support(side.labels, side.predicted) for side in (now, before)]
    for place, name in enumerate(("precision", "recall", "f1")):
        for side, kind in zip(sides, ("value", "reference"), strict=True):
            assert [getattr(getattr(item, name), kind) for item in classes.classes] == pytest.approx(side[place])
    assert [item.true for item in classes.classes] == sides[0][3].tolist()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60),
    st.integers(1, 4),
)
def test_any_classes_give_the_metrics_of_scikit_learn_also_where_some_never_occur(pairs, parts):
    true, predicted = (np.array(side, float) for side in zip(*pairs, strict=True))
    tally = ClassTally(("a", "b", "c", "d"))
    for part in np.array_split(np.arange(len(true)), parts):
        tally.add(predicted[part], None, true[part])
    found = tally.found().figures
    assert found["accuracy"] == metrics.accuracy_score(true, predicted)
    for mean in ("macro", "weighted"):
        known = metrics.precision_recall_fscore_support(
            true, predicted, labels=range(4), average=mean, zero_division=np.nan
        )
        for name, value in zip(("precision", "recall", "f1"), known[:3], strict=True):
            mine = found[f"{mean}_{name}"]
            if mine is None:  # of classes without any outcome scikit-learn takes a mean all the same
                assert np.isnan(value) or (mean == "weighted" and value == 0)
            else:
                assert mine == pytest.approx(value, abs=EXACT)
    assert (found["log_loss"], found["calibration_error"]) == (None, None)


def test_the_predicted_class_of_a_column_counts_before_the_most_probable_one(tmp_path):
    _, now = digits()
    log_of(tmp_path, now, guess=np.roll(now.predicted, 1))
    found = values_of(measured(of_classes(prediction="guess"), tmp_path))
    assert found["accuracy"] == metrics.accuracy_score(now.labels, np.roll(now.predicted, 1))
    assert found["log_loss"] == pytest.approx(metrics.log_loss(now.labels, now.probabilities, labels=NAMES), abs=EXACT)


def test_predicted_classes_alone_have_no_log_loss(tmp_path):
    _, now = digits()
    log_of(tmp_path, now)
    found = values_of(measured(of_classes(prediction="guess", probabilities={}, classes=NAMES), tmp_path))
    assert found["accuracy"] == metrics.accuracy_score(now.labels, now.predicted)
    assert (found["log_loss"], found["calibration_error"]) == (None, None)


@pytest.mark.parametrize("wrong", [0.6, -0.1, 1.1, float("nan")], ids=["sum", "negative", "above 1", "missing"])
def test_numbers_that_are_no_probabilities_have_no_log_loss_and_the_report_says_why(tmp_path, wrong):
    _, now = digits()
    probabilities = now.probabilities.copy()
    probabilities[7, 0] = wrong
    log_of(tmp_path, now._replace(probabilities=probabilities))
    report = measured(of_classes(prediction="guess"), tmp_path)
    assert report.performance["log_loss"].value is None
    assert report.not_judged["log_loss"] == (
        "the probabilities of 1 predictions are missing, outside 0 to 1, or do not sum to 1"
    )
    assert report.performance["accuracy"].value is not None


def test_certain_probabilities_cost_in_log_loss_what_they_cost_in_scikit_learn():
    probabilities, labels = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.2, 0.3, 0.5]]), np.array([0, 2, 1])
    tally = ClassTally(("a", "b", "c"))
    tally.add(np.array([1.0, 2.0, 2.0]), probabilities, labels.astype(float))
    assert tally.found().figures["log_loss"] == pytest.approx(metrics.log_loss(labels, probabilities), abs=EXACT)


# ---------------------------------------------------------------- order


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0, 36.05), min_size=1, max_size=50), st.randoms(use_true_random=False))
def test_sums_are_exact_so_that_their_order_changes_no_bit(values, random):
    forwards, shuffled = ExactSums([0]), ExactSums([0])
    forwards.add(np.array(values), np.zeros(len(values), int))
    random.shuffle(values)
    for value in values:
        shuffled.add(np.array([value]), np.zeros(1, int))
    assert forwards.units == shuffled.units
    assert forwards.mean(0, len(values)) == pytest.approx(np.mean(values), abs=1e-14)


@pytest.mark.parametrize("has_ids", [True, False], ids=["with ids", "without ids"])
def test_a_report_has_the_same_bits_however_rows_are_spread_over_files(tmp_path, has_ids):
    _, now = digits()
    spec = of_classes()
    order = np.random.default_rng(5).permutation(len(now.labels))
    log_of(tmp_path / "one", now)
    for place, rows in enumerate(np.array_split(order, 7)):
        log_of(tmp_path / "many", now.take(rows), f"log/{place}.parquet", id=rows)
    if not has_ids:
        spec = msgspec.structs.replace(spec, prediction_log=msgspec.structs.replace(spec.prediction_log, id=None))
    one, many = (measured(spec, tmp_path / folder) for folder in ("one", "many"))
    assert (one.performance, one.classes, one.calibration) == (many.performance, many.classes, many.calibration)


# ---------------------------------------------------------------- changes


def test_an_unchanged_classifier_is_not_judged_bad(tmp_path):
    before, now = digits()
    spec = of_classes()
    log_of(tmp_path, now)
    report = measured(spec, tmp_path, reference_of(spec, before).outcome)
    assert report.severity is None
    assert report.performance_loss.critical_value < 0.1
    assert report.label_shift.value < report.label_shift.critical_value
    assert list(findings(spec, report)) == []


def confused(rows, one="digit 4", other="digit 9", every=2):
    """Some of one class are in truth another, which the classifier does not know of."""
    labels = rows.labels.copy()
    those = np.flatnonzero(labels == one)[::every]
    labels[those] = other
    return rows._replace(labels=labels)


def test_one_class_that_is_taken_for_another_is_found_and_named(tmp_path):
    before, now = digits()
    spec = of_classes()
    log_of(tmp_path, confused(now, every=1))
    report = measured(spec, tmp_path, reference_of(spec, before).outcome)
    worst = report.classes.worst_first[0]
    assert (worst.name, worst.recall_loss.severity) == ("digit 9", Severity.WARNING)
    assert report.classes.matrix[NAMES.index("digit 9")][NAMES.index("digit 4")] > 50
    assert ("class_recall", "digit 9") in {(item.kind, item.subject) for item in findings(spec, report)}
    assert "Class digit 9: recall" in "\n".join(line.text for line in lines(report))


def test_predictions_that_say_nothing_any_more_are_a_loss_of_performance(tmp_path):
    before, now = digits()
    spec = of_classes()
    mixed = now._replace(probabilities=np.random.default_rng(1).permutation(now.probabilities))
    log_of(tmp_path, mixed)
    report = measured(spec, tmp_path, reference_of(spec, before).outcome)
    assert report.performance_loss.severity is Severity.CRITICAL
    assert report.performance_loss.value > 0.9


def test_another_mix_of_classes_is_label_drift_and_no_loss_of_performance(tmp_path):
    before, now = digits()
    spec = of_classes()
    fewer = np.flatnonzero((now.labels > "digit 4") | (np.arange(len(now.labels)) % 6 == 0))
    log_of(tmp_path, now.take(fewer))
    report = measured(spec, tmp_path, reference_of(spec, before).outcome)
    assert report.label_shift.severity is Severity.CRITICAL
    assert report.performance_loss.severity is None


@pytest.mark.slow
def test_chance_alone_loses_performance_and_recall_at_most_once_in_1000_windows():
    """One-sided noise floors, of rare and frequent classes, known well and badly."""
    random = np.random.default_rng(11)
    sizes, chances, before = np.array([400, 120, 40, 12]), np.array([0.95, 0.8, 0.9, 0.6]), 5
    beyond = 0
    for _ in range(4_000):
        sides = [_drawn(random, scale * sizes, chances) for scale in (1, before)]
        found = balanced_loss(*sides, {})
        beyond += found.value > found.critical_value
    assert beyond <= 8  # 2 are expected


def _drawn(random, sizes, chances):
    hits = random.binomial(sizes, chances)
    matrix = np.diag(np.append(hits, 0))
    matrix[np.arange(len(sizes)), (np.arange(len(sizes)) + 1) % len(sizes)] += sizes - hits
    return Confusion(names=tuple("abcd"[: len(sizes)]), matrix=tuple(map(tuple, matrix.tolist())))


# ---------------------------------------------------------------- classes that nobody listed


def test_classes_that_the_spec_does_not_list_are_named_counted_and_never_right(tmp_path):
    before, now = digits()
    spec = of_classes(prediction="guess")
    labels, guesses = now.labels.astype(object), now.predicted.astype(object)
    labels[:30], guesses[:20] = "<b>eleven</b>", "<b>eleven</b>"
    log_of(tmp_path, now, digit=labels.tolist(), guess=guesses.tolist())
    report = measured(spec, tmp_path, reference_of(spec, before).outcome)
    assert report.classes.unseen_labels == {"<b>eleven</b>": 30}
    assert report.classes.unseen_predictions == {"<b>eleven</b>": 20}
    assert report.classes.unlisted_ratio == {"outcomes": 30 / len(labels), "predictions": 20 / len(labels)}
    right = np.count_nonzero((labels == guesses)[30:])
    assert report.performance["accuracy"].value == right / len(labels)
    assert {item.subject for item in findings(spec, report) if item.kind == "unlisted_class"} == {
        "outcomes",
        "predictions",
    }


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"digit": "zebra"}, "with the outcomes, 'digit', holds classes that the spec does not list: 'zebra'"),
        ({"guess": "zebra"}, "with the predictions, 'guess', holds classes that the spec does not list: 'zebra'"),
        ({"p3": 1.7}, "under prediction_log.outcome.probabilities holds values outside 0 to 1"),
    ],
)
def test_training_data_that_do_not_fit_are_refused(changes, said):
    before, _ = digits()
    columns = {name: np.full(len(before.labels), value) for name, value in changes.items()}
    with pytest.raises(ReferenceDataError, match=r"prediction_log\.outcome") as refused:
        reference_of(of_classes(prediction="guess"), before, **columns)
    assert said in str(refused.value)


def test_integers_booleans_and_text_are_the_same_class(tmp_path):
    _, now = digits()
    numbers = np.array([NAMES.index(label) for label in now.labels])
    spec = of_classes(probabilities={str(place): f"p{place}" for place in range(10)})
    for name, column in {"int": numbers, "float": numbers.astype(float), "text": numbers.astype(str)}.items():
        log_of(tmp_path / name, now, digit=column)
    reports = [measured(spec, tmp_path / name) for name in ("int", "float", "text")]
    assert reports[0].performance["accuracy"].value == metrics.accuracy_score(now.labels, now.predicted)
    assert all(report.classes == reports[0].classes for report in reports)


# ---------------------------------------------------------------- what is published


def test_metrics_of_the_worst_classes_are_published_and_of_no_more(tmp_path):
    names = [f"c{number}" for number in range(60)]
    random = np.random.default_rng(2)
    _, now = digits()
    rows = now.take(random.integers(0, len(now.labels), 1200))
    labels = random.choice(names, 1200)
    spec = of_classes(probabilities={}, classes=tuple(names), prediction="guess")
    log_of(tmp_path, rows, digit=labels, guess=labels)
    report = measured(spec, tmp_path)
    published = gauges(Contract(spec), report)
    assert len(report.classes.classes) == 60
    assert len(list(published["class_recall"])) == CLASSES_SHOWN
    assert "outcome_mean" not in published


def test_the_reference_keeps_its_classes_in_json():
    before, _ = digits()
    reference = reference_of(of_classes(), before)
    again = Reference.from_json(reference.to_json())
    assert again.outcome == reference.outcome
    assert sum(again.outcome.class_labels.values()) == len(before.labels)


# ---------------------------------------------------------------- before outcomes are known


def window_of(spec, folder, reference):
    """The report of the hour whose predictions `log_of` writes, measured at its end."""
    return measure_window(spec, folder, reference, "v1", MATURE, MATURE.end)


def calibrated(count, seed):
    """Rows of which each class comes as often as its probability says."""
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet([0.3] * len(NAMES), count)
    places = (probabilities.cumsum(axis=1) > random.random((count, 1))).argmax(axis=1)
    return Digits(np.array(NAMES)[places], np.array(NAMES)[probabilities.argmax(axis=1)], probabilities)


def test_calibrated_probabilities_estimate_the_performance_that_outcomes_then_show(tmp_path):
    spec, now = of_classes(), calibrated(4000, 5)
    log_of(tmp_path, now)
    report = window_of(spec, tmp_path, reference_of(spec, calibrated(4000, 6)))
    estimated, shown = report.outcomes.estimated, now.predicted
    assert (estimated.reason, estimated.scores) == ("", 4000)
    assert estimated.figures["estimated_accuracy"] == pytest.approx(np.mean(shown == now.labels), abs=0.02)
    for name, score in (
        ("precision", metrics.precision_score),
        ("recall", metrics.recall_score),
        ("f1", metrics.f1_score),
    ):
        expected = score(now.labels, shown, average="macro")
        assert estimated.figures[f"estimated_macro_{name}"] == pytest.approx(expected, abs=0.02)
    named = dict(gauges(Contract(spec), report.outcomes)["performance_estimated"])
    assert named[("accuracy",)] == estimated.figures["estimated_accuracy"]


def test_the_estimate_follows_a_harder_population_and_says_that_it_is_one(tmp_path):
    spec, now = of_classes(), calibrated(4000, 5)
    harder = now.take(now.probabilities.max(axis=1) < 0.6)
    log_of(tmp_path, harder)
    report = window_of(spec, tmp_path, reference_of(spec, calibrated(4000, 6)))
    truth = np.mean(harder.predicted == harder.labels)
    assert report.outcomes.estimated.figures["estimated_accuracy"] == pytest.approx(truth, abs=0.03)
    assert "Estimated, not measured" in "\n".join(line.text for line in _outcome_lines(report))


def _outcome_lines(report):
    return [line for section in SECTIONS for line in section.lines_of(report)] + lines(
        msgspec.structs.replace(report.outcomes, mature=True, feedback_rate=1.0)
    )


def test_probabilities_that_the_reference_shows_to_be_uncalibrated_promise_nothing(tmp_path):
    before, now = digits()
    spec = of_classes()
    log_of(tmp_path, now)
    estimated = window_of(spec, tmp_path, reference_of(spec, before)).outcomes.estimated
    assert estimated.figures == {}
    assert estimated.reason.startswith("the scores are not calibrated: their calibration error in the reference is 0.")


# ---------------------------------------------------------------- segments and concept drift


def test_a_segment_whose_classes_are_mistaken_is_found_by_its_share_of_wrong_predictions(tmp_path):
    before, now = digits()
    spec = of_classes()
    spec = msgspec.structs.replace(spec, prediction_log=msgspec.structs.replace(spec.prediction_log, segments=("pen",)))
    pens = np.array(["blue", "red", "black"])
    reference = reference_of(spec, before, pen=pens[np.arange(len(before.labels)) % 3])
    pen = pens[np.arange(len(now.labels)) % 3]
    labels = np.where((pen == "red") & (np.arange(len(pen)) % 2 == 0), np.roll(now.labels, 1), now.labels)
    log_of(tmp_path, now, digit=labels, pen=pen)
    report = measure_window(spec, tmp_path, reference, "v1", Window(NOON - HOUR, NOON), NOON)
    segments = {item.value: item for item in report.segments["pen"].values}
    assert {value for value, item in segments.items() if item.severity} == {"red"}
    wrong = np.mean((labels != now.predicted)[pen == "red"])
    assert segments["red"].gap == pytest.approx(wrong)
    assert segments["red"].expected_gap == pytest.approx(
        np.mean((before.labels != before.predicted)[np.arange(len(before.labels)) % 3 == 1])
    )
    assert (segments["red"].outcome_mean, segments["red"].feedback_rate) == (None, 1.0)


def test_the_gap_of_classes_is_the_share_of_wrong_predictions_and_is_charted(tmp_path):
    before, now = digits()
    spec = of_classes()
    log_of(tmp_path, confused(now, every=1))
    reference = reference_of(spec, before)
    report = measure_window(spec, tmp_path, reference, "v1", Window(NOON - HOUR, NOON), NOON)
    wrong = confused(now, every=1)
    assert report.outcomes.gap == pytest.approx(np.mean(wrong.labels != wrong.predicted))
    assert report.concept.reference.gap == pytest.approx(np.mean(before.labels != before.predicted))
    judged = judge(spec, report, drift_history(spec, report, ()))
    assert judged.concept.standardised_gap > 10
    assert judged.drift_type.evidence.loss is True


# ---------------------------------------------------------------- predicted classes as scores


@pytest.mark.parametrize("changes", [{}, {"prediction": "guess"}], ids=["most probable", "of a column"])
def test_predicted_classes_are_measured_as_scores_before_outcomes_are_known(tmp_path, changes):
    before, now = digits()
    spec = of_classes(**changes)
    reference = reference_of(spec, before)
    assert reference.columns == tuple(sorted(before.columns()))
    same, other = now.take(slice(400)), now.take(np.flatnonzero(now.predicted < "digit 6"))
    for name, rows in {"same": same, "other": other}.items():
        log_of(tmp_path / name, rows)
    quiet, drifted = (window_of(spec, tmp_path / name, reference).score for name in ("same", "other"))
    assert (quiet.rows, quiet.severity) == (400, None)
    assert quiet.psi.value < quiet.psi.critical_value
    assert drifted.severity is Severity.CRITICAL
    shares = {item.label: item.current for item in drifted.bins}
    assert shares["digit 5"] == pytest.approx(np.mean(other.predicted == "digit 5"))


def test_the_probability_of_each_class_is_compared_with_the_training_data(tmp_path):
    before, now = digits()
    spec = of_classes()
    reference = reference_of(spec, before)
    flatter = now.probabilities.copy()
    flatter[:, [2, 3]] = flatter[:, [2, 3]].mean(axis=1, keepdims=True)
    log_of(tmp_path / "same", now)
    log_of(tmp_path / "other", now._replace(probabilities=flatter))
    quiet, drifted = (window_of(spec, tmp_path / name, reference) for name in ("same", "other"))
    assert all(found.psi.value < found.psi.critical_value for found in quiet.probabilities.values())
    assert {name for name, found in drifted.probabilities.items() if found.severity} == {"digit 2", "digit 3"}
    assert {item.subject for item in drifted.found_in("probabilities")} == {"digit 2", "digit 3"}
    published = dict(feature_gauges(Contract(spec), drifted.comparison)["class_probability_psi"])
    assert published[("digit 2",)] == drifted.probabilities["digit 2"].psi.value
    assert "Prediction score: probability of digit 3" in {
        shown.name for shown in drifted.worst_first("Prediction score")
    }


def test_a_segment_in_which_another_class_is_predicted_drifts_in_its_scores(tmp_path):
    before, now = digits()
    spec = of_classes()
    spec = msgspec.structs.replace(spec, prediction_log=msgspec.structs.replace(spec.prediction_log, segments=("pen",)))
    reference = reference_of(spec, before, pen=np.where(np.arange(len(before.labels)) % 2, "blue", "red"))
    pen = np.where(now.predicted < "digit 4", "blue", "red")
    log_of(tmp_path, now, pen=pen)
    found = window_of(spec, tmp_path, reference).segments["pen"].values
    assert {item.value for item in found if item.score_psi.severity} == {"blue", "red"}


# ---------------------------------------------------------------- the page


def test_the_page_shows_both_matrices_and_every_class_with_its_reference(tmp_path):
    before, now = digits()
    spec = of_classes()
    log_of(tmp_path, confused(now))
    page = outcome_section(measured(spec, tmp_path, reference_of(spec, before).outcome))
    assert page.count('class="chart matrix"') == 2
    assert page.index("<h3>Reference</h3>") < page.index("<h3>Now</h3>")
    assert "digit 9, predicted as digit 4" in page
    assert all(f"<tr><td>{name}</td>" in page for name in NAMES)


def test_names_of_classes_are_text_on_the_page_whatever_they_hold(tmp_path):
    hostile = '<img src=x onerror="a">\n{{ c }} & \x07'
    _, now = digits()
    spec = of_classes(probabilities={}, prediction="guess", classes=(hostile, "digit 1"))
    log_of(tmp_path, now, digit=np.where(now.labels == "digit 1", "<b>new</b>", hostile))
    page = outcome_section(measured(spec, tmp_path))
    assert "<img" not in page and "<b>" not in page and "\x07" not in page
    assert "&lt;b&gt;new&lt;/b&gt;" in page


def test_of_many_classes_the_worst_are_drawn_and_the_others_as_one(tmp_path):
    names = [f"c{number}" for number in range(60)]
    random = np.random.default_rng(2)
    _, now = digits()
    rows = now.take(random.integers(0, len(now.labels), 1200))
    labels = random.choice(names, 1200)
    spec = of_classes(probabilities={}, classes=tuple(names), prediction="guess")
    log_of(tmp_path, rows, digit=labels, guess=np.where(labels == "c7", "c8", labels))
    page = outcome_section(measured(spec, tmp_path))
    drawn = MOST_IN_MATRIX + 1
    assert page.count("<rect") == drawn**2
    assert "all others" in page


# ---------------------------------------------------------------- formats


def _written(folder, table, form):
    """Write a log in a format; gives what the spec says of it."""
    folder.mkdir()
    frame = {name: [str(value) if name == "timestamp" else value for value in table[name]] for name in table}
    if form is LogFormat.SQL:
        with closing(sqlite3.connect(folder / "log.db")) as connection, connection:
            connection.execute(f"create table log ({', '.join(frame)})")
            marks = ", ".join("?" * len(frame))
            connection.executemany(f"insert into log values ({marks})", list(zip(*frame.values(), strict=True)))
        return {"path": f"sqlite:///{folder / 'log.db'}", "format": form, "table": "log"}
    path = folder / f"a.{form.value}"
    if form is LogFormat.CSV:
        csv.write_csv(pa.table(frame), path)
    elif form is LogFormat.JSONL:
        rows = (dict(zip(frame, row, strict=True)) for row in zip(*frame.values(), strict=True))
        path.write_text("\n".join(map(json.dumps, rows)))
    elif form is LogFormat.FEATHER:
        feather.write_feather(pa.table(frame), path)
    else:
        parquet.write_table(pa.table(frame), path)
    return {"path": str(folder), "format": form}


@pytest.mark.parametrize("form", LogFormat)
def test_classes_are_the_same_from_every_format(tmp_path, form):
    before, now = digits()
    numbers = [NAMES.index(label) for label in now.labels]
    spec = of_classes(probabilities={str(place): f"p{place}" for place in range(10)})
    reference = reference_of(spec, before, digit=[NAMES.index(label) for label in before.labels])
    columns = {name: np.asarray(values).tolist() for name, values in now.columns().items()}
    times = [f"{MATURE.start + timedelta(seconds=place * 4):%Y-%m-%dT%H:%M:%SZ}" for place in range(len(numbers))]
    table = columns | {"id": list(range(len(numbers))), "timestamp": times, "digit": numbers}
    log = msgspec.structs.replace(spec.prediction_log, **_written(tmp_path / "log", table, form))
    report = measured(msgspec.structs.replace(spec, prediction_log=log), tmp_path, reference.outcome)
    assert (report.problems, report.paired) == ((), len(numbers))
    assert report.performance["accuracy"].value == metrics.accuracy_score(now.labels, now.predicted)
    expected = metrics.log_loss(now.labels, now.probabilities, labels=NAMES)
    assert report.performance["log_loss"].value == pytest.approx(expected, abs=EXACT)
    assert report.classes.unseen_labels == {}
