"""A prediction log replayed in memory: every hour is counted once, and a window is the sum of its hours."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce

import pyarrow as pa

from mlvitals.exporters.parts import Window
from mlvitals.exporters.reference.artifact import Reference
from mlvitals.exporters.sections.features import drift
from mlvitals.exporters.statistics.cells import Cells
from mlvitals.exporters.statistics.profile import FeatureProfile, profile_column
from mlvitals.exporters.window.measure import report_on
from mlvitals.exporters.window.report import WindowReport
from mlvitals.generator.spec.model import Spec

HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Counted:
    """What the rows of an hour, or of several, hold; the score has the name None."""

    rows: int
    profiles: Mapping[str | None, FeatureProfile]

    def merge(self, other: "Counted") -> "Counted":
        """The rows of both."""
        profiles = {name: profile.merge(other.profiles[name]) for name, profile in self.profiles.items()}
        return Counted(self.rows + other.rows, profiles)


class Replay:
    """Measures windows of one system's log against its reference."""

    def __init__(self, spec: Spec, reference: Reference) -> None:
        self._spec = spec
        self._reference = reference
        known = {name: feature.cells for name, feature in reference.features.items()}
        self._targets: dict[str | None, tuple[str, Cells]] = {
            name: (spec.column(name), cells) for name, cells in known.items()
        }
        if spec.prediction_log.score is not None and reference.score is not None:
            self._targets[None] = (spec.prediction_log.score, reference.score.cells)

    def count(self, rows: pa.Table) -> Counted:
        """Count rows on the reference's cells. All columns of the reference must be there, in their types."""
        times = rows[self._spec.prediction_log.timestamp]
        profiles = {name: profile_column(rows[column], cells, times) for name, (column, cells) in self._targets.items()}
        return Counted(rows.num_rows, profiles)

    def nothing(self) -> Counted:
        """What an hour without rows holds."""
        return Counted(0, {name: FeatureProfile.empty(cells) for name, (_, cells) in self._targets.items()})

    def report(self, counted: Counted, window: Window) -> WindowReport:
        """What a window says, given what its rows hold."""
        of_window = drift.WindowCounts(
            window=window,
            profiles={name: profile for name, profile in counted.profiles.items() if name is not None},
            score=counted.profiles.get(None),
        )
        return report_on(
            self._spec,
            self._reference,
            self._reference.version,
            of_window,
            rows=counted.rows,
            measured_at=window.end,
        )

    def windows(
        self, hours: Mapping[datetime, Counted], ends: Iterable[datetime], length: timedelta
    ) -> Iterator[WindowReport]:
        """The windows of a length that end at full hours; an hour that `hours` does not have is empty."""
        for end in ends:
            starts = (end - step * HOUR for step in range(1, length // HOUR + 1))
            parts = [hours[start] for start in starts if start in hours]
            yield self.report(reduce(Counted.merge, parts, self.nothing()), Window(end - length, end))
