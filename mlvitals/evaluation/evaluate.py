"""Evaluation of a history: measured by the exporter's code, judged by the generated rules, compared with the truth."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

from mlvitals.evaluation.alerts import Firing
from mlvitals.evaluation.history import HistoryError, Steps, add_folder, spec_of_folder
from mlvitals.evaluation.notifications import ActiveAlert, notifications
from mlvitals.evaluation.replay import DRIFT_TYPE, Progress, Replay
from mlvitals.evaluation.scoring import Evaluation, score
from mlvitals.evaluation.truth import Truth
from mlvitals.exporters.publish.results import ResultsStore
from mlvitals.exporters.reference.artifact import Reference
from mlvitals.exporters.schedule import schedule_of
from mlvitals.exporters.window.row_times import row_times
from mlvitals.generator.contract import Contract
from mlvitals.generator.routing.alertmanager import alertmanager_document
from mlvitals.generator.signals import signals
from mlvitals.generator.spec.durations import span
from mlvitals.generator.spec.model import Spec


def evaluate(
    spec: Spec,
    base_dir: Path,
    folder: Path,
    truth: Truth,
    reference: Reference,
    results: ResultsStore | None,
    progress: Progress = lambda reports, _: reports,
) -> Evaluation:
    """Replay the history in a folder from the truth's start to its end.

    The step of the rules is the spec's `telemetry.rate_window`, the shortest range that rules read.

    Args:
        spec: the system's spec.
        base_dir: the base of its relative paths.
        folder: the history (`evaluation.history`).
        truth: the known faults.
        reference: the baseline.
        results: stores the reports, for metrics that look back at earlier windows.
        progress: wraps the reports, to show the progress.

    Raises:
        HistoryError: the folder cannot be replayed, or is of another system.
        LogError: the log as a whole cannot be read.
    """
    if truth.system != spec.system.name:
        raise HistoryError(f"the truth is of {truth.system!r}, the spec of {spec.system.name!r}")
    local = spec_of_folder(spec, folder)
    steps = Steps(truth.start, truth.end, span(spec.telemetry.rate_window))
    schedule = schedule_of(local, row_times(local.prediction_log, base_dir))
    schedule.go_on_from(truth.start)
    windows = schedule.windows(truth.start, truth.end)
    replay = Replay(local, base_dir, reference, results, steps)
    replay.measure(windows, truth.end, progress)
    add_folder(replay.history, folder)
    drift_types = replay.history.series.get(Contract(local).name(DRIFT_TYPE), {})
    # Metrics exist only after the end of the first window.
    warm_up = steps.at(_first_published(truth.start, span(spec.window_length), spec)) + 1
    outcome = replay.outcome()
    heard = notifications(alertmanager_document(spec, signals(spec)), _on_the_clock(outcome.firings, steps))
    return score(truth, steps, len(windows), outcome, drift_types, heard, warm_up=warm_up)


def _on_the_clock(firings: Iterable[Firing], steps: Steps) -> Iterator[ActiveAlert]:
    """Yield firings as Alertmanager gets them, in seconds from the start."""
    step = steps.step.total_seconds()
    return (ActiveAlert(firing.routed, firing.start * step, firing.end * step) for firing in firings)


def _first_published(start: datetime, length: timedelta, spec: Spec) -> datetime:
    return start + length + span(spec.windows.grace)
