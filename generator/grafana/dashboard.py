"""The dashboards of a system: the main one, from the product down to the machines, and the more detailed ones."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from mlvitals.generator.boards import Board, board_name
from mlvitals.generator.contract import Contract
from mlvitals.generator.grafana import feature, logs, slo, strip
from mlvitals.generator.grafana.annotations import annotations
from mlvitals.generator.grafana.page import Folded, Page, Row, drawn, frame_of
from mlvitals.generator.grafana.variables import chosen_features, chosen_jobs, chosen_servers
from mlvitals.generator.logs import keeps_logs
from mlvitals.generator.signals.signal import Layer, Place, Signal
from mlvitals.generator.spec.model import Spec
from mlvitals.generator.text_files import json_file

_LAYERS = {
    Layer.BUSINESS: "Business (product, leadership)",
    Layer.MODEL: "Model (ML engineers)",
    Layer.DATA: "Data (data engineers)",
    Layer.SYSTEM: "System (SREs)",
}


def dashboard(spec: Spec, signals: Iterable[Signal], marker: str = "") -> dict[str, Any]:
    """Draw the main dashboard of a system as Grafana dashboard JSON, schema version 41.

    Args:
        spec: the system.
        signals: the signals, in reading order within each layer.
        marker: names the spec of the dashboard; shown in its description.
    """
    return drawn(spec, _main(spec, tuple(signals)), marker)


def dashboards(spec: Spec, signals: Iterable[Signal], marker: str = "") -> dict[Board, dict[str, Any]]:
    """Draw every dashboard of a system."""
    marks = annotations(Contract(spec))
    return {page.board: drawn(spec, replace(page, annotations=marks), marker) for page in _pages(spec, tuple(signals))}


def dashboard_files(spec: Spec, signals: Iterable[Signal], marker: str = "") -> dict[str, str]:
    """Return every dashboard as text, by file name.

    Keys are sorted, with two spaces and a newline at the end; the same spec gives the same bytes.
    """
    return {
        f"{board_name(spec, board)}.json": json_file(shown, sort_keys=True)
        for board, shown in dashboards(spec, signals, marker).items()
    }


def _pages(spec: Spec, signals: tuple[Signal, ...]) -> Iterator[Page]:
    yield _main(spec, signals)
    yield _details(spec, signals)
    yield feature.page(spec)
    if spec.slos:
        yield slo.page(spec, [signal for signal in signals if signal.place is Place.BUDGET])
    yield _monitoring(spec, signals)


def _main(spec: Spec, signals: tuple[Signal, ...]) -> Page:
    contract = Contract(spec)
    return Page(
        Board.MAIN,
        "ML health",
        "Shows if anything is wrong, in which layer, and since when. Start with the strip at the top; click a "
        "feature for details.",
        _with_logs(spec, _layers(signals, Place.MAIN)),
        (*chosen_jobs(contract), *chosen_servers(contract), *chosen_features(contract)),
        strip.strip(spec, signals, frame_of(spec, contract)),
        annotations(contract),
        logs.source_variable() if keeps_logs(spec) else None,
    )


def _with_logs(spec: Spec, layers: Sequence[Row]) -> list[Row | Folded]:
    """Return the layers, with the logs of the measuring processes below the data layer if log lines are kept."""
    after = list(_LAYERS).index(Layer.DATA) + 1
    return [*layers[:after], *([logs.row(spec)] if keeps_logs(spec) else []), *layers[after:]]


def _details(spec: Spec, signals: tuple[Signal, ...]) -> Page:
    contract = Contract(spec)
    return Page(
        Board.DETAILS,
        "all metrics",
        "The metrics that the main dashboard leaves out, for finding a cause.",
        _layers(signals, Place.DETAIL),
        (*chosen_jobs(contract), *chosen_servers(contract), *chosen_features(contract)),
    )


def _monitoring(spec: Spec, signals: tuple[Signal, ...]) -> Page:
    response = [signal for signal in signals if signal.place is Place.RESPONSE]
    return Page(
        Board.MONITORING,
        "monitoring",
        "Shows if the other dashboards can be trusted: everything measured, on time, against the right reference.",
        [
            Row("", [signal for signal in signals if signal.layer is Layer.MONITORING and signal not in response]),
            *([Row("Incidents", response)] if response else []),
        ],
        chosen_jobs(Contract(spec)),
    )


def _layers(signals: Iterable[Signal], place: Place) -> list[Row]:
    """Return one row per layer, with the signals that belong on this dashboard."""
    signals = tuple(signals)
    return [
        Row(title, [signal for signal in signals if signal.layer is layer and signal.place is place])
        for layer, title in _LAYERS.items()
    ]
