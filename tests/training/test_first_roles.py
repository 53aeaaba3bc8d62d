"""The roles that columns seem to have: names that people use, and values that decide."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from mlvitals.generator.spec.first_roles import ENOUGH_ROWS, Role, SeenColumn, draft, words_of
from mlvitals.generator.spec.model import FeatureType

ROWS = 1_000
TIME = datetime(2026, 3, 1, tzinfo=UTC)


def number(name: str, low: float = 0.0, high: float = 9.5, **more: object) -> SeenColumn:
    options = {"type": FeatureType.FLOAT, "rows": ROWS, "low": low, "high": high} | more
    return SeenColumn(name=name, **options)  # type: ignore[arg-type]


def whole(name: str, low: int, high: int, **more: object) -> SeenColumn:
    options = {"type": FeatureType.INTEGER, "whole": True, "times": True} | more
    return number(name, low, high, **options)


def binary(name: str) -> SeenColumn:
    return SeenColumn(name=name, type=FeatureType.BOOLEAN, rows=ROWS, levels=("0", "1"), low=0, high=1, whole=True)


def text(name: str, *levels: str, **more: object) -> SeenColumn:
    options = {"type": FeatureType.CATEGORICAL, "rows": ROWS, "levels": levels or ("a", "b")} | more
    return SeenColumn(name=name, **options)  # type: ignore[arg-type]


def when(name: str) -> SeenColumn:
    return SeenColumn(name=name, type=FeatureType.TIMESTAMP, rows=ROWS, times=True, first=TIME, last=TIME)


LABEL, FEATURE = binary("y_true"), number("amount")


def role_of(column: SeenColumn, *others: SeenColumn) -> Role | None:
    found = draft([column, *others, FEATURE])
    return next((role for role, other in found.roles.items() if other.name == column.name), None)


def why(column: SeenColumn, *others: SeenColumn) -> str:
    """The reason why a column is left out; empty where it is not."""
    return next(
        (item.why for item in draft([column, *others, FEATURE]).left_out if item.column.name == column.name), ""
    )


def kind(column: SeenColumn) -> FeatureType | None:
    return next((item.type for item in draft([column, FEATURE]).features if item.name == column.name), None)


@pytest.mark.parametrize(
    "name",
    [
        "score",
        "y_pred_proba",
        "rain_probability",
        "prediction",
        "proba_1",
        "prob_true",
        "PredictionScore",
        "y_score",
        "predicted_probability",
        "churn-score",
        "model.score",
        "yhat",
        "risk_score",
    ],
)
def test_a_score_by_the_names_that_people_use(name: str):
    assert role_of(number(name, 0.01, 0.99), LABEL) is Role.SCORE


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("credit_score", 300, 850), ("score", 300, 850), ("probability_of_default", 0, 100), ("rain_probability", 0, 100)],
)
def test_values_that_are_no_probability_are_no_score_of_a_binary_label(name: str, low: float, high: float):
    assert role_of(number(name, low, high), LABEL) is None


def test_a_prediction_of_a_number_is_a_number():
    assert role_of(number("predicted_price", 10, 900), number("target", 5, 950)) is Role.SCORE


def test_of_a_class_and_its_probability_the_probability_is_the_score():
    found = draft([binary("y_pred"), number("y_pred_proba", 0.1, 0.9), LABEL, FEATURE])
    assert found.name_of(Role.SCORE) == "y_pred_proba"
    assert [item.why for item in found.left_out] == ["the predicted class, by its name"]
    assert why(text("predicted", "Class1", "Class2")) == "the predicted class, by its name"


def test_of_two_classes_the_score_is_that_of_the_positive_one():
    found = draft([number("proba_0", 0.1, 0.9), number("proba_1", 0.1, 0.9), LABEL, FEATURE])
    assert found.name_of(Role.SCORE) == "proba_1"
    assert "the other class" in found.left_out[0].why


@pytest.mark.parametrize(
    "name",
    [
        "y_true",
        "target",
        "label",
        "churned",
        "is_fraud",
        "Clicked",
        "defaulted",
        "actual",
        "ground_truth",
        "class",
        "Survived",
    ],
)
def test_an_outcome_by_the_names_that_people_use(name: str):
    assert role_of(binary(name), number("score", 0, 1)) is Role.OUTCOME


def test_a_label_without_a_score_is_no_feature():
    assert "the label" in why(binary("target"))


def test_a_label_of_several_classes_or_of_text_is_said_and_is_no_feature():
    several = whole("target", 0, 2, levels=("0", "1", "2"))
    assert "3 classes" in why(several, number("score", 0, 1))
    assert "2 classes" in why(text("churned", "No", "Yes"), number("score", 0, 1))


SPECIES = text("species_label", "gentoo", "adelie", "chin strap")
BY_PLACE = {"adelie": "proba_0", "chin strap": "proba_1", "gentoo": "proba_2"}
BY_NAME = {"adelie": "P(adelie)", "chin strap": "p_chin-strap", "gentoo": "pGentoo"}


@pytest.mark.parametrize("columns", [BY_PLACE, BY_NAME], ids=["by place", "by name"])
def test_a_label_of_classes_is_an_outcome_where_each_class_has_a_probability(columns: dict[str, str]):
    found = draft([SPECIES, *(number(name, 0.0, 1.0) for name in columns.values()), FEATURE])
    assert (found.name_of(Role.OUTCOME), found.name_of(Role.SCORE)) == ("species_label", None)
    assert found.classes is not None
    assert (found.classes.names, found.classes.probabilities) == (("adelie", "chin strap", "gentoo"), columns)
    assert [column.name for column in found.features] == ["amount"]


def test_a_label_of_classes_is_an_outcome_where_a_column_predicts_it():
    digits = whole("target", 0, 2, levels=("2", "0", "1"))
    found = draft([digits, whole("prediction", 0, 2, levels=("1", "2")), FEATURE])
    assert found.classes is not None
    assert (found.classes.names, found.classes.prediction, found.classes.probabilities) == (
        ("0", "1", "2"),
        "prediction",
        {},
    )
    assert found.name_of(Role.OUTCOME) == "target"


def test_classes_of_which_one_has_no_probability_are_no_outcome_yet():
    found = draft([SPECIES, number("proba_0", 0.0, 1.0), number("proba_1", 0.0, 1.0), FEATURE])
    assert (found.classes, Role.OUTCOME in found.roles) == (None, False)


def test_numbers_beyond_1_are_no_probabilities_of_classes():
    found = draft([SPECIES, *(number(f"proba_{place}", 0.0, 4.0) for place in range(3)), FEATURE])
    assert found.classes is None


@pytest.mark.parametrize(
    "name", ["timestamp", "ts", "prediction_time", "PredictedAt", "event_date", "created_at", "time_hour", "scored_at"]
)
def test_the_time_of_a_prediction_by_the_names_that_people_use(name: str):
    assert role_of(when(name), when("birth_date"), when("last_login")) is Role.TIMESTAMP


def test_a_time_that_counts_seconds_from_zero_is_a_feature():
    seconds = whole("Time", 0, 172_792)
    assert role_of(seconds) is None
    assert kind(seconds) is FeatureType.INTEGER
    assert role_of(whole("Time", 1_772_000_000, 1_772_900_000)) is Role.TIMESTAMP


@pytest.mark.parametrize("name", ["prediction_id", "request-id", "uuid", "TransactionID", "order_id", "id"])
def test_an_id_by_the_names_that_people_use(name: str):
    assert role_of(text(name, unique=True, levels=None, type=None)) is Role.ID
    assert role_of(text(name, type=None, levels=None)) is not Role.ID, "it repeats"


@pytest.mark.parametrize("name", ["Unnamed: 0", "__index_level_0__", "level_0", "rownames", "index", "X"])
def test_an_index_is_left_out(name: str):
    assert "index" in why(whole(name, 0, ROWS - 1, unique=True))


def test_a_feature_with_the_name_of_an_index_is_a_feature():
    assert kind(number("x", -3, 3)) is FeatureType.FLOAT
    assert kind(whole("index", 90, 140)) is FeatureType.INTEGER


def test_integers_that_differ_in_every_row_are_no_amounts():
    assert "every row" in why(whole("policy", 10_000, 99_999, unique=True))


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        (text("region", "EU"), "always EU"),
        (whole("year", 2013, 2013, levels=("2013",)), "always 2013"),
        (number("speed", null_rate=0.9931, nullable=True), "99.31% null"),
        (text("name", *map(str, range(900))), "900 different values in 1,000 rows"),
        (
            text("date", *(f"{day}/03/2026" for day in range(1, 29)), examples=("27/03/2026", "01/03/2026")),
            "day/month/year",
        ),
        (text("date", *"ab", examples=("03/27/2026",)), "month/day/year"),
        (text("date", *"ab", examples=("03/04/2026",)), "cannot be told apart"),
        (text("date", *"ab", examples=("2026/03/27", "2026/04/01")), "year/month/day"),
    ],
)
def test_what_is_left_out_says_why(column: SeenColumn, reason: str):
    assert reason in why(column)


@pytest.mark.parametrize("rows", [ENOUGH_ROWS - 1])
def test_of_few_rows_nothing_follows(rows: int):
    assert why(replace(text("region", "EU"), rows=rows)) == ""


@pytest.mark.parametrize(
    ("name", "levels", "expected"),
    [
        ("pclass", 3, FeatureType.CATEGORICAL),
        ("region_code", 60, FeatureType.CATEGORICAL),
        ("zip", 400, FeatureType.CATEGORICAL),
        ("plan", 4, FeatureType.CATEGORICAL),
        ("bedrooms", 6, FeatureType.INTEGER),
        ("num_children", 5, FeatureType.INTEGER),
        ("age", 70, FeatureType.INTEGER),
        ("distance", 200, FeatureType.INTEGER),
    ],
)
def test_integers_that_name_things_are_categories_and_those_that_count_are_not(
    name: str, levels: int, expected: FeatureType
):
    assert kind(whole(name, 1, levels, levels=tuple(map(str, range(levels))))) is expected


def test_a_code_repeats():
    assert kind(whole("CAtBat", 1, 900, levels=tuple(map(str, range(900))))) is FeatureType.INTEGER


def test_y_is_a_label_unless_it_is_a_coordinate():
    assert role_of(number("y"), number("x")) is Role.OUTCOME
    assert role_of(number("y"), number("x"), number("z")) is None


def test_segments_have_few_values_a_usual_name_and_are_in_the_log():
    columns = [text("country", *"abc"), text("weird", *"abc"), text("city", *map(str, range(400))), FEATURE]
    assert [item.name for item in draft(columns).segments] == ["country"]
    assert [item.name for item in draft(columns, [FEATURE]).segments] == []


def test_what_only_the_training_data_or_only_the_log_has_is_no_feature():
    found = draft([FEATURE, number("gone")], [FEATURE, number("new"), number("score", 0, 1)])
    assert {item.column.name: item.why for item in found.left_out} == {
        "gone": "in the training data, and not in the log",
        "new": "in the log, and not in the training data",
    }
    assert found.name_of(Role.SCORE) == "score"


@pytest.mark.parametrize(
    ("name", "words"),
    [("yPredProba", "y_pred_proba"), ("Unnamed: 0", "unnamed_0"), ("__index_level_0__", "index_level_0"), ("$", "")],
)
def test_a_name_is_read_in_words(name: str, words: str):
    assert words_of(name) == words
