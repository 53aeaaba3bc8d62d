"""Publishing without an exporter process: the page that the exporter would serve, handed over once.

A job of cron or Airflow writes it for node_exporter's textfile collector or pushes it to a Pushgateway. Samples bear
no timestamps: both refuse them, and the time that the metrics are from is a family of its own.
"""

from collections.abc import Mapping
from datetime import datetime
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request

from mlvitals.exporters.paths import first_line
from mlvitals.exporters.publish.prometheus import CONTENT_TYPE, RunState, render
from mlvitals.exporters.sections.freshness import Reading
from mlvitals.exporters.web import ask
from mlvitals.exporters.window.report import WindowReport
from mlvitals.generator.atomic import replacing
from mlvitals.generator.contract import Contract
from mlvitals.generator.errors import UserError

TEXTFILE_SUFFIX = ".prom"
PUSH_TIMEOUT_SECONDS = 30


class PublishError(UserError):
    """The page could not be handed over."""


def page_of_run(
    contract: Contract, report: WindowReport, freshness: Mapping[str, Reading], begin: datetime, end: datetime
) -> bytes:
    """Return the exporter's page after one run, which started and ended at these times and succeeded."""
    duration = (end - begin).total_seconds()
    state = RunState(runs=1, last_run=end, last_success=end, duration_seconds=duration)
    return render(contract, report, state, freshness, end)


def write_textfile(page: bytes, path: Path) -> None:
    """Write the page for node_exporter's textfile collector, which never sees half of it.

    Raises:
        PublishError: the collector would not read a file of this name, or the folder cannot be written.
    """
    if path.suffix != TEXTFILE_SUFFIX:
        raise PublishError(f"{path}: node_exporter reads only files whose names end with {TEXTFILE_SUFFIX}")
    try:
        with replacing(path) as file:
            file.write(page)
    except OSError as error:
        raise PublishError(f"{path} cannot be written: {error.strerror or error}") from error


def push(page: bytes, gateway: str, job: str) -> None:
    """Put the page in place of what a Pushgateway holds of a job.

    Args:
        page: the samples, without timestamps.
        gateway: where the Pushgateway is, such as ``http://127.0.0.1:9091`` or ``https://user:password@host``.
        job: the label under which the samples are grouped.

    Raises:
        PublishError: the address is none, nobody answers there, or the Pushgateway refuses the page.
    """
    if not gateway.startswith(("http://", "https://")):
        raise PublishError(f"{gateway}: the address of a Pushgateway looks like http://127.0.0.1:9091")
    url = f"{gateway.rstrip('/')}/metrics/job/{quote(job, safe='')}"
    headers = {"Content-Type": CONTENT_TYPE}
    try:
        request = Request(url, data=page, method="PUT", headers=headers)  # noqa: S310 - checked above
        with ask(request, PUSH_TIMEOUT_SECONDS):
            """It is pushed."""
    except HTTPError as error:
        said = _said(error)
        raise PublishError(f"{url} answered {error.code}{f': {said}' if said else ''}") from error
    except (OSError, HTTPException, ValueError) as error:
        raise PublishError(f"{url} cannot be reached: {first_line(error)}") from error


def _said(error: HTTPError) -> str:
    """Return the first line of an answer that refuses; empty where it does not come."""
    try:
        return error.read(1000).decode(errors="replace").strip().partition("\n")[0]
    except (OSError, HTTPException):
        return ""
