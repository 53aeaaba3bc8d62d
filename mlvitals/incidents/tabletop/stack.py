"""A real stack for an exercise: Prometheus on the generated rules, Alertmanager on the generated routes, and an inbox.

The exporter's pages are those that its code would have served of the history; time is compressed, as `--compress-time` does
it, so that every length of time in the rules is as much shorter.
"""

import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import yaml

from mlvitals.evaluation.expressions import Floats, Labels, Vector
from mlvitals.evaluation.history import Steps
from mlvitals.exporters.listener import Listener, Page, Request
from mlvitals.exporters.publish.openmetrics import label_text
from mlvitals.generator.compiler import compile_spec
from mlvitals.generator.contract import Contract, Producer
from mlvitals.generator.errors import UserError
from mlvitals.generator.spec.compression import compress_time
from mlvitals.generator.spec.durations import seconds
from mlvitals.generator.spec.model import Spec
from mlvitals.incidents.inbox.mailbox import Mailbox
from mlvitals.incidents.inbox.server import WEBHOOK, Inbox
from mlvitals.incidents.record.webhook import incident_keeper
from mlvitals.incidents.tabletop.notices import heard_by
from mlvitals.local.programs import ProgramError, find_program, free_port, running, server_command, wait_until_ready

_COUNTERS = ("_total", "_bucket", "_count", "_sum")


class StackError(UserError):
    """A server of the stack is missing, or does not start."""


@dataclass(frozen=True, slots=True)
class CompressedTime:
    """The time of an exercise: `start` at `origin` on the clock, then `factor` times as fast."""

    origin: datetime
    start: datetime
    factor: float

    def played(self, wall: datetime) -> datetime:
        """Return the time of the history at a moment on the clock."""
        return self.start + (wall - self.origin) * self.factor

    def wall(self, moment: datetime) -> datetime:
        """Return the moment on the clock at which the history reaches a time."""
        return self.origin + (moment - self.start) / self.factor

    def now(self) -> datetime:
        """Return the time of the history now."""
        return self.played(datetime.now(UTC))

    def sleep_until(self, moment: datetime, most: float = 1.0) -> None:
        """Sleep until the history reaches a time, and at most for some seconds."""
        time.sleep(min(most, max(0.0, (self.wall(moment) - datetime.now(UTC)).total_seconds())))


class HistoryPages:
    """The pages of the exporter and of the serving application, as they were at the time of the history that it is now.

    Args:
        spec: the spec as it is compressed.
        steps: of the series.
        clock: the time of the exercise.
    """

    def __init__(self, spec: Spec, steps: Steps, clock: CompressedTime) -> None:
        self._contract = Contract(spec)
        self._steps, self._clock = steps, clock
        self._series: Mapping[str, Vector] = {}
        self._floors: Mapping[tuple[str, Labels], float] = {}
        """By counter what was served before the series changed, where the new ones have not got there yet."""
        self._still: dict[Producer, tuple[int, Mapping[str, Vector], str]] = {}
        """By process the step, the series and the text of what does not change until the next step."""

    def show(self, series: Mapping[str, Vector]) -> None:
        """Show these series from now on. Counters never fall: to Prometheus they would have started again, with all they hold."""
        position = self._position
        served = {
            (name, labels): self._served(name, labels, values, position)
            for name, vector in self._series.items()
            if self._moves(name)
            for labels, values in vector.items()
        }
        self._series = {name: dict(vector) for name, vector in series.items()}
        self._floors = {
            (name, labels): before
            for (name, labels), before in served.items()
            if labels in self._series.get(name, {})
            and before > self._value(name, dict(labels), self._series[name][labels], position)
        }

    @property
    def _position(self) -> float:
        return (self._clock.now() - self._steps.start) / self._steps.step

    def _served(self, name: str, labels: Labels, values: Floats, position: float) -> float:
        """Return a value of a counter, which may hold for a while."""
        value = self._value(name, dict(labels), values, position)
        return max(value, self._floors.get((name, labels), value))

    def page(self, producer: Producer) -> Page:
        """Return the page of a process."""
        position, series = self._position, self._series
        moving = "".join(self._lines(series, producer, position, moving=True))
        text = self._still_text(series, producer, int(position)) + moving
        return Page(text.encode(), content_type="text/plain; version=0.0.4; charset=utf-8")

    def _still_text(self, series: Mapping[str, Vector], producer: Producer, index: int) -> str:
        """Return what holds until the next step: made once, as a scrape comes every second."""
        known = self._still.get(producer)
        if known is None or known[0] != index or known[1] is not series:
            text = "".join(self._lines(series, producer, float(index), moving=False))
            known = self._still[producer] = (index, series, text)
        return known[2]

    def _lines(
        self, series: Mapping[str, Vector], producer: Producer, position: float, *, moving: bool
    ) -> Iterator[str]:
        for name, vector in series.items():
            family = self._contract.by_series.get(name)
            if family is not None and family.producer is producer and self._moves(name) is moving:
                for labels, values in vector.items():
                    value = self._served(name, labels, values, position)
                    if not np.isnan(value):
                        yield f"{name}{label_text(sorted(labels))} {value!r}\n"

    def _moves(self, name: str) -> bool:
        """True of counters, which grow between steps."""
        return name.endswith(_COUNTERS)

    def _value(self, name: str, labels: Mapping[str, str], values: Floats, position: float) -> float:
        """Return a value at a place between steps: counters grow evenly, times and ages are those of the clock."""
        last = len(values) - 1
        index = min(max(int(position), 0), last)
        value = float(values[index])
        if self._moves(name) and index < last and not np.isnan(values[index + 1]):
            return value + (position - index) * (float(values[index + 1]) - value)
        if np.isnan(value):
            return value
        if name.endswith("_timestamp_seconds"):
            return self._clock.wall(datetime.fromtimestamp(value, UTC)).timestamp()
        source = self._contract.spec.sources.get(labels.get("feature_source", ""))
        if source and name == self._contract.name("data_freshness_max_age_seconds"):
            return seconds(source.max_age)
        if source and name == self._contract.name("data_freshness_tolerance_seconds"):
            return seconds(source.tolerance)
        return value / self._clock.factor if name == self._contract.name("data_freshness_seconds") else value


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack that runs."""

    prometheus: str
    """Its URL."""
    mailbox: Mailbox
    messages: Path
    event_log: Path


def find_programs() -> dict[str, str]:
    """Return the paths of Prometheus and Alertmanager.

    Raises:
        StackError: one of them is not on PATH.
    """
    found = {name: find_program(name) for name in ("prometheus", "alertmanager")}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        raise StackError(f"--stack needs {' and '.join(missing)} on PATH; without --stack the rules are evaluated here")
    return {name: path for name, path in found.items() if path is not None}


@contextmanager
def running_stack(spec: Spec, pages: HistoryPages, factor: float, root: Path, incidents: Path) -> Iterator[Stack]:
    """Start the stack, and end it when the block ends.

    Raises:
        StackError: a server is missing or does not start.
    """
    programs = find_programs()
    messages, event_log = root / "inbox.jsonl", root / "alertmanager-events.jsonl"
    mailbox = Mailbox(messages, incident_keeper(incidents))
    with ExitStack() as stack:
        inbox = stack.enter_context(Inbox("127.0.0.1:0", mailbox))
        exporter, serving = (
            stack.enter_context(_Pages(pages, producer)) for producer in (Producer.EXPORTER, Producer.SERVING)
        )
        alertmanager, prometheus = (f"127.0.0.1:{free_port()}" for _ in range(2))
        recording = ("--enable-feature=event-recorder",) if _records_events(programs["alertmanager"]) else ()
        addresses = _Addresses(inbox.url, exporter.url, serving.url, alertmanager)
        _write_configuration(spec, factor, root, addresses, event_log if recording else None)
        for name, listen, more in (
            ("alertmanager", alertmanager, recording),
            ("prometheus", prometheus, ("--log.level=warn",)),
        ):
            config = root / "stack" / spec.slug / f"{name}.yml"
            command = server_command(name, programs[name], config, root / name, listen, *more)
            stack.enter_context(_running(name, command, root, f"http://{listen}/-/ready"))
        yield Stack(f"http://{prometheus}", mailbox, messages, event_log)


class _Pages(Listener):
    def __init__(self, pages: HistoryPages, producer: Producer) -> None:
        super().__init__("127.0.0.1:0", lambda _request: _found(_request, pages, producer), producer.value)


def _found(request: Request, pages: HistoryPages, producer: Producer) -> Page:
    return pages.page(producer) if request.path == "/metrics" else Page(b"try /metrics\n")


def _records_events(program: str) -> bool:
    """True if this Alertmanager can keep a log of its events, as 0.33 and newer can."""
    asked = subprocess.run([program, "--help"], capture_output=True, text=True, check=False, timeout=30)  # noqa: S603
    return "event-recorder" in asked.stdout + asked.stderr


class _Addresses(NamedTuple):
    inbox: str
    exporter: str
    serving: str
    alertmanager: str


def _write_configuration(spec: Spec, factor: float, root: Path, at: _Addresses, event_log: Path | None) -> None:
    """Write rules and configurations: those of the spec, compressed, with every message sent to the inbox."""
    change = msgspec.structs.replace
    local = change(
        heard_by(spec, f"{at.inbox}{WEBHOOK}"),
        exporter=change(spec.exporter, targets=(at.exporter.removeprefix("http://"),)),
        serving=change(spec.serving, targets=(at.serving.removeprefix("http://"),) if spec.serving.enabled else ()),
    )
    for name, text in compile_spec(compress_time(local, factor)).items():
        if name.startswith(("alert_rules/", "stack/")):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")
    connect(root / "stack" / spec.slug, at.alertmanager, event_log)


def connect(folder: Path, alertmanager: str, event_log: Path | None) -> None:
    """Let generated configurations lead to a local Alertmanager, which keeps a log of its events if one is named."""
    config = yaml.safe_load((folder / "prometheus.yml").read_text(encoding="utf-8"))
    config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] = [alertmanager]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    if event_log is None:
        return
    recorder = {"event_recorder": {"file_outputs": [{"path": str(event_log)}]}}
    routes = folder / "alertmanager.yml"
    routes.write_text(routes.read_text(encoding="utf-8") + yaml.safe_dump(recorder), encoding="utf-8")


@contextmanager
def _running(name: str, command: list[str], root: Path, ready: str) -> Iterator[None]:
    """Run a program from when it is ready until the block ends."""
    log = root / f"{name}.log"
    with running(command, log) as process:
        try:
            wait_until_ready(ready, name, process, log)
        except ProgramError as error:
            raise StackError(str(error)) from error
        yield
