"""Signals on incidents themselves: how many there are, and how fast they are noticed and ended."""

from collections.abc import Iterator
from functools import partial

from mlvitals.generator.contract import Contract
from mlvitals.generator.signals.building import unreadable
from mlvitals.generator.signals.signal import (
    THINNED,
    Incident,
    Layer,
    Level,
    Place,
    Query,
    Record,
    Signal,
    View,
)
from mlvitals.generator.signals.text import Format, Value
from mlvitals.generator.spec.model import Severity, Spec

_panel = partial(Signal, layer=Layer.MONITORING, incident=Incident.MONITORING, place=Place.RESPONSE, width=8, height=6)


def response_signals(spec: Spec) -> Iterator[Signal]:
    """Yield the signals on incidents, if the spec says where their files are."""
    if spec.incidents.path is not None:
        contract = Contract(spec)
        yield _times(contract)
        yield _by_state(contract)
        yield _unreadable(spec, contract)


def _times(contract: Contract) -> Signal:
    duration = contract.name("incident_duration_seconds")
    # Each replica of an exporter shows every incident.
    each = f"max by (incident, stage) ({duration})"
    record = Record(f"stage:{duration}:mean", f"avg by (stage) ({each})", every=THINNED)
    return _panel(
        id="incident_times",
        title="Mean time to detect, acknowledge, mitigate and resolve",
        description="Means over the newest incidents of which the time is known: MTTD, MTTA, MTTM and MTTR. Counted from "
        "the start of the fault, but for acknowledge, which counts from the detection. Normal: falling from month to month.",
        unit="s",
        queries=(Query(record.name, "{{stage}}", instant=True),),
        view=View.STAT,
        empty="No incident has a known duration yet.",
        records=(record,),
    )


def _by_state(contract: Contract) -> Signal:
    return _panel(
        id="incidents_by_state",
        title="Incidents by state",
        description="Incidents of all files. Normal: none open or mitigated. A resolved one waits for its post-mortem.",
        unit="short",
        decimals=0,
        queries=(Query(f"max by (state) ({contract.name('incidents')})", "{{state}}"),),
        view=View.STEPS,
    )


def _unreadable(spec: Spec, contract: Contract) -> Signal:
    metric = contract.name("incident_files_unreadable")
    alert = unreadable(
        metric,
        "MLIncidentsUnreadable",
        spec.alerts.monitoring,
        "Some files of incidents cannot be read; the others count.",
        Value(Format.NUMBER),
        f" files of incidents of {spec.title} cannot be read; mlvitals incident list names them, with line and reason.",
    )
    return _panel(
        id="incidents_unreadable",
        title="Unreadable incident files",
        description="Files of incidents that cannot be read, mostly because a merge left its conflict in them. Normal: 0.",
        unit="short",
        decimals=0,
        queries=(Query(f"max({metric})", "Files", instant=True),),
        view=View.STAT,
        levels=(Level(Severity.WARNING, 1),),
        alerts=(alert,),
    )
