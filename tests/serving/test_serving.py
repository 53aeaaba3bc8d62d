import decimal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from urllib.request import Request, urlopen

import msgspec
import numpy as np
import pytest
from exporter_samples import HOSTILE, SPEC, samples_of, value
from prometheus_client import CollectorRegistry, Counter, generate_latest

from mlvitals.exporters.serving.labels import ANNOUNCED, UNNAMED
from mlvitals.exporters.serving.telemetry import PredictionTelemetry
from mlvitals.generator.contract import Contract, Producer

TRAINED = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def telemetry() -> PredictionTelemetry:
    return PredictionTelemetry(SPEC, CollectorRegistry())


def page(telemetry: PredictionTelemetry) -> bytes:
    return generate_latest(telemetry.registry)


def serve_everything(telemetry: PredictionTelemetry) -> None:
    telemetry.model("v1", "lightgbm", TRAINED)
    telemetry.observe("v1", "/home", {"inference": 0.02, "total": 0.07}, scores=[0.25, 0.85], features={"age": 41})
    telemetry.observe("v1", "/home", {"total": 0.3}, error_type="timeout")
    telemetry.event("clicks")
    telemetry.event("revenue", 12.5)
    telemetry.set_unique("items", 500)
    telemetry.set_unique("shown_items", 125)
    telemetry.gpu("0", 0.5)


def test_every_serving_family_of_the_contract_is_published_and_no_other(telemetry: PredictionTelemetry) -> None:
    serve_everything(telemetry)
    published = {line.split()[2] for line in page(telemetry).decode().splitlines() if line.startswith("# TYPE ")}
    assert published == {family.name for family in Contract(SPEC).of(Producer.SERVING)}


def test_the_page_is_promtool_clean(telemetry: PredictionTelemetry, promtool: str) -> None:
    serve_everything(telemetry)
    checked = subprocess.run([promtool, "check", "metrics"], input=page(telemetry), capture_output=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def test_failed_requests_are_predictions_asked_for(telemetry: PredictionTelemetry) -> None:
    serve_everything(telemetry)
    found = page(telemetry)
    assert value(found, "shop_predictions_total", model_version="v1", endpoint="/home") == 2
    assert value(found, "shop_prediction_errors_total", model_version="v1", error_type="timeout") == 1


def test_a_latency_at_a_threshold_counts_as_within_it(telemetry: PredictionTelemetry) -> None:
    telemetry.observe("v1", "/home", {"total": 0.075})
    at_threshold = {"model_version": "v1", "stage": "total", "le": "0.075"}
    assert value(page(telemetry), "shop_prediction_latency_seconds_bucket", **at_threshold) == 1


def test_known_series_begin_at_0_once_the_version_is_known(telemetry: PredictionTelemetry) -> None:
    telemetry.model("v2", "lightgbm", TRAINED)
    found = page(telemetry)
    assert value(found, "shop_predictions_total", model_version="v2", endpoint="/search") == 0
    assert value(found, "shop_prediction_errors_total", model_version="v2", error_type="internal") == 0
    assert value(found, "shop_prediction_latency_seconds_count", model_version="v2", stage="total") == 0
    assert value(found, "shop_clicks_total") == 0


def test_what_was_never_set_is_absent(telemetry: PredictionTelemetry) -> None:
    assert value(page(telemetry), "shop_items") is None


def test_only_the_model_being_served_is_shown_as_served(telemetry: PredictionTelemetry) -> None:
    telemetry.model("v1", "lightgbm", TRAINED)
    telemetry.model("v2", "lightgbm", TRAINED)
    found = page(telemetry)
    assert value(found, "shop_model_info", model_version="v1", framework="lightgbm") is None
    assert value(found, "shop_model_info", model_version="v2", framework="lightgbm") == 1
    assert value(found, "shop_model_trained_timestamp_seconds", model_version="v2") == TRAINED.timestamp()


@pytest.mark.parametrize("undefined", [float("nan"), float("inf"), float("-inf")])
def test_undefined_scores_and_latencies_are_left_out(telemetry: PredictionTelemetry, undefined: float) -> None:
    telemetry.observe("v1", "/home", {"total": undefined}, scores=[undefined, 0.5])
    found = page(telemetry)
    assert value(found, "shop_prediction_score_count", model_version="v1") == 1
    assert value(found, "shop_prediction_score_sum", model_version="v1") == 0.5
    assert value(found, "shop_prediction_latency_seconds_count", model_version="v1", stage="total") == 0


def nulls_of(telemetry: PredictionTelemetry, feature: str) -> float | None:
    return value(page(telemetry), "shop_serving_feature_null_total", feature_name=feature)


@pytest.mark.parametrize("null", [None, float("nan"), np.float32("nan"), np.datetime64("NaT"), decimal.Decimal("NaN")])
def test_a_feature_without_value_counts_as_null(telemetry: PredictionTelemetry, null: object) -> None:
    telemetry.observe("v1", "/home", {}, features={"age": null, "country": "fr", HOSTILE: 0})
    assert (nulls_of(telemetry, "age"), nulls_of(telemetry, "country"), nulls_of(telemetry, HOSTILE)) == (1, 0, 0)
    assert value(page(telemetry), "shop_serving_feature_rows_total") == 1


def test_a_feature_that_was_not_handed_over_counts_as_null_and_an_unknown_one_as_nothing(
    telemetry: PredictionTelemetry,
) -> None:
    telemetry.observe("v1", "/home", {}, features={"age": 41, "colour": None})
    assert (nulls_of(telemetry, "country"), nulls_of(telemetry, HOSTILE), nulls_of(telemetry, "age")) == (1, 1, 0)
    assert nulls_of(telemetry, "colour") is None


class NeitherEqualNorNot:
    """As pandas.NA: compared with anything, it is itself, and neither true nor false."""

    def __ne__(self, _: object) -> "NeitherEqualNorNot":  # type: ignore[override]
        return self

    def __bool__(self) -> bool:
        raise TypeError("boolean value of NA is ambiguous")


def test_values_that_cannot_be_compared_disturb_nothing(telemetry: PredictionTelemetry) -> None:
    features = {"age": NeitherEqualNorNot(), "country": np.zeros(3), HOSTILE: None}
    telemetry.observe("v1", "/home", {}, features=features)
    assert (nulls_of(telemetry, "age"), nulls_of(telemetry, "country"), nulls_of(telemetry, HOSTILE)) == (1, 0, 1)


def test_without_features_no_row_is_counted(telemetry: PredictionTelemetry) -> None:
    telemetry.observe("v1", "/home", {"total": 0.1})
    assert value(page(telemetry), "shop_serving_feature_rows_total") == 0
    assert nulls_of(telemetry, "age") == 0


def test_sums_of_single_precision_figures_are_kept_in_double(telemetry: PredictionTelemetry) -> None:
    for _ in range(3):
        telemetry.observe("v1", "/home", {}, scores=np.array([0.1], np.float32))
    assert value(page(telemetry), "shop_prediction_score_sum", model_version="v1") == 3 * float(np.float32(0.1))


def test_threads_lose_no_count(telemetry: PredictionTelemetry) -> None:
    def requests(_: int) -> None:
        for _ in range(500):
            telemetry.observe("v1", "/home", {"total": 0.02}, scores=[0.5], features={"age": None})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(requests, range(8)))
    assert value(page(telemetry), "shop_predictions_total", model_version="v1", endpoint="/home") == 4000
    assert value(page(telemetry), "shop_prediction_score_count", model_version="v1") == 4000
    assert nulls_of(telemetry, "age") == 4000


def test_an_unknown_stage_is_refused_and_nothing_counted(telemetry: PredictionTelemetry) -> None:
    with pytest.raises(ValueError, match="unknown stage 'rerank'; the spec names inference, total"):
        telemetry.observe("v1", "/home", {"total": 0.1, "rerank": 0.1})
    assert not any("predictions_total" in name for name, _ in samples_of(page(telemetry)))


def test_an_unknown_event_names_the_known_ones(telemetry: PredictionTelemetry) -> None:
    with pytest.raises(ValueError, match="no business event 'click'; the spec has clicks, revenue"):
        telemetry.event("click")


def test_counted_and_distinct_events_are_told_apart(telemetry: PredictionTelemetry) -> None:
    with pytest.raises(ValueError, match="use set_unique for business event 'items'"):
        telemetry.event("items")
    with pytest.raises(ValueError, match="use event for business event 'clicks'"):
        telemetry.set_unique("clicks", 3)


@pytest.mark.parametrize("amount", [-1, float("nan"), float("inf")])
def test_an_event_only_grows(telemetry: PredictionTelemetry, amount: float) -> None:
    with pytest.raises(ValueError, match="event 'clicks' cannot grow by"):
        telemetry.event("clicks", amount)


def test_a_training_time_without_zone_is_refused(telemetry: PredictionTelemetry) -> None:
    with pytest.raises(ValueError, match="time zone"):
        telemetry.model("v1", "lightgbm", datetime(2026, 3, 1))  # noqa: DTZ001


def test_gpus_are_refused_where_the_spec_has_none() -> None:
    serving = msgspec.structs.replace(SPEC.serving, gpu=False)
    with pytest.raises(ValueError, match=r"set serving\.gpu: true"):
        PredictionTelemetry(msgspec.structs.replace(SPEC, serving=serving)).gpu("0", 0.5)


def test_a_spec_without_a_serving_application_has_no_telemetry() -> None:
    serving = msgspec.structs.replace(SPEC.serving, enabled=False)
    with pytest.raises(ValueError, match=r"set serving\.enabled: true"):
        PredictionTelemetry(msgspec.structs.replace(SPEC, serving=serving))


def test_hostile_label_values_come_back_as_they_were(telemetry: PredictionTelemetry) -> None:
    telemetry.observe(HOSTILE, "/home", {"total": 0.1})
    assert value(page(telemetry), "shop_predictions_total", model_version=HOSTILE, endpoint="/home") == 1


def test_the_applications_own_metrics_keep_their_created_series() -> None:
    registry = CollectorRegistry()
    Counter("own_requests", "The application's own.", registry=registry)
    serve_everything(PredictionTelemetry(SPEC, registry))
    created = [name for name, _ in samples_of(generate_latest(registry)) if name.endswith("_created")]
    assert created == ["own_requests_created"]


def test_the_server_shows_the_process_too_and_can_be_closed() -> None:
    telemetry = PredictionTelemetry(SPEC)
    serve_everything(telemetry)
    with telemetry.start_server() as server:
        with urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=60) as answer:
            found = answer.read()
        port = server.port
    names = {name for name, _ in samples_of(found)}
    assert {family.name for family in Contract(SPEC).of(Producer.PROCESS)} <= names
    with pytest.raises(OSError):
        urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60)


def test_five_hundred_scrapes_at_once_are_all_answered() -> None:
    telemetry = PredictionTelemetry(SPEC, CollectorRegistry())
    serve_everything(telemetry)
    with telemetry.start_server() as server:
        clients = [socket.create_connection(("127.0.0.1", server.port), timeout=60) for _ in range(500)]
        for client in clients:
            client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        assert [client.recv(15) for client in clients] == [b"HTTP/1.1 200 OK"] * 500
        for client in clients:
            client.close()


def test_a_scrape_gets_the_format_and_the_families_it_asks_for() -> None:
    telemetry = PredictionTelemetry(SPEC, CollectorRegistry())
    serve_everything(telemetry)
    with telemetry.start_server() as server:
        asked = Request(
            f"{server.url}/metrics?name[]=shop_clicks_total&name[]=shop_items",
            headers={"Accept": "application/openmetrics-text; version=1.0.0"},
        )
        with urlopen(asked, timeout=60) as answer:
            assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
            page = answer.read()
    assert [line.split()[2] for line in page.splitlines() if line.startswith(b"# TYPE")] == [
        b"shop_clicks",
        b"shop_items",
    ]
    assert page.endswith(b"# EOF\n")


def test_an_address_that_is_taken_is_an_error_of_the_system() -> None:
    telemetry = PredictionTelemetry(SPEC, CollectorRegistry())
    with telemetry.start_server() as server, pytest.raises(OSError, match="Address already in use"):
        telemetry.start_server(port=server.port)


def test_a_serving_application_needs_no_numpy() -> None:
    heavy = (
        "import sys, mlvitals.exporters.serving.telemetry, mlvitals.exporters.listener; "
        "print([name for name in ('numpy', 'pyarrow', 'scipy') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", heavy], capture_output=True, check=True).stdout == b"[]\n"


# ---------------------------------------------------------------- what the application is asked makes no series for ever


def series_with(page: bytes, family: str, label: str) -> set[str]:
    return {labels[label] for name, labels in named_samples(page) if name == family}


def named_samples(page: bytes) -> list[tuple[str, dict[str, str]]]:
    return [(name, dict(labels)) for name, labels in samples_of(page)]


def test_invented_endpoints_share_one_series_beyond_a_cap_and_a_counter_says_how_many(
    telemetry: PredictionTelemetry,
) -> None:
    for number in range(300):
        telemetry.observe("v1", f"/wp-admin/{number}", {})
    found = page(telemetry)
    endpoints = series_with(found, "shop_predictions_total", "endpoint")
    assert endpoints == {"/home", "/search", "other"} | {f"/wp-admin/{number}" for number in range(UNNAMED)}
    assert value(found, "shop_predictions_total", model_version="v1", endpoint="other") == 300 - UNNAMED
    assert value(found, "shop_serving_label_overflow_total", label_name="endpoint") == 300 - UNNAMED


def test_what_the_spec_names_has_its_own_series_whatever_came_before(telemetry: PredictionTelemetry) -> None:
    for number in range(300):
        telemetry.observe("v1", f"/wp-admin/{number}", {}, error_type=f"error {number}")
    telemetry.observe("v1", "/search", {}, error_type="timeout")
    found = page(telemetry)
    assert value(found, "shop_predictions_total", model_version="v1", endpoint="/search") == 1
    assert value(found, "shop_prediction_errors_total", model_version="v1", error_type="timeout") == 1


def test_many_error_types_do_not_make_a_long_page(telemetry: PredictionTelemetry) -> None:
    telemetry.observe("v1", "/home", {}, error_type="timeout")
    before = len(page(telemetry))
    for number in range(50_000):
        telemetry.observe("v1", "/home", {}, error_type=f"KeyError: user {number}")
    assert len(page(telemetry)) < before + 100 * (UNNAMED + 1)
    assert value(page(telemetry), "shop_serving_label_overflow_total", label_name="error_type") == 50_000 - UNNAMED


def test_invented_model_versions_leave_room_for_those_that_are_announced(telemetry: PredictionTelemetry) -> None:
    for number in range(300):
        telemetry.observe(f"guess {number}", "/home", {})
    telemetry.model("v2", "lightgbm", TRAINED)
    telemetry.observe("v2", "/home", {})
    found = page(telemetry)
    assert len(series_with(found, "shop_predictions_total", "model_version")) == UNNAMED + 2
    assert value(found, "shop_predictions_total", model_version="v2", endpoint="/home") == 1
    assert value(found, "shop_model_info", model_version="v2", framework="lightgbm") == 1


def test_models_frameworks_and_gpus_are_bounded_too(telemetry: PredictionTelemetry) -> None:
    for number in range(300):
        telemetry.model(f"v{number}", f"framework {number}", TRAINED)
        telemetry.gpu(str(number), 0.5)
    found = page(telemetry)
    assert len(series_with(found, "shop_gpu_utilization_ratio", "gpu")) == UNNAMED + 1
    assert value(found, "shop_serving_label_overflow_total", label_name="model_version") == 300 - ANNOUNCED
    assert value(found, "shop_serving_label_overflow_total", label_name="framework") == 300 - UNNAMED


@pytest.mark.parametrize("label", [7, "\ud800", "x" * 100_000, ("a", "b")])
def test_a_label_that_cannot_be_published_as_it_is_does_not_spoil_the_page(
    telemetry: PredictionTelemetry, label: object
) -> None:
    telemetry.observe(label, label, {}, error_type=label)  # type: ignore[arg-type]
    telemetry.observe("v1", "/home", {})
    assert value(page(telemetry), "shop_predictions_total", model_version="v1", endpoint="/home") == 1
    assert len(page(telemetry)) < 50_000


# ---------------------------------------------------------------- the caller's own objects


def test_scores_may_come_from_a_generator_that_counts_too(telemetry: PredictionTelemetry) -> None:
    def scores() -> Iterator[float]:
        telemetry.event("clicks")
        yield 0.5

    with ThreadPoolExecutor(1) as pool:
        pool.submit(telemetry.observe, "v1", "/home", {}, scores()).result(timeout=60)
    assert value(page(telemetry), "shop_clicks_total") == 1
    assert value(page(telemetry), "shop_prediction_score_count", model_version="v1") == 1


@pytest.mark.parametrize(
    ("latency", "scores"),
    [({"total": 0.1}, [0.5, None]), ({"total": None, "inference": 0.1}, [0.5]), ({"total": 0.1}, ["0.5"])],
)
def test_a_request_with_a_value_that_is_no_number_is_refused_and_nothing_of_it_counted(
    telemetry: PredictionTelemetry, latency: dict[str, float], scores: list[float]
) -> None:
    telemetry.model("v1", "lightgbm", TRAINED)
    before = page(telemetry)
    with pytest.raises(TypeError):
        telemetry.observe("v1", "/home", latency, scores, error_type="timeout", features={})
    assert page(telemetry) == before


def test_scores_that_break_off_are_not_counted_at_all(telemetry: PredictionTelemetry) -> None:
    def scores() -> Iterator[float]:
        yield 0.5
        raise RuntimeError("the model ended")

    telemetry.model("v1", "lightgbm", TRAINED)
    before = page(telemetry)
    with pytest.raises(RuntimeError):
        telemetry.observe("v1", "/home", {"total": 0.1}, scores())
    assert page(telemetry) == before


FORKED_WHILE_COUNTING = """
import os, sys, threading
sys.path.insert(0, "tests/samples")
from pathlib import Path
from serving_samples import SPEC
from mlvitals.exporters.serving.labels import ANNOUNCED, UNNAMED
from mlvitals.exporters.serving.telemetry import PredictionTelemetry
telemetry = PredictionTelemetry(SPEC, workers=Path(sys.argv[1]) if len(sys.argv) > 1 else None)
def requests():
    while True:
        telemetry.observe("v1", "/home", {"total": 0.02, "inference": 0.01}, scores=[0.5] * 200, features={"age": 1})
threading.Thread(target=requests, daemon=True).start()
for _ in range(30):
    if not (child := os.fork()):
        telemetry.observe("v1", "/home", {"total": 0.02})
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
os._exit(0)
"""


@pytest.mark.slow
@pytest.mark.parametrize("with_workers", [False, True])
def test_a_fork_while_another_thread_counts_leaves_a_child_that_can_count(with_workers: bool, tmp_path: Path) -> None:
    command = [sys.executable, "-c", FORKED_WHILE_COUNTING, *([str(tmp_path)] if with_workers else [])]
    assert subprocess.run(command, timeout=120, check=False).returncode == 0
