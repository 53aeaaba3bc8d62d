"""Faults on rows and series: each changes what it says, from its start to its end, whatever type a column has."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from examples.streamrec.faults import FAULTS
from mlvitals.evaluation.faults.catalogue import KINDS, NAMES, Fault, FaultError, Subject, fault_of
from mlvitals.evaluation.faults.strike import UNSEEN, strike_rows, strike_series, strike_sources
from mlvitals.exporters.reading.instants import instants
from mlvitals.generator.contract import Contract
from mlvitals.generator.signals import signals
from mlvitals.generator.spec.durations import span
from mlvitals.generator.spec.load import parse_spec

START = datetime(2026, 3, 3, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)
ROWS = 2_000
TEXT, NUMBER = pa.string(), pa.int32()
SPEC = parse_spec(
    """\
version: 1
system: {name: shop}
prediction_log:
  path: log
  id: id
  entity: user
  score: score
  model_version: version
  outcome: {column: bought, timestamp: bought_at}
sources: {batch: {max_age: 1h, path: x}, stream: {max_age: 1h, path: y}}
features:
  days: {type: integer, source: batch}
  amount: {source: batch}
  country: {type: categorical, source: stream}
"""
)
PLAIN = parse_spec(
    "version: 1\nsystem: {name: x}\nprediction_log: {path: log}\nfeatures: {a: {}}\nserving: {enabled: false}\n"
)
ON_ROWS = [kind.name for kind in KINDS if kind.name not in {"stale_source", "error_burst", "latency_regression"}]


def table(text: pa.DataType = TEXT, number: pa.DataType = NUMBER, count: int = ROWS) -> tuple[pa.Table, np.ndarray]:
    """Rows of two hours, the second from the start on."""
    draw = np.random.default_rng(1)
    seconds = np.sort(START.timestamp() + draw.uniform(-3600, 3600, count))
    stamps = pa.array((seconds * 1e6).astype(np.int64), pa.timestamp("us", tz="UTC"))
    rows = {
        "id": pa.array([f"p{number}" for number in range(count)]),
        "user": pa.array(draw.integers(0, 2_000, count)),
        "score": pa.array(draw.random(count)),
        "version": pa.array(["7"] * count),
        "bought": pa.array(draw.random(count) < 0.4),
        "bought_at": stamps,
        "days": pa.array(draw.integers(0, 30, count)).cast(number),
        "amount": pa.array(draw.exponential(50, count).astype(np.float32)),
        "country": pa.array(draw.choice(["DE", "FR"], count)).cast(text),
    }
    return pa.table(rows), seconds


def struck(
    name: str, rows: pa.Table, seconds: np.ndarray, end: datetime | None = None, **more
) -> tuple[Fault, pa.Table]:
    fault = fault_of(SPEC, name, start=START, **more)
    fault = Fault(kind=fault.kind, subject=fault.subject, strength=fault.strength, start=START, end=end)
    return fault, strike_rows(SPEC, fault, rows, seconds)


def changed(before: pa.Table, after: pa.Table) -> set[str]:
    def values(table: pa.Table, name: str) -> list:
        return table[name].to_pylist()

    return {name for name in before.column_names if values(before, name) != values(after, name)}


CHANGES = {
    "march3": {"days"},
    "rescaled": {"days"},
    "lost_reads": {"days"},
    "upstream_nulls": {"days"},
    "new_category": {"country"},
    "new_country": {"country"},
    "misscaled_model": {"score", "version"},
    "concept_drift": {"bought"},
    "label_drift": {"bought"},
    "click_drop": {"bought"},
    "feedback_loss": {"bought"},
    "late_outcomes": {"bought_at"},
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_fault_changes_its_columns_and_no_other(name):
    rows, seconds = table()
    _, after = struck(name, rows, seconds)
    assert changed(rows, after) == CHANGES[name]


@pytest.mark.parametrize("name", ON_ROWS)
def test_a_fault_leaves_rows_before_its_start_and_after_its_end_alone(name):
    rows, seconds = table()
    _, after = struck(name, rows, seconds, end=START + HOUR / 2)
    outside = (seconds < START.timestamp()) | (seconds >= (START + HOUR / 2).timestamp())
    untouched = rows.filter(pa.array(outside))
    kept = after.filter(pc.is_in(after["id"], untouched["id"].combine_chunks()))
    assert changed(untouched, kept) == set()
    assert kept.num_rows == untouched.num_rows


@pytest.mark.parametrize(
    "name", ["march3", "lost_reads", "upstream_nulls", "new_category", "missing_rows", "feedback_loss"]
)
@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_a_share_is_the_share_of_the_rows(name, share):
    rows, seconds = table()
    _, after = struck(name, rows, seconds, strength=share)
    during = seconds >= START.timestamp()
    if name == "missing_rows":
        hit = 1 - (after.num_rows - (~during).sum()) / during.sum()
    else:
        (column,) = CHANGES[name]
        hit = np.mean(
            [a != b for a, b, on in zip(rows[column].to_pylist(), after[column].to_pylist(), during, strict=True) if on]
        )
    assert hit == pytest.approx(share, abs=0.06)


@pytest.mark.parametrize("text", [pa.string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())])
@pytest.mark.parametrize("number", [pa.int8(), pa.uint16(), pa.float32(), pa.decimal128(19, 0)])
@pytest.mark.parametrize("name", CHANGES)
def test_the_type_of_a_column_does_not_matter(name, text, number):
    rows, seconds = table(text, number, ROWS // 8)
    _, after = struck(name, rows, seconds)
    assert changed(rows, after) == CHANGES[name]


@pytest.mark.parametrize("number", [pa.int8(), pa.int16(), pa.int32(), pa.uint8(), pa.float64()])
def test_march_3_turns_days_into_the_unix_time_from_which_they_count(number):
    rows, seconds = table(number=number)
    _, after = struck("march3", rows, seconds, strength=1.0)
    each = zip(rows["days"].to_pylist(), after["days"].to_pylist(), seconds, strict=True)
    moved = [(days, now, at) for days, now, at in each if now != days]
    assert all(now == pytest.approx(at - 86_400 * days, abs=1) for days, now, at in moved)


@pytest.mark.parametrize("written", [pa.timestamp("s"), pa.timestamp("ns", "Europe/Berlin"), pa.string(), pa.int64()])
def test_outcomes_are_late_however_their_times_are_written(written):
    rows, seconds = table()
    times = rows["bought_at"].cast(pa.timestamp("s", "UTC"), safe=False)
    column = {pa.string(): lambda: pc.strftime(times, "%Y-%m-%dT%H:%M:%SZ")}.get(written, lambda: times.cast(written))()
    rows = rows.set_column(rows.schema.get_field_index("bought_at"), "bought_at", column)
    _, after = struck("late_outcomes", rows, seconds, strength=1.0)
    before, late = (
        instants(each["bought_at"].combine_chunks()).cast(pa.int64()).to_numpy() / 1e6 for each in (rows, after)
    )
    during = seconds >= START.timestamp()
    assert set((late - before)[during]) == {span(SPEC.prediction_log.outcome.max_delay).total_seconds()}
    assert set((late - before)[~during]) == {0.0}


def test_a_column_that_cannot_be_measured_cannot_be_struck_and_is_named():
    rows, seconds = table()
    rows = rows.set_column(rows.schema.get_field_index("days"), "days", pa.array([[1]] * ROWS))
    with pytest.raises(
        FaultError, match="column 'days' of the log: it holds list<item: int64> values; expected numbers"
    ):
        struck("march3", rows, seconds)


def test_a_fault_of_users_hits_all_rows_of_a_user_or_none():
    rows, seconds = table()
    _, after = struck("march3", rows, seconds, strength=0.5)
    hit: dict[int, set[bool]] = {}
    columns = (rows["user"].to_pylist(), rows["days"].to_pylist(), after["days"].to_pylist(), seconds)
    for user, before, now, at in zip(*columns, strict=True):
        if at >= START.timestamp():
            hit.setdefault(user, set()).add(before != now)
    assert {len(each) for each in hit.values()} == {1}


def test_a_prediction_and_its_outcome_in_a_file_of_its_own_are_lost_together():
    rows, seconds = table()
    _, together = struck("feedback_loss", rows, seconds, strength=0.5)
    _, apart = struck("feedback_loss", rows.select(["id", "bought", "bought_at"]), seconds, strength=0.5)
    lost = set(together.filter(together["bought"].is_null())["id"].to_pylist())
    assert set(rows["id"].to_pylist()) - set(apart["id"].to_pylist()) == lost


def test_a_new_category_is_one_that_was_never_seen():
    rows, seconds = table()
    _, after = struck("new_category", rows, seconds)
    assert set(after["country"].to_pylist()) == {"DE", "FR", UNSEEN}


def test_a_drift_of_the_concept_keeps_the_rate_of_outcomes():
    rows, seconds = table()
    _, after = struck("concept_drift", rows, seconds, strength=1.0)
    assert pc.sum(after["bought"]).as_py() == pc.sum(rows["bought"]).as_py()


def test_a_source_that_is_stale_is_not_updated_and_others_are():
    moments = [START + minutes * timedelta(minutes=1) for minutes in range(-60, 60, 10)]
    updates = pa.table(
        {"feature_source": ["batch", "stream"] * 12, "updated": [moment for moment in moments for _ in range(2)]}
    )
    fault = fault_of(SPEC, "stale_source", start=START)
    left = strike_sources(fault, updates).to_pylist()
    assert {(row["feature_source"], row["updated"] >= START) for row in left} == {
        ("batch", False),
        ("stream", False),
        ("stream", True),
    }


# ---------------------------------------------------------------- serving metrics


def serving(count: float = 100.0) -> tuple[Contract, np.ndarray, dict]:
    """Four steps of requests, each answered within 50 ms."""
    contract = Contract(SPEC)
    times = START.timestamp() + 300.0 * np.arange(-2, 3)
    total = count * np.arange(5.0)
    latency = contract.name("prediction_latency_seconds_bucket")
    version = ("model_version", "7")
    series = {
        contract.name("predictions_total"): {frozenset({version}): total},
        contract.name("prediction_errors_total"): {frozenset({version, ("error_type", "timeout")}): np.zeros(5)},
        latency: {
            frozenset({version, ("stage", "total"), ("le", le)}): total * part
            for le, part in (("0.05", 0.5), ("0.1", 1.0), ("0.2", 1.0), ("+Inf", 1.0))
        },
    }
    return contract, times, series


def test_an_error_burst_fails_its_share_of_the_requests_from_its_start_on():
    contract, times, series = serving()
    after = strike_series(contract, fault_of(SPEC, "error_burst", start=START, strength=0.2), times, series)
    (errors,) = after[contract.name("prediction_errors_total")].values()
    assert errors.tolist() == [0, 0, 0, 20, 40]


def test_latencies_that_are_doubled_are_below_bounds_twice_as_large():
    contract, times, series = serving()
    after = strike_series(contract, fault_of(SPEC, "latency_regression", start=START, strength=2.0), times, series)
    buckets = after[contract.name("prediction_latency_seconds_bucket")]
    by_bound = {dict(labels)["le"]: values for labels, values in buckets.items()}
    grown = {bound: (values[-1] - values[2]) / 200 for bound, values in by_bound.items()}
    assert grown == pytest.approx({"0.05": 0.25, "0.1": 0.5, "0.2": 1.0, "+Inf": 1.0})


@pytest.mark.parametrize("name", ["error_burst", "latency_regression"])
def test_counters_never_fall(name):
    contract, times, series = serving()
    after = strike_series(contract, fault_of(SPEC, name, start=START), times, series)
    assert all((np.diff(values) >= 0).all() for vector in after.values() for values in vector.values())


# ---------------------------------------------------------------- the catalogue


def test_every_fault_of_the_simulator_can_be_played():
    assert set(FAULTS) <= set(NAMES)


def test_every_alert_that_a_fault_expects_exists(streamrec, flights):
    defined = {alert.name for spec in (streamrec, flights) for signal in signals(spec) for alert in signal.alerts}
    assert {name for kind in KINDS for name in kind.signals} <= defined


@pytest.mark.parametrize(
    "kind",
    [
        kind
        for kind in KINDS
        if kind.subject in {Subject.SCORE, Subject.OUTCOME, Subject.SERVING, Subject.SOURCE, Subject.CATEGORY}
    ],
    ids=lambda kind: kind.name,
)
def test_a_system_without_what_a_fault_strikes_is_told_so(kind):
    with pytest.raises(FaultError, match="has none"):
        fault_of(PLAIN, kind.name, start=START)


def test_required_features_are_struck_first():
    spec = parse_spec(
        "version: 1\nsystem: {name: x}\nprediction_log: {path: log}\nfeatures: {a: {nullable: true}, b: {}}\n"
    )
    assert fault_of(spec, "upstream_nulls", start=START).subject == "b"
