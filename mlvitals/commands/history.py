"""Many measured windows at a glance."""

from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlvitals.commands.common import OUTPUT, fail, instant, load, spec_argument, write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlvitals.exporters.parts import Window
    from mlvitals.exporters.window.summary import WindowSummary
    from mlvitals.generator.spec.model import Spec

PERIOD = timedelta(days=30)


@click.command()
@spec_argument
@click.option(
    "--start",
    callback=instant,
    metavar="TIME",
    help="Show windows that ended after this time. Default: 30 days before the end.",
)
@click.option(
    "--end", callback=instant, metavar="TIME", help="and no later than this time. Default: the newest window's end."
)
@click.option("--found", is_flag=True, help="Leave out windows in which nothing was found.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON (schema mlvitals.history/1).")
@click.option("--html", type=OUTPUT, metavar="FILE", help="Write a self-contained HTML page.")
@click.option(
    "--reports",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="With --html: write the report of each window with findings into this folder, and link to it.",
)
def history(
    spec_path: Path,
    start: datetime | None,
    end: datetime | None,
    found: bool,
    as_json: bool,
    html: Path | None,
    reports: Path | None,
) -> None:
    """Show the measured windows of the results database: what was found when, scores, outcomes and drift types."""
    from mlvitals.exporters.publish.past import open_past_windows
    from mlvitals.exporters.window.summary import MOST_WINDOWS, history_json

    if reports and not html:
        raise click.UsageError("--reports needs --html, whose page links to the reports")
    if start and end and end <= start:
        raise click.BadParameter("must be after --start", param_hint="--end")
    spec = load(spec_path)
    name = spec.system.name
    with closing(open_past_windows(spec.results, spec_path.parent)) as past:
        newest = end or past.end_of_newest(name)
        if newest is None:
            fail(
                f"no window of {name} is kept in {spec.results.url}; measure some: mlvitals backfill {spec_path} --save"
            )
        windows = past.summaries_between(name, start or newest - PERIOD, newest, MOST_WINDOWS)
        if html:
            _write_page(spec, spec_path.parent, html, reports, windows)
    if not windows:
        fail(f"no kept window of {name} ended in that time")
    shown = [window for window in windows if window.is_found] if found else windows
    if as_json:
        click.echo(history_json(name, shown))
    else:
        from mlvitals.terminal.console import console
        from mlvitals.terminal.history import history_table

        history_table(name, windows, shown, console())


def _write_page(
    spec: "Spec", base_dir: Path, html: Path, reports: Path | None, windows: "Sequence[WindowSummary]"
) -> None:
    """Write the page, and the reports that it links to."""
    from mlvitals.exporters.publish.html.history import Links, history_page
    from mlvitals.generator.spec.durations import span

    written = _write_reports(spec, base_dir, reports, windows) if reports else {}
    links = Links(report=lambda window: _relative(written[window], html) if window in written else "")
    write(html, history_page(spec.system.name, windows, span(spec.step), links).encode())


def _relative(file: Path, page: Path) -> str:
    from os.path import relpath
    from urllib.parse import quote

    return quote(relpath(file, page.parent))


def _write_reports(
    spec: "Spec", base_dir: Path, folder: Path, windows: "Sequence[WindowSummary]"
) -> "dict[Window, Path]":
    """Write the report of each window with findings; return the files."""
    from mlvitals.exporters.publish.html.page import html_page
    from mlvitals.exporters.publish.results import open_results
    from mlvitals.exporters.window.summary import key_of

    written = {}
    folder.mkdir(parents=True, exist_ok=True)
    with closing(open_results(spec.results, base_dir, create=False)) as results:
        for item in windows:
            report = results.report_of(spec.system.name, item.window) if item.is_found else None
            if report is not None:
                written[item.window] = folder / f"{key_of(item.window)}.html"
                write(written[item.window], html_page(report).encode())
    return written
