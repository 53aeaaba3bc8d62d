from datetime import UTC, datetime, timedelta, timezone

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from drift_samples import NOON, cells_of, counted, random, reference_of, spec_of

from mlvitals.exporters.parts import Window
from mlvitals.exporters.reference.artifact import ArtifactError, FeatureReference, Reference, Summary
from mlvitals.exporters.reference.conditions import condition_weights
from mlvitals.exporters.statistics.distances import psi, psi_critical_value
from mlvitals.exporters.training.build import ReferenceDataError, build_reference, hash_streams
from mlvitals.generator.spec.model import Condition, FeatureType

FEATURES = {"age": {"type": "float"}, "country": {"type": "categorical"}, "member": {"type": "boolean"}}


def training(rows=1000):
    draw = random()
    start = np.datetime64("2026-01-05T00:00", "us")  # a Monday
    return {
        "age": draw.normal(40, 10, rows),
        "country": draw.choice(["de", "fr", "us"], rows),
        "member": draw.random(rows) < 0.4,
        "score": draw.random(rows),
        "timestamp": start + np.arange(rows) * np.timedelta64(600, "s"),
    }


def hours(first, last, day=5):
    start = datetime(2026, 1, day, tzinfo=UTC)
    return Window(start + timedelta(hours=first), start + timedelta(hours=last))


def test_a_reference_holds_what_the_training_data_say():
    data = training()
    reference = reference_of(spec_of(FEATURES, prediction_log={"score": "score"}), data)
    assert (reference.system, reference.rows, reference.source_hash) == ("shop", 1000, "data")
    assert reference.span == Window(
        datetime(2026, 1, 5, tzinfo=UTC),
        datetime(2026, 1, 5, tzinfo=UTC) + timedelta(seconds=600 * 999, microseconds=1),
    )
    summary, values = reference.features["age"].summary, np.sort(data["age"])
    assert summary.mean == pytest.approx(values.mean())
    assert summary.std == pytest.approx(values.std())
    assert (summary.minimum, summary.maximum, summary.distinct) == (values[0], values[-1], 1000)
    assert summary.quantiles == {
        "1": values[9],
        "5": values[49],
        "25": values[249],
        "50": values[499],
        "75": values[749],
        "95": values[949],
        "99": values[989],
    }
    assert reference.features["country"].summary == type(summary)(distinct=3)
    assert reference.features["member"].summary.mean == pytest.approx(data["member"].mean())
    assert reference.score is not None
    assert len(reference.score.cells.labels) == 20


def test_missing_values_are_counted_apart():
    column = pa.array([1.0, None, np.nan, np.inf, *np.arange(100.0)])
    built = reference_of(spec_of({"x": {}}), {"x": column}).features["x"]
    assert (built.nulls, built.nans, built.infinities) == (1, 1, 1)
    assert built.total.sum() == 102
    assert built.summary.maximum == 99.0


def test_bins_are_the_features_own_or_the_specs():
    spec = spec_of({"a": {"bins": 4}, "b": {}}, reference={"bins": 7})
    features = reference_of(spec, {"a": random().random(1000), "b": random().random(1000)}).features
    assert [len(features[name].cells.labels) for name in "ab"] == [4, 7]


def test_without_scores_in_the_training_data_there_is_no_score_reference():
    spec = spec_of({"age": {}}, prediction_log={"score": "score"})
    assert reference_of(spec, {"age": np.arange(100.0)}).score is None


def test_a_table_and_a_mapping_give_the_same_reference():
    data = training()
    spec = spec_of(FEATURES)
    table = build_reference(spec, pa.table(data), created=NOON, source_hash="data")
    assert table == reference_of(spec, data)


def test_the_artifact_reads_back_exactly_and_its_version_is_its_content():
    reference = reference_of(spec_of(FEATURES, prediction_log={"score": "score"}), training())
    back = Reference.from_json(reference.to_json())
    assert back == reference
    assert back.version == reference.version
    assert len(reference.version) == 16
    later = msgspec.structs.replace(reference, source_hash="other data")
    assert later.version != reference.version


def test_times_are_utc():
    tokyo = datetime(2026, 3, 3, 21, tzinfo=timezone(timedelta(hours=9)))
    reference = build_reference(spec_of({"x": {}}), {"x": pa.array([1.0])}, created=tokyo, source_hash="data")
    assert reference.created == NOON
    assert b'"created":"2026-03-03T12:00:00Z"' in reference.to_json()
    with pytest.raises(ValueError, match="time zone"):
        build_reference(spec_of({"x": {}}), {"x": pa.array([1.0])}, created=datetime(2026, 3, 3), source_hash="")  # noqa: DTZ001


def test_all_problems_of_the_training_data_are_named_at_once():
    spec = spec_of({"age": {}, "plan": {"type": "categorical"}, "city": {"column": "town"}})
    data = {"age": ["x", "y"], "plan": [0.5, 1.5]}
    with pytest.raises(ReferenceDataError) as caught:
        reference_of(spec, data)
    assert str(caught.value).splitlines() == [
        "no reference was built:",
        "  feature age: column 'age' holds string values such as 'x'; expected numbers for a feature of type float",
        "  feature plan: column 'plan' holds numbers that are not whole; "
        "expected texts, truth values or whole numbers for a feature of type categorical",
        "  feature city: the training data has no column 'town'",
    ]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "no rows"),
        ({"x": pa.array([], pa.float64())}, "no rows"),
        ({"x": [1.0], "y": [1.0, 2.0]}, "feature y: column 'y' has 2 rows, others have 1"),
        ({"x": [1.0], "y": [1.0], "timestamp": ["today"]}, "time column 'timestamp': holds string values"),
        ({"x": [1.0], "y": [1.0], "timestamp": pa.array([2**61], pa.timestamp("us"))}, "years 1 to 9999"),
    ],
)
def test_training_data_that_cannot_be_a_reference_are_refused(data, message):
    with pytest.raises(ReferenceDataError, match=message):
        reference_of(spec_of({"x": {}, "y": {}}), data)


def conditioned(condition, data=None):
    spec = spec_of({"age": {}}, reference={"condition": condition})
    return reference_of(spec, data or training(2016))  # two weeks, a row every ten minutes


def test_a_reference_by_hour_of_day_is_compared_hour_by_hour():
    data = training(2016)
    reference = conditioned("hour_of_day", data)
    age = reference.features["age"]
    assert set(age.counts) == {str(hour) for hour in range(24)}
    at_three = data["age"][np.arange(2016) // 6 % 24 == 3]
    assert reference.counts_for(age, hours(3, 4)).tolist() == counted(at_three, age.cells).tolist()
    assert reference.counts_for(age, hours(3, 5)).sum() == 2 * len(at_three)
    assert reference.counts_for(age, hours(3.5, 4.5)).sum() == 2 * len(at_three)
    assert reference.counts_for(age, hours(0, 24)).tolist() == age.total.tolist()


def test_a_reference_by_day_of_week_begins_with_monday():
    data = training(2016)
    reference = conditioned("day_of_week", data)
    age = reference.features["age"]
    monday = data["age"][np.arange(2016) // 144 % 7 == 0]
    assert age.counts["0"] == tuple(counted(monday, age.cells).tolist())
    assert reference.counts_for(age, hours(0, 24, day=12)).tolist() == list(age.counts["0"])


def test_a_reference_without_condition_has_one_key():
    reference = conditioned("none")
    assert set(reference.features["age"].counts) == {"all"}
    assert reference.counts_for(reference.features["age"], hours(3, 4)).sum() == 2016


def test_an_hour_that_was_not_trained_on_has_no_counts():
    reference = conditioned("hour_of_week", training(6))
    assert reference.counts_for(reference.features["age"], hours(5, 6)).sum() == 0


def weights(condition, window, trained=None):
    return condition_weights(condition, window, trained or hours(0, 14 * 24))


@pytest.mark.parametrize(
    ("condition", "window", "expected"),
    [
        (Condition.HOUR_OF_DAY, hours(23, 25), {"23": 1, "0": 1}),
        (Condition.HOUR_OF_DAY, hours(0, 48), dict.fromkeys(map(str, range(24)), 1)),
        (Condition.HOUR_OF_DAY, hours(12.25, 36.25), dict.fromkeys(map(str, range(24)), 1)),
        (Condition.HOUR_OF_DAY, hours(0, 3 * 7 * 24), dict.fromkeys(map(str, range(24)), 1)),
        (Condition.HOUR_OF_DAY, hours(11.5, 13), {"11": 0.5, "12": 1}),
        (Condition.HOUR_OF_DAY, hours(3, 28), {str(hour): 1 if hour == 3 else 0.5 for hour in range(24)}),
        (Condition.DAY_OF_WEEK, hours(12, 60), {"0": 0.5, "1": 1, "2": 0.5}),
        (Condition.HOUR_OF_WEEK, hours(-1, 1), {"167": 1, "0": 1}),
        (Condition.HOUR_OF_DAY, hours(3, 3), {}),
    ],
)
def test_a_key_weighs_by_how_long_the_window_covers_it(condition, window, expected):
    assert weights(condition, window) == expected


def test_hours_trained_on_twice_as_often_are_not_expected_twice_as_often():
    found = weights(Condition.HOUR_OF_DAY, hours(11, 13), trained=hours(0, 36))
    assert found == {"11": 0.5, "12": 1}


def test_the_first_and_last_hour_of_the_training_data_count_in_full():
    assert weights(Condition.HOUR_OF_DAY, hours(0, 24), trained=hours(0.2, 47.9)) == dict.fromkeys(
        map(str, range(24)), 1
    )


def test_a_day_that_was_not_trained_on_leaves_nothing_to_compare_with():
    five_days = hours(0, 5 * 24)
    assert weights(Condition.DAY_OF_WEEK, hours(4 * 24, 5 * 24), five_days) == {"4": 1}
    assert weights(Condition.DAY_OF_WEEK, hours(4 * 24 + 12, 5 * 24 + 12), five_days) == {}


def without_hour(hour, rows=2016):
    data = training(rows)
    kept = np.arange(rows) // 6 % 24 != hour
    return {name: pa.array(values).filter(pa.array(kept)) for name, values in data.items()}


def test_a_window_over_an_hour_of_which_the_training_data_hold_nothing_is_not_compared():
    reference = conditioned("hour_of_day", without_hour(3))
    age = reference.features["age"]
    for window in (hours(2, 5), hours(3, 4), hours(2.5, 3.1)):
        assert reference.counts_for(age, window).sum() == 0
        assert reference.moments_for(age, window).count == 0
    assert reference.counts_for(age, hours(4, 6)).sum() == 2 * 84


def test_a_whole_day_expects_nothing_of_the_hours_in_which_a_shop_is_closed():
    reference = conditioned("hour_of_day", without_hour(3))
    age = reference.features["age"]
    for window in (hours(0, 24), hours(7.5, 31.5)):
        assert reference.counts_for(age, window).tolist() == age.total.tolist()


def test_moments_weigh_rows_as_the_counts_do():
    data = training(2016)
    data["age"] = np.arange(2016) // 6 % 24 * 100.0 + random(3).normal(size=2016)
    reference = conditioned("hour_of_day", data)
    age, window = reference.features["age"], hours(11.5, 13)
    eleven, twelve = (data["age"][np.arange(2016) // 6 % 24 == hour] for hour in (11, 12))
    values, shares = np.append(eleven, twelve), np.repeat([0.5, 1.0], 84)
    mean = np.average(values, weights=shares)
    found = reference.moments_for(age, window)
    assert found.count == reference.counts_for(age, window).sum()
    assert found.mean == pytest.approx(mean)
    assert [found.squares, found.cubes, found.fourths] == pytest.approx(
        [found.count * np.average((values - mean) ** power, weights=shares) for power in (2, 3, 4)]
    )
    assert reference.moments_for(age, hours(0, 24)) == reference.moments_for(age, hours(0, 48))


def test_a_window_that_is_not_on_whole_hours_has_the_variance_of_its_own_mix():
    data = training(2016)
    data["age"] = np.arange(2016) // 6 % 24 * 100.0
    reference = conditioned("hour_of_day", data)
    for minutes in (1, 10, 50):
        window = hours(11 + minutes / 60, 13)
        now = np.repeat([1100.0, 1200.0], [60 - minutes, 60])
        assert reference.moments_for(reference.features["age"], window).variance == pytest.approx(now.var(), rel=0.02)


def test_condition_keys_are_utc_whatever_zone_the_window_is_in():
    start = datetime(2026, 1, 5, 9, tzinfo=timezone(timedelta(hours=9)))
    assert set(weights(Condition.HOUR_OF_DAY, Window(start, start + timedelta(hours=1)))) == {"0"}


def test_a_window_of_two_days_expects_the_mix_of_all_rows():
    reference = conditioned("hour_of_day")
    age = reference.features["age"]
    for window in (hours(0, 24), hours(7.5, 31.5), hours(0, 48), hours(5, 5 + 7 * 24)):
        assert reference.counts_for(age, window).tolist() == age.total.tolist()


def test_an_hour_covered_half_weighs_half_and_costs_sample_size():
    reference = conditioned("hour_of_day")  # 84 rows in every hour
    age = reference.features["age"]
    eleven, twelve = (np.array(age.counts[hour]) for hour in ("11", "12"))
    found = reference.counts_for(age, hours(11.5, 13))
    effective = (1.5 * 84) ** 2 / (1.25 * 84)
    assert found.sum() == round(effective)
    wanted = np.cumsum(0.5 * eleven + twelve) / (1.5 * 84)
    assert np.abs(np.cumsum(found) / found.sum() - wanted).max() < 1 / effective


def test_weighting_keeps_the_noise_floor():
    draw = random(7)
    hour_mix = {"11": (0.2, 0.3, 0.5), "12": (0.4, 0.4, 0.2)}
    cells = cells_of(draw.choice(["a", "b", "c"], 1000), FeatureType.CATEGORICAL)
    exceeded, runs = 0, 4000
    for _ in range(runs):
        counts = {
            hour: (*draw.multinomial(size, mix), 0)
            for (hour, mix), size in zip(hour_mix.items(), (500, 1000), strict=True)
        }
        feature = FeatureReference(
            cells=cells, counts=counts, nulls=0, nans=0, infinities=0, summary=Summary(distinct=3)
        )
        expected = feature.weighted({"11": 1.0, "12": 0.5})
        now = np.array([*draw.multinomial(800, np.add(hour_mix["11"], hour_mix["12"]) / 2), 0])
        exceeded += psi(expected, now).value > psi_critical_value(int(expected.sum()), 800, 3)
    assert exceeded / runs < 0.001 + 4 * (0.001 / runs) ** 0.5


def test_a_condition_needs_a_time_in_every_row():
    with pytest.raises(
        ReferenceDataError, match=r"no time column 'timestamp', which reference\.condition hour_of_day needs"
    ):
        conditioned("hour_of_day", {"age": [1.0]})
    with pytest.raises(ReferenceDataError, match="1 rows have no time"):
        conditioned("hour_of_day", {"age": [1.0, 2.0], "timestamp": pa.array([0, None], pa.timestamp("s"))})


def test_a_timestamp_feature_is_referenced_by_its_age():
    data = training()
    data["last_seen"] = data["timestamp"] - np.timedelta64(3600, "s")
    spec = spec_of({"last_seen": {"type": "timestamp"}}, reference={"condition": "hour_of_day"})
    built = reference_of(spec, data).features["last_seen"]
    assert built.cells.labels == ("= 3600", "unseen values")
    del data["timestamp"]
    with pytest.raises(ReferenceDataError, match="which feature last_seen needs"):
        reference_of(spec_of({"last_seen": {"type": "timestamp"}}), data)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "damaged.*mlvitals reference build"),
        (b'{"schema": "mlvitals.reference/1"}', "damaged.*missing required field"),
        (b'{"schema": "mlvitals.reference/99"}', "has the form 'mlvitals.reference/99', this mlvitals reads"),
        (b"\xff\xfe", "damaged"),
        (b"[]", "damaged"),
    ],
)
def test_what_is_no_reference_is_refused_with_the_remedy(text, message):
    with pytest.raises(ArtifactError, match=message):
        Reference.from_json(text)


def test_the_hash_of_files_depends_on_content_and_order_alone(tmp_path):
    one, two, copy = (tmp_path / name for name in ("one", "two", "copy"))
    one.write_bytes(b"1")
    two.write_bytes(b"2")
    copy.write_bytes(b"1")

    def hashed(*files):
        return hash_streams(file.open("rb") for file in files)

    assert hashed(one, two) == hashed(copy, two)
    assert hashed(one, two) != hashed(two, one)
