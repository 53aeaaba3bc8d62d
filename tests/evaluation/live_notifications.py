"""Notifications that people get: StreamRec's measured series, played to a real Prometheus and Alertmanager, into the inbox.

`python -m tests.evaluation.live_notifications` prints the table; `--write` puts it into docs/alerting.md, next to what the
rules and routes of code 8845d9a made of the same series; `--compiled FOLDER` plays those of another release.
"""

import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import click
import numpy as np
import yaml
from numpy.typing import NDArray

from examples.servers import find_server, free_port
from examples.streamrec.faults import March3, StaleSource
from examples.streamrec.simulate import Traffic
from examples.streamrec.write import write_history
from mlvitals.evaluation.expressions import Floats, Vector
from mlvitals.evaluation.history import Steps, add_folder, spec_of_folder
from mlvitals.evaluation.replay import Replay
from mlvitals.exporters.schedule import schedule_of
from mlvitals.exporters.training.data import build_from_files
from mlvitals.generator.contract import Contract, Producer
from mlvitals.generator.spec.compression import compress_time
from mlvitals.generator.spec.durations import seconds, span
from mlvitals.generator.spec.load import load_spec
from mlvitals.generator.spec.model import Spec
from mlvitals.incidents.inbox.mailbox import Mailbox
from mlvitals.incidents.inbox.messages import Message, Service
from mlvitals.incidents.inbox.server import PAGERDUTY, WEBHOOK, Inbox
from tests.real_servers import running

REPOSITORY = Path(__file__).resolve().parents[2]
SPEC = REPOSITORY / "specs" / "streamrec.yaml"
PAGE = REPOSITORY / "docs" / "alerting.md"
FACTOR = 300
"""An hour takes twelve seconds."""
BEGIN = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
STALE, SILENT, DRIFTING = (BEGIN + hours * HOUR for hours in (13, 25, 36))
"""When a source's updates end, when predictions end for six hours, and when March 3 begins."""
END = BEGIN + 48 * HOUR
OUTAGE = 6 * HOUR
BEFORE: Mapping[str, tuple[int, int]] = {
    "March 3, its first eight hours": (3, 10),
    "the exporter is down for six hours": (1, 7),
    "the application is down for six hours": (1, 7),
    "a source is stale, six hours past its limit": (2, 13),
    "Prometheus restarts during March 3": (3, 10),
    "one request fails": (0, 2),
    "no request for six hours, all processes up": (0, 5),
}
"""Pages and messages by the rules and routes of code 8845d9a, measured by this module."""


# ---------------------------------------------------------------- what processes publish


@dataclass(frozen=True, slots=True)
class Published:
    """The series of a history, by the process that publishes them, at regular steps."""

    spec: Spec
    steps: Steps
    exporter: Mapping[str, Vector]
    serving: Mapping[str, Vector]


def measure(folder: Path) -> Published:
    """Write two days of StreamRec with a stale source, six hours without traffic, and March 3, and measure them."""
    spec = load_spec(SPEC)
    contract = Contract(spec)
    faults = [StaleSource(STALE, 1.0, STALE + HOUR + OUTAGE), March3(DRIFTING, 0.4)]
    traffic = Traffic(mean_per_hour=2_000)
    for _ in write_history(folder, END, 2, seed=1, faults=faults, traffic=traffic, contract=contract):
        pass
    for hour in range(OUTAGE // HOUR):
        (folder / "predictions" / f"{SILENT + hour * HOUR:date=%Y-%m-%d/hour=%H}" / "part-0.parquet").unlink()
    steps = Steps(BEGIN, END, span(spec.telemetry.rate_window))
    reference = build_from_files(spec, folder, (str(folder / "training"),), BEGIN)
    local = spec_of_folder(spec, folder)
    replay = Replay(local, folder, reference, None, steps, everything=True)
    replay.measure(schedule_of(local).windows(BEGIN, END), END)
    add_folder(replay.history, folder)
    serving = {name for family in contract.of(Producer.SERVING) for name in family.series_names}
    found = {name: vector for name, vector in replay.history.series.items() if name in contract.by_series}
    still = (steps.times >= SILENT.timestamp()) & (steps.times < (SILENT + OUTAGE).timestamp())
    for name in serving & found.keys():
        found[name] = {labels: without_growth(values, still) for labels, values in found[name].items()}
    return Published(
        spec,
        steps,
        {name: vector for name, vector in found.items() if name not in serving and name != "up"},
        {name: found[name] for name in serving & found.keys()},
    )


def without_growth(values: Floats, still: NDArray[np.bool_]) -> Floats:
    """Return a counter that stands still at some steps, and goes on from there."""
    known = ~np.isnan(values)
    growth = np.diff(values[known], prepend=0)
    growth[still[known]] = 0
    found = np.full(len(values), np.nan)
    found[known] = np.cumsum(growth)
    return found


# ---------------------------------------------------------------- what happens


@dataclass(frozen=True, slots=True)
class Happening:
    """A stretch of the history that is played, and what else happens in it, in hours from its start."""

    name: str
    start: datetime
    hours: float
    exporter_down: tuple[float, float] = (0, 0)
    serving_down: tuple[float, float] = (0, 0)
    failed_request: float | None = None
    restart: float | None = None


HAPPENINGS = (
    Happening("March 3, its first eight hours", DRIFTING - HOUR, 9),
    Happening("the exporter is down for six hours", BEGIN + 2 * HOUR, 9, exporter_down=(1, 7)),
    Happening("the application is down for six hours", SILENT - HOUR, 9, serving_down=(1, 7)),
    Happening("a source is stale, six hours past its limit", STALE - HOUR, 11),
    Happening("Prometheus restarts during March 3", DRIFTING - HOUR, 9, restart=4),
    Happening("one request fails", BEGIN + 2 * HOUR, 4, failed_request=1),
    Happening("no request for six hours, all processes up", SILENT - HOUR, 9),
)


@dataclass(frozen=True, slots=True)
class Heard:
    """What people got: pages that opened, and messages in Slack."""

    pages: int
    messages: int
    titles: tuple[str, ...] = ()


class Clock:
    """The time of the history, while it is played."""

    def __init__(self, start: datetime) -> None:
        self._start, self._began = start.timestamp(), time.time()

    def now(self) -> float:
        """Return the Unix time in the history."""
        return self._start + (time.time() - self._began) * FACTOR

    def real(self, moment: float) -> float:
        """Return when a time of the history is, or was, on the clock of the servers."""
        return self._began + (moment - self._start) / FACTOR

    def wait(self, hours: float) -> None:
        """Wait until so many hours after the start."""
        time.sleep(max(0.0, self._began + hours * 3600 / FACTOR - time.time()))


class Page:
    """What a process publishes over time: ages and timestamps in the time of the servers."""

    def __init__(self, published: Published, vectors: Mapping[str, Vector], clock: Clock, happening: Happening) -> None:
        compressed, contract = compress_time(published.spec, FACTOR), Contract(published.spec)
        self._steps, self._clock, self._happening = published.steps, clock, happening
        self._limits = {name: seconds(source.max_age) for name, source in compressed.sources.items()}
        self._max_age = contract.name("data_freshness_max_age_seconds")
        self._series = [
            (
                name,
                f"{name}{{{','.join(f'{key}={json.dumps(text)}' for key, text in sorted(labels))}}} ",
                self._seen(name, dict(labels), values).tolist(),
            )
            for name, vector in vectors.items()
            for labels, values in vector.items()
        ]

    def _seen(self, name: str, labels: Mapping[str, str], values: Floats) -> Floats:
        """Return the values of a series in the time of the servers."""
        if name.endswith("_timestamp_seconds"):
            return np.array([self._clock.real(value) for value in values])
        if name == self._max_age:
            return np.full(len(values), self._limits[labels["feature_source"]])
        return values / FACTOR if name.endswith("_seconds") and "_latency_" not in name else values

    def text(self) -> str:
        """Return the text at this time; one request more has failed if one was to fail."""
        now, start = self._clock.now(), self._happening.start.timestamp()
        at = min(self._steps.count - 1, int((now - self._steps.start.timestamp()) // self._steps.step.total_seconds()))
        failed = self._happening.failed_request
        one = int(failed is not None and now >= start + failed * 3600)
        more = {name for name, *_ in self._series if name.endswith(("_predictions_total", "_prediction_errors_total"))}
        return "".join(
            f"{series}{values[at] + one * (name in more)!r}\n"
            for name, series, values in self._series
            if values[at] == values[at]
        )


@contextmanager
def serving_page(text: Callable[[], str | None]) -> Iterator[str]:
    """The address of a process whose page has a text, or which is down."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = text()
            self.send_response(503 if body is None else 200)
            self.send_header("Content-Length", str(len((body or "").encode())))
            self.end_headers()
            self.wfile.write((body or "").encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


# ---------------------------------------------------------------- servers


def server(name: str) -> str:
    """Return the path of a program of Debian stable."""
    found = find_server(name)
    assert found, f"scripts/servers.sh stable unpacks {name}"
    return found


def compiled(folder: Path) -> Path:
    """Compile StreamRec in compressed time."""
    command = [
        sys.executable,
        "-m",
        "mlvitals",
        "compile",
        str(SPEC),
        "--compress-time",
        str(FACTOR),
        "--out",
        str(folder),
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=REPOSITORY)
    return folder


def play(happening: Happening, published: Published, release: Path, folder: Path) -> Heard:
    """Play what happens to real servers with the rules and routes of a release."""
    clock = Clock(happening.start)

    def during(hours: tuple[float, float]) -> bool:
        return hours[0] <= (clock.now() - happening.start.timestamp()) / 3600 < hours[1]

    read = set(re.findall(r"\w+", (next((release / "alert_rules").glob("*.rules.yml"))).read_text()))

    def process(vectors: Mapping[str, Vector], down: tuple[float, float]) -> Callable[[], str | None]:
        page = Page(published, {name: vectors[name] for name in vectors.keys() & read}, clock, happening)
        return lambda: None if during(down) else page.text()

    mailbox = Mailbox()
    with ExitStack() as stack:
        inbox = stack.enter_context(Inbox("127.0.0.1:0", mailbox))
        exporter = stack.enter_context(serving_page(process(published.exporter, happening.exporter_down)))
        serving = stack.enter_context(serving_page(process(published.serving, happening.serving_down)))
        config = routes_to(inbox.url, release / "stack" / "streamrec", folder)
        options = (f"--config.file={config}", f"--storage.path={folder}/alertmanager", "--cluster.listen-address=")
        alertmanager = stack.enter_context(running(server("alertmanager"), *options, ready="/-/ready"))
        scrapes = scrapes_of(release, folder, exporter, serving, alertmanager.removeprefix("http://"))
        store_past(
            published, happening, clock, {"streamrec-exporter": exporter, "streamrec-serving": serving}, folder / "data"
        )
        for until in (happening.restart, happening.hours):
            if until is not None:
                with prometheus(f"--config.file={scrapes}", f"--storage.tsdb.path={folder}/data"):
                    clock.wait(until)
        return heard_in(mailbox.messages())


@contextmanager
def prometheus(*options: str) -> Iterator[None]:
    """Run Prometheus, and let it crash.

    One that is asked to end stops scraping before it stops judging: with a `for` of a second everything is down by then.
    """
    command = [server("prometheus"), f"--web.listen-address=127.0.0.1:{free_port()}", *options]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def routes_to(inbox: str, stack: Path, folder: Path) -> Path:
    """Write the configuration of Alertmanager with all receivers at the inbox; returns its path."""
    document = yaml.safe_load((stack / "alertmanager.yml").read_text())
    (folder / "slack").write_text(f"{inbox}/slack/secret")
    (folder / "pagerduty").write_text("secret")
    for receiver in document["receivers"]:
        for slack in receiver.get("slack_configs", ()):
            slack["api_url_file"] = str(folder / "slack")
        for pager in receiver.get("pagerduty_configs", ()):
            pager |= {"routing_key_file": str(folder / "pagerduty"), "url": inbox + PAGERDUTY}
        for hook in receiver.get("webhook_configs", ()):
            hook.pop("url_file", None)
            hook["url"] = inbox + WEBHOOK
    document["templates"] = [str(stack / "templates" / "*.tmpl")]
    path = folder / "alertmanager.yml"
    path.write_text(yaml.safe_dump(document))
    return path


def scrapes_of(release: Path, folder: Path, exporter: str, serving: str, alertmanager: str) -> Path:
    """Write the configuration of Prometheus; returns its path."""
    document = yaml.safe_load((release / "stack" / "streamrec" / "prometheus.yml").read_text())
    (rules,) = (path for path in (release / "alert_rules").glob("*.rules.yml"))
    targets = {"streamrec-exporter": exporter, "streamrec-serving": serving, "alertmanager": alertmanager}
    document["scrape_configs"] = [
        {**job, "static_configs": [{"targets": [targets[job["job_name"]]]}]}
        for job in document["scrape_configs"]
        if job["job_name"] in targets
    ]
    document["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [alertmanager]}]}]
    (folder / "rules.yml").write_text(with_short_week(rules.read_text()))
    document["rule_files"] = [str(folder / "rules.yml")]
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(document))
    return path


def with_short_week(rules: str) -> str:
    """Compress the hour and the week of the alert on traffic, which are not of the spec."""
    week = round(seconds("7d") / FACTOR)
    return rules.replace("rate5m[1h])", f"rate5m[{3600 // FACTOR}s])").replace("offset 7d", f"offset {week}s")


def store_past(
    published: Published, happening: Happening, clock: Clock, targets: Mapping[str, str], data: Path
) -> None:
    """Store that all targets were up, and the usual traffic as it was recorded a week before."""
    (counter,) = (vector for name, vector in published.serving.items() if name.endswith("_predictions_total"))
    grown = sum(float(values[-1] - values[~np.isnan(values)][0]) for values in counter.values())
    usual = grown / (END - BEGIN).total_seconds() * FACTOR
    began, week = clock.real(happening.start.timestamp()), seconds("7d") / FACTOR
    record = "system:streamrec_predictions:rate1h"
    lines = [f"# TYPE {record} gauge"]
    lines += [
        f"{record} {usual} {began - week + at:.3f}" for at in range(-10, int(happening.hours * 3600 / FACTOR) + 10)
    ]
    lines += ["# TYPE up gauge"]
    lines += [
        f'up{{job="{job}",instance="{instance}"}} 1 {began - at:.3f}'
        for job, instance in targets.items()
        for at in (3, 2, 1)
    ]
    text = data.with_name("past.om")
    text.write_text("\n".join([*lines, "# EOF", ""]))
    command = [server("promtool"), "tsdb", "create-blocks-from", "openmetrics", str(text), str(data)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def heard_in(messages: Iterable[Message]) -> Heard:
    """Count the pages that opened, and the messages."""
    open_: set[str | None] = set()
    pages, chat, titles = 0, 0, []
    for message in messages:
        if message.service is Service.PAGERDUTY:
            pages += message.status == "trigger" and message.key not in open_
            (open_.add if message.status == "trigger" else open_.discard)(message.key)
        elif message.service is Service.SLACK:
            chat += 1
        if message.service is not Service.WEBHOOK:
            titles.append(f"{message.service} {message.status} {message.title}")
    return Heard(pages, chat, tuple(titles))


# ---------------------------------------------------------------- the table


def table(now: Mapping[str, Heard]) -> str:
    """Write the table of docs/alerting.md."""
    rows = ["| what happens | pages, messages with code 8845d9a | now |", "|---|---|---|"]
    for name, heard in now.items():
        before = ", ".join(map(str, BEFORE[name])) if name in BEFORE else "not measured"
        rows.append(f"| {name} | {before} | {heard.pages}, {heard.messages} |")
    return "\n".join(rows)


def play_all(
    folder: Path, release: Path | None = None, happenings: Sequence[Happening] = HAPPENINGS
) -> dict[str, Heard]:
    """Measure the history and play what happens, one after the other: a scrape that is late is a process that is down."""
    for name in ("history", "release", *(each.name for each in happenings)):
        (folder / name).mkdir()
    published = measure(folder / "history")
    release = release or compiled(folder / "release")

    return {each.name: play(each, published, release, folder / each.name) for each in happenings}


@click.command
@click.option(
    "--compiled", "release", type=click.Path(path_type=Path, exists=True), help="Play the files in this folder."
)
@click.option("--write", is_flag=True, help="Write the table into docs/alerting.md.")
@click.option("--titles", is_flag=True, help="Print what every message says.")
def main(release: Path | None, write: bool, titles: bool) -> None:
    """Play what happens and print who heard how often."""
    with tempfile.TemporaryDirectory() as folder:
        found = play_all(Path(folder), release and release.absolute())
    print(table(found))
    for name, heard in found.items() if titles else ():
        print("", name, *heard.titles, sep="\n")
    if write:
        mark = re.compile(r"(?<=<!-- live notifications -->\n).*?(?=\n<!-- end -->)", re.DOTALL)
        PAGE.write_text(mark.sub(lambda _: table(found), PAGE.read_text()))


if __name__ == "__main__":
    main()
