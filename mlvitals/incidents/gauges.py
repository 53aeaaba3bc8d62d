"""Metrics of incidents, for the exporter: how many there are, when they came and went, and how long they took."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

from mlvitals.exporters.parts import Samples, single_sample
from mlvitals.generator.contract import INCIDENTS_SHOWN
from mlvitals.incidents.analysis.whole import analyse
from mlvitals.incidents.evidence import EvidenceError, evidence_file, read_evidence
from mlvitals.incidents.record.changes import IncidentError
from mlvitals.incidents.record.model import Incident, State
from mlvitals.incidents.record.store import Incidents

_Mark = tuple[tuple[int, int], ...]
"""Time and size of the files of an incident: while these stay the same, so does the incident."""


class _Known(NamedTuple):
    mark: _Mark
    incident: Incident | None
    """None where the file cannot be read."""
    seconds: dict[str, float | None]


class IncidentGauges:
    """The incidents of one system in a folder, as samples. Only files that have changed are read again.

    Example::

        run_exporter(spec, base_dir, more=IncidentGauges(Path("incidents"), spec.system.name), ...)
    """

    def __init__(self, folder: Path, system: str) -> None:
        self._folder = folder
        self._system = system
        self._known: dict[str, _Known] = {}

    def __call__(self) -> Samples:
        """Return the samples by family; a folder that does not exist holds no incident.

        Raises:
            OSError: the folder cannot be listed.
        """
        names = (
            [path.stem for path in self._folder.iterdir() if path.suffix == ".yaml"] if self._folder.exists() else []
        )
        self._known = {name: self._look(name) for name in sorted(names)}
        found = [
            (known.incident, known.seconds)
            for known in self._known.values()
            if known.incident and known.incident.system == self._system
        ]
        states = Counter(incident.state for incident, _ in found)
        newest = sorted(found, key=lambda each: (each[0].opened_at, each[0].id), reverse=True)[:INCIDENTS_SHOWN]
        return {
            "incidents": [((state,), states[state]) for state in State],
            "incident_files_unreadable": single_sample(sum(known.incident is None for known in self._known.values())),
            **_of_each(newest),
        }

    def _look(self, name: str) -> _Known:
        mark = tuple(_mark(path) for path in (self._folder / f"{name}.yaml", evidence_file(self._folder, name)))
        known = self._known.get(name)
        return known if known and known.mark == mark else self._read(name, mark)

    def _read(self, name: str, mark: _Mark) -> _Known:
        try:
            incident = Incidents(self._folder).get(name)
        except IncidentError:
            return _Known(mark, None, {})
        try:
            evidence = read_evidence(self._folder, name)
        except EvidenceError:
            evidence = None
        spans = analyse(incident, evidence).times.spans
        return _Known(mark, incident, {stage: span.seconds for stage, span in spans.items()})


def _mark(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except FileNotFoundError:
        return (0, 0)
    return stat.st_mtime_ns, stat.st_size


def _of_each(shown: list[tuple[Incident, dict[str, float | None]]]) -> Samples:
    return {
        "incident_opened_timestamp_seconds": [
            ((each.id, each.title, each.severity or ""), each.opened_at.timestamp()) for each, _ in shown
        ],
        "incident_resolved_timestamp_seconds": [
            ((each.id, each.title), each.resolved_at.timestamp()) for each, _ in shown if each.resolved_at
        ],
        "incident_duration_seconds": [
            ((each.id, stage), seconds) for each, taken in shown for stage, seconds in taken.items()
        ],
    }
