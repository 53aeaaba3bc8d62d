"""A history on its way through the exporter and the generated rules: measured as far as wanted, judged at any time."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from mlvitals.evaluation.alerts import Outcome, Recorded, fired_in, names_read, store_of
from mlvitals.evaluation.history import History, Steps
from mlvitals.exporters.parts import Window
from mlvitals.exporters.process.backfill import backfill
from mlvitals.exporters.publish.results import ResultsStore
from mlvitals.exporters.reference.artifact import Reference
from mlvitals.exporters.window.report import WindowReport
from mlvitals.generator.contract import Contract
from mlvitals.generator.rules.groups import rule_groups
from mlvitals.generator.signals import signals
from mlvitals.generator.spec.durations import span
from mlvitals.generator.spec.model import Spec

DRIFT_TYPE = "drift_type"
"""The family whose label `type` is the drift type."""
Progress = Callable[[Iterator[WindowReport], int], Iterator[WindowReport]]
"""Wraps reports and their number, to show the progress."""


class Replay:
    """The windows of a history, measured by the exporter's code, and the series that Prometheus would hold of them.

    Args:
        spec: the system's spec; its log is the history's.
        base_dir: the base of its relative paths.
        reference: the baseline.
        results: stores the reports, for metrics that look back at earlier windows.
        steps: when rules are evaluated.
        everything: keep every series of the contract, not only those that rules read.
    """

    def __init__(
        self,
        spec: Spec,
        base_dir: Path,
        reference: Reference,
        results: ResultsStore | None,
        steps: Steps,
        *,
        everything: bool = False,
    ) -> None:
        contract = Contract(spec)
        self._spec, self._base_dir, self._reference, self._results = spec, base_dir, reference, results
        self.groups = tuple(rule_groups(spec, signals(spec)))
        wanted = names_read(self.groups) | {contract.name(DRIFT_TYPE)}
        self.history = History(contract, steps, wanted | contract.by_series.keys() if everything else wanted)

    def measure(
        self,
        windows: Sequence[Window],
        measured_at: datetime,
        progress: Progress = lambda reports, _: reports,
    ) -> list[WindowReport]:
        """Measure windows that follow those measured before, and return their reports.

        Raises:
            LogError: the log as a whole cannot be read.
        """
        found = []
        reports = backfill(
            self._spec,
            self._base_dir,
            self._reference,
            windows,
            measured_at=measured_at,
            history=None,
            results=self._results,
        )
        for report in progress(iter(reports), len(windows)):
            self.history.add(report)
            found.append(report)
        if windows:
            self.history.finish(windows[-1].end + span(self._spec.step))
        return found

    def store(self) -> Recorded:
        """Return the series so far with those that rules record."""
        steps = self.history.steps
        return store_of(self.groups, steps.times, steps.step, self.history.series)

    def outcome(self, store: Recorded | None = None) -> Outcome:
        """Return what the rules make of the series so far, or of those in a store."""
        return fired_in(store or self.store(), self.groups)
