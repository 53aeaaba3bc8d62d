"""Common parts of all dashboards of a system: address, time range, links, variables, rows."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from grafanalib import core

from mlvitals.generator.boards import Board, board_uid
from mlvitals.generator.contract import Contract
from mlvitals.generator.grafana.clean import SCHEMA_VERSION, clean
from mlvitals.generator.grafana.layout import COLUMNS, Box, Size, flow
from mlvitals.generator.grafana.panels import Frame, grid, panel
from mlvitals.generator.grafana.text import literal, literal_url
from mlvitals.generator.grafana.variables import (
    Variable,
    chosen_environment,
    data_source_variable,
    of_environment,
    restricted,
)
from mlvitals.generator.signals import identity_of
from mlvitals.generator.signals.identity import Identity
from mlvitals.generator.signals.signal import Signal
from mlvitals.generator.spec.durations import seconds
from mlvitals.generator.spec.model import Spec

Json = dict[str, Any]

SHARED_CROSSHAIR = 1
_QUERIES = {"expr", "query"}
"""Keys of panels, annotations and variables that hold PromQL."""
_HEADINGS = {
    "feature_name": "Feature",
    "bin": "Bin",
    "feature_source": "Source",
    "feature_type": "Type",
    "le": "Up to",
    "status": "Status",
    "sloth_slo": "Objective",
    "sloth_window": "Window",
}


@dataclass(frozen=True, slots=True)
class Row:
    """Signals below a heading; without a heading they continue the row above."""

    title: str
    signals: Sequence[Signal]
    restricted: bool = True
    """True if its queries are filtered by the variables at the top."""


@dataclass(frozen=True, slots=True)
class Folded:
    """One panel below a heading that is closed at first: it runs no query until somebody opens it."""

    title: str
    size: Size
    draw: Callable[[int, Box], core.Panel]
    """By its id and its place."""


@dataclass(frozen=True, slots=True)
class Page:
    """One dashboard of a system."""

    board: Board
    title: str
    purpose: str
    """The question it answers; shown above the description of the system."""
    rows: Sequence[Row | Folded]
    variables: Sequence[Variable] = ()
    top: Sequence[core.Panel] = ()
    """Panels drawn by themselves, above all rows."""
    annotations: Sequence[Json] = ()
    log_store: Json | None = None
    """The variable of a second data source, if a row queries one."""


def frame_of(spec: Spec, contract: Contract) -> Frame:
    """Return the settings that the panels of a system share."""
    labels = sorted({label for family in contract.families for label in family.labels} - _HEADINGS.keys())
    return Frame(
        feature_uid=board_uid(spec, Board.FEATURE),
        main_uid=board_uid(spec, Board.MAIN),
        carried=tuple(spec.identity.labels),
        interval=f"{max(1, round(seconds(spec.telemetry.scrape_interval)))}s",
        labels=_HEADINGS | {label: label.replace("_", " ").capitalize() for label in labels},
    )


def drawn(spec: Spec, page: Page, marker: str = "") -> Json:
    """Return a page as Grafana dashboard JSON, schema version 41; `marker` names its spec."""
    contract = Contract(spec)
    rows = [_restricted(row, page, contract) for row in page.rows]
    top = max((panel.gridPos.y + panel.gridPos.h for panel in page.top), default=0)
    cleaned = clean(
        core.Dashboard(
            uid=board_uid(spec, page.board),
            title=f"{literal(spec.full_title)}: {page.title}",
            description="\n\n".join(filter(None, (page.purpose, literal(spec.system.description), marker))),
            tags=["mlvitals", spec.slug, spec.system.team],
            editable=False,
            graphTooltip=SHARED_CROSSHAIR,
            refresh="1m",
            schemaVersion=SCHEMA_VERSION,
            time=core.Time("now-24h", "now"),
            timezone="browser",
            templating=core.Templating(
                list=[
                    data_source_variable(),
                    *([page.log_store] if page.log_store else []),
                    *chosen_environment(spec.identity.labels),
                    *(variable.document() for variable in page.variables),
                ]
            ),
            annotations=core.Annotations(list=list(page.annotations)),
            links=[_other_boards(spec), _runbooks(spec)],
            panels=[*page.top, *_placed(rows, frame_of(spec, contract), top)],
        )
    )
    return _of_one_system(cleaned, identity_of(spec)) if spec.identity.labels or spec.serving.job else cleaned


def _of_one_system(value: Any, identity: Identity) -> Any:
    """Return JSON in which every expression and every variable reads the series of the system in the chosen environment."""
    if isinstance(value, dict):
        return {
            key: of_environment(identity.expression(item), identity.labels)
            if key in _QUERIES and isinstance(item, str)
            else _of_one_system(item, identity)
            for key, item in value.items()
        }
    return [_of_one_system(item, identity) for item in value] if isinstance(value, list) else value


def _restricted(row: Row | Folded, page: Page, contract: Contract) -> Row | Folded:
    """Return the row, with its queries filtered by the chosen values if the row asks for that."""
    if isinstance(row, Folded) or not row.restricted:
        return row
    return replace(row, signals=tuple(restricted(row.signals, page.variables, contract)))


def _placed(rows: Iterable[Row | Folded], frame: Frame, top: int) -> Iterator[core.Panel]:
    """Yield the panels of all rows; each row has its own range of a hundred ids."""
    for position, row in enumerate(rows, start=1):
        identity = 100 * position
        if isinstance(row, Folded):
            inside = row.draw(identity + 1, Box(0, top + 1, row.size.width, row.size.height))
            yield _heading(row.title, identity, top, collapsed=True, panels=[inside])
            top += 1
            continue
        if not row.signals:
            continue
        if row.title:
            yield _heading(row.title, identity, top)
            top += 1
        boxes = list(flow((Size(signal.width, signal.height) for signal in row.signals), top))
        for offset, (signal, box) in enumerate(zip(row.signals, boxes, strict=True), start=1):
            yield panel(signal, identity + offset, box, frame)
        top = boxes[-1].y + boxes[-1].height


def _heading(title: str, identity: int, top: int, **more: Any) -> core.RowPanel:
    return core.RowPanel(id=identity, title=title, gridPos=grid(Box(0, top, COLUMNS, 1)), **more)


def _other_boards(spec: Spec) -> core.DashboardLink:
    return core.DashboardLink(
        type="dashboards",
        title="More of this system",
        tooltip="Its other dashboards, at the same time range",
        tags=["mlvitals", spec.slug],
        asDropdown=True,
        keepTime=True,
        includeVars=True,
    )


def _runbooks(spec: Spec) -> core.DashboardLink:
    return core.DashboardLink(
        type="link",
        title="Runbooks",
        tooltip="Runbooks by incident type",
        icon="doc",
        uri=literal_url(spec.links.runbooks),
        targetBlank=True,
    )
