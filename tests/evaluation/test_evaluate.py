"""A day and a half of StreamRec with four faults, replayed from files to the verdict."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from replay import replay

from examples.streamrec.faults import ErrorBurst, Fault, LatencyRegression, March3, StaleSource
from examples.streamrec.simulate import Traffic
from examples.streamrec.write import write_history
from mlvitals.cli import main
from mlvitals.evaluation.notifications import ActiveAlert, notifications
from mlvitals.evaluation.truth import FaultRecord, Truth, write_truth
from mlvitals.generator.contract import Contract
from mlvitals.generator.routing.alertmanager import alertmanager_document
from mlvitals.generator.signals import signals
from mlvitals.generator.signals.signal import Layer
from mlvitals.generator.spec.compression import compress_time
from mlvitals.incidents.inbox.messages import Service

BEGIN = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
END = BEGIN + 36 * HOUR
pytestmark = pytest.mark.slow
SPEC = Path(__file__).resolve().parents[2] / "specs" / "streamrec.yaml"
FAULTS = {
    "slow": (LatencyRegression(BEGIN + 5 * HOUR, 3.0, BEGIN + 7 * HOUR), Layer.SYSTEM, "MLLatencyHigh"),
    "errors": (ErrorBurst(BEGIN + 11 * HOUR, 0.2, BEGIN + 13 * HOUR), Layer.SYSTEM, "MLErrorRateHigh"),
    "stale": (StaleSource(BEGIN + 17 * HOUR, 1.0, BEGIN + 22 * HOUR), Layer.DATA, "MLDataStale"),
    "march3": (March3(BEGIN + 27 * HOUR, 0.4, BEGIN + 30 * HOUR), Layer.DATA, "MLFeatureOutOfRange"),
}


def record(name: str, fault: Fault, layer: Layer, alert: str) -> FaultRecord:
    return FaultRecord(
        name=name,
        kind=type(fault).__name__,
        layer=layer,
        start=fault.start,
        end=fault.end,
        settled=fault.end + 3 * HOUR,
        strength=fault.strength,
        signals=(alert,),
    )


@pytest.fixture(scope="module")
def history(streamrec, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("history")
    faults = [fault for fault, _, _ in FAULTS.values()]
    hours = write_history(
        folder, END, 2, seed=1, faults=faults, traffic=Traffic(mean_per_hour=2_000), contract=Contract(streamrec)
    )
    assert sum(hours) > 0
    records = tuple(record(name, *known) for name, known in FAULTS.items())
    write_truth(Truth(system="streamrec", start=BEGIN, end=END, faults=records), folder / "truth.json")
    return folder


@pytest.fixture(scope="module")
def done(history) -> Result:
    files = ["--json", str(history / "found.json"), "--html", str(history / "found.html")]
    command = ["evaluate", str(SPEC), "--data", str(history), "--truth", str(history / "truth.json"), *files]
    return CliRunner().invoke(main, command, catch_exceptions=False)


@pytest.fixture(scope="module")
def found(history, done) -> dict:
    assert done.exit_code == 0, done.output
    return json.loads((history / "found.json").read_text())


def test_every_fault_is_caught_at_its_own_layer_by_the_alert_expected(found):
    assert {result["fault"]["name"] for result in found["faults"]} == set(FAULTS)
    for result in found["faults"]:
        assert result["caught"] and result["as_expected"], result["fault"]["name"]


def test_serving_faults_page_within_minutes_and_march_3_within_a_window(found):
    delays = {result["fault"]["name"]: result["page"]["delay_seconds"] / 60 for result in found["faults"]}
    assert delays["slow"] <= 20
    assert delays["errors"] <= 20
    assert 30 <= delays["stale"] <= 125, "twice the allowed age"
    assert delays["march3"] <= 75


def test_nothing_pages_while_nothing_is_wrong(found):
    assert found["false_pages"] == 0, found["false_alarms"]
    assert found["fault_free_days"] > 0.4


def test_each_fault_is_one_page(found):
    assert {result["fault"]["name"]: result["pages"] for result in found["faults"]} == dict.fromkeys(FAULTS, 1)


@pytest.mark.realtime
def test_a_real_alertmanager_sends_of_march_3_one_page_and_at_most_three_messages_and_what_was_computed(
    found, streamrec, servers, tmp_path
):
    """From its start for eight hours, an hour in six seconds."""
    factor, step = 600, found["step_seconds"]
    begin = (FAULTS["march3"][0].start - BEGIN) / timedelta(seconds=1)
    active = [
        ActiveAlert(each["routed"], (each["start"] * step - begin) / factor, (each["end"] * step - begin) / factor)
        for each in found["firings"]
        if each["start"] * step >= begin  # tickets of the faults before are still open
    ]
    spec = compress_time(streamrec, factor)
    computed = [
        each
        for each in notifications(alertmanager_document(spec, signals(spec)), active)
        if each.receiver != "nobody" and each.at < 8 * 3600 / factor
    ]
    heard = replay(servers("alertmanager"), spec, active, 8 * 3600 / factor, tmp_path)
    pages = {message.key for message in heard if message.service is Service.PAGERDUTY and message.status == "trigger"}
    slack = [message for message in heard if message.service is Service.SLACK]
    assert len(pages) == 1
    assert len(slack) <= 3, "\n".join(message.title for message in slack)
    assert abs(len(slack) - len(computed)) <= 1, (
        "a flush may fall on either side of a change, ten minutes before or after"
    )
    assert len(pages) == sum(each.opens and each.severity == "critical" for each in computed)


def test_every_rule_is_understood(found):
    assert found["not_understood"] == {}


def test_the_table_and_the_page_tell_each_fault(history, done):
    page = (history / "found.html").read_text()
    for name in FAULTS:
        assert name in done.output
        assert f"<b>{name}</b>" in page


@pytest.mark.parametrize(
    ("truth", "message"),
    [('{"system": "shop", "start": "2026-03-02T00:00:00Z", "end": "2026-03-03T00:00:00Z"}', "the truth is of 'shop'")],
)
def test_a_truth_of_another_system_is_refused(history, tmp_path, truth, message):
    path = tmp_path / "truth.json"
    path.write_text(truth)
    result = CliRunner().invoke(main, ["evaluate", str(SPEC), "--data", str(history), "--truth", str(path)])
    assert result.exit_code == 1
    assert message in result.output


def test_a_folder_without_a_log_is_refused(history, tmp_path):
    (tmp_path / "training").symlink_to(history / "training")
    command = ["evaluate", str(SPEC), "--data", str(tmp_path), "--truth", str(history / "truth.json")]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 1
    assert "no folder predictions" in result.output
