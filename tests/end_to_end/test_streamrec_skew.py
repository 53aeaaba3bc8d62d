"""StreamRec's training-serving skew from the committed spec: what its offline pipeline recomputes, and lost reads."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from examples.streamrec.faults import SESSIONS, LostReads
from examples.streamrec.population import population
from examples.streamrec.simulate import simulate_hour, training_table
from examples.streamrec.write import write_hour, write_recomputed
from mlvitals.exporters.parts import Window
from mlvitals.exporters.reference.artifact import Reference
from mlvitals.exporters.training.build import build_reference
from mlvitals.exporters.window.measure import measure_window
from mlvitals.exporters.window.report import WindowReport
from mlvitals.generator.contract import SkewStatus
from mlvitals.generator.spec.model import Spec

HOUR = timedelta(hours=1)
START = datetime(2026, 3, 3, 8, tzinfo=UTC)
RECOMPUTED = set(population(1).users.features.schema.names)


@pytest.fixture(scope="module")
def reference(streamrec: Spec) -> Reference:
    return build_reference(streamrec, training_table(START - 48 * HOUR, 24, seed=1), created=START, source_hash="")


@pytest.fixture
def run(streamrec: Spec, reference: Reference, tmp_path: Path) -> Callable[[float], WindowReport]:
    """Measure an hour in which reads are lost for a share of the traffic."""
    specs, data = tmp_path / "specs", tmp_path / "examples" / "streamrec" / "data"
    specs.mkdir()

    def run(share: float) -> WindowReport:
        write_recomputed(data / "recomputed", START - 30 * HOUR, seed=1)
        write_recomputed(data / "recomputed", START - 6 * HOUR, seed=1)
        write_hour(data / "predictions", START, simulate_hour(START, seed=1, faults=[LostReads(START, share)]))
        return measure_window(streamrec, specs, reference, reference.version, Window(START, START + HOUR), START + HOUR)

    return run


def test_sound_serving_agrees_with_offline_on_every_prediction(run: Callable[[float], WindowReport]):
    found = run(0)
    assert found.skew.offline_rows == found.skew.serving_rows == found.rows
    assert {name for name, one in found.skew.features.items() if one.status is SkewStatus.OK} == RECOMPUTED
    assert {found.skew.features[name].mismatch_ratio for name in RECOMPUTED} == {0}


def test_reads_lost_for_five_percent_are_named_with_their_share_although_nothing_drifts(
    run: Callable[[float], WindowReport],
):
    found = run(0.05)
    strange = {name for name in RECOMPUTED if found.skew.features[name].status is not SkewStatus.OK}
    skew = found.skew.features[SESSIONS]
    assert strange == {SESSIONS}
    assert skew.status is SkewStatus.INVESTIGATE
    assert skew.mismatch_ratio == pytest.approx(0.05, abs=0.01)
    assert {one.serving for one in skew.offenders} == {"0"}
    assert found.features[SESSIONS].severity not in {"warning", "critical"}


def test_reads_lost_for_two_fifths_alert_by_rows_and_by_distribution(run: Callable[[float], WindowReport]):
    skew = run(0.4).skew.features[SESSIONS]
    assert skew.status is SkewStatus.ALERT
    assert skew.distance.severity == "critical"
