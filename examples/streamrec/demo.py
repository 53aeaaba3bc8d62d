"""The main job, end to end, in two minutes: an hour of StreamRec passes in 20 seconds, unless told otherwise.

The spec is compiled, StreamRec serves its simulated traffic, the exporter measures every window, a real Prometheus
scrapes both and evaluates the generated rules. Then the pipeline breaks as it did on March 3, and the demo prints what
the on-call would see. Everything is written below one folder; every process is ended.
"""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from examples.servers import alert_nobody, free_port
from mlvitals.local import programs

COMPRESSION = 180
TRAINING_DAYS = 7
PATIENCE_WINDOWS = 3.75
WATCHDOG = "MLWatchdog"
_TICK = 1.2
"""Seconds after the start of a window at which nothing of StreamRec reaches back over it."""
_REPOSITORY = Path(__file__).resolve().parent.parent.parent


class DemoError(Exception):
    """The demo did not show what it is there to show."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run keeps its files, and its ports."""

    root: Path
    serving: int
    exporter: int
    prometheus: int

    @property
    def spec(self) -> Path:
        """The spec with this run's ports; its relative paths lead below `root`."""
        return self.root / "specs" / "streamrec.yaml"

    @property
    def prometheus_config(self) -> Path:
        """Prometheus' generated configuration."""
        return self.root / "stack" / "streamrec" / "prometheus.yml"

    @property
    def data(self) -> Path:
        """StreamRec's own data."""
        return self.root / "examples" / "streamrec" / "data"

    @property
    def faults(self) -> Path:
        """The switch for faults."""
        return self.root / "faults.json"


def prepare(place: Place) -> None:
    """Write the spec of this run: the committed one with free ports, and patient alerts on the monitoring itself.

    An hour passes in seconds: on a busy machine a scrape that is late by a few is late by half an hour.
    """
    text = (_REPOSITORY / "specs" / "streamrec.yaml").read_text(encoding="utf-8")
    changes = {
        "127.0.0.1:8000": f"127.0.0.1:{place.serving}",
        "127.0.0.1:9108": f"127.0.0.1:{place.exporter}",
        "\nalerts:\n": "\nalerts:\n  monitoring: {for: 30m}\n",
    }
    for old, new in changes.items():
        assert old in text, f"the reference spec no longer has {old!r}"
        text = text.replace(old, new)
    place.spec.parent.mkdir(parents=True, exist_ok=True)
    place.spec.write_text(text, encoding="utf-8")
    place.faults.write_text("{}", encoding="utf-8")


def mlvitals(*arguments: str | Path) -> None:
    """Run a command of mlvitals to its end.

    Raises:
        DemoError: it failed.
    """
    done = subprocess.run([*_python("mlvitals"), *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise DemoError(f"mlvitals {arguments[0]} failed:\n{done.stderr}")


def _python(module: str) -> list[str]:
    return [sys.executable, "-m", module]


@contextmanager
def running(name: str, command: list[str], place: Place) -> Iterator[None]:
    """Run a program with its output in a log file; end it when the block ends."""
    with programs.running(command, place.root / "logs" / f"{name}.log", _REPOSITORY):
        yield


def get(url: str) -> str | None:
    """What a URL on this machine answers, None while it does not."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310  (built here: http on loopback)
            return str(answer.read(), "utf-8")
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return None


def wait_for(url: str, what: str, place: Place, seconds: float = 60) -> None:
    """Wait until a URL answers.

    Raises:
        DemoError: it does not in time.
    """
    deadline = time.monotonic() + seconds
    while get(url) is None:
        if time.monotonic() > deadline:
            raise DemoError(f"{what} did not get ready in {seconds:.0f} s; see {place.root / 'logs'}")
        time.sleep(0.2)


def alerts(place: Place) -> list[Mapping[str, Any]]:
    """The pending and firing alerts of Prometheus, without the watchdog."""
    text = get(f"http://127.0.0.1:{place.prometheus}/api/v1/alerts")
    found: list[Mapping[str, Any]] = json.loads(text)["data"]["alerts"] if text else []
    return [alert for alert in found if alert["labels"]["alertname"] != WATCHDOG]


def is_the_page(alert: Mapping[str, Any]) -> bool:
    """Whether this alert is what March 3 must raise."""
    labels: Mapping[str, str] = alert["labels"]
    return bool(
        alert["state"] == "firing"
        and labels["alertname"] == "MLFeatureDrift"
        and labels["severity"] == "critical"
        and labels["feature_name"] == "days_since_last_interaction"
    )


def prometheus_command(program: str, place: Place) -> list[str]:
    """The command line of Prometheus on the generated configuration."""
    return [
        program,
        f"--config.file={place.prometheus_config}",
        f"--storage.tsdb.path={place.root / 'prometheus'}",
        f"--web.listen-address=127.0.0.1:{place.prometheus}",
        "--log.level=warn",
    ]


class Demo:
    """One run, told on a console."""

    def __init__(self, place: Place, share: float, console: Console, compression: int) -> None:
        self.place = place
        self.share = share
        self.console = console
        self.compression = compression
        self.window_seconds = 3600 / compression
        self.patience_seconds = PATIENCE_WINDOWS * self.window_seconds
        self.began = time.monotonic()

    def say(self, text: str, style: str = "") -> None:
        """Print a line with the time since the start."""
        self.console.print(f"{time.monotonic() - self.began:4.0f} s  ", end="")
        self._print(text, style)

    def _print(self, text: str, style: str = "") -> None:
        """Print a text as it is, in one line: an address that is broken cannot be followed."""
        self.console.print(Text(text, style=style), soft_wrap=True)

    def run(self, prometheus: str | None, *, keep: bool) -> None:
        """Run the whole demo.

        Raises:
            DemoError: the incident was not caught, or something fired without it.
        """
        place = self.place
        prepare(place)
        mlvitals("compile", place.spec, "--out", place.root, "--compress-time", str(self.compression))
        alert_nobody(place.prometheus_config)
        self.say(f"compiled specs/streamrec.yaml; an hour passes in {self.window_seconds:.0f} s")
        with ExitStack() as stack:
            stack.enter_context(running("streamrec", self._service(), place))
            wait_for(self._metrics(place.serving), "StreamRec", place)
            self.say("StreamRec serves its traffic and logs its predictions")
            first_whole_window = time.time() + self._until_next_window() + self.window_seconds
            self._build_reference()
            self._wait(first_whole_window + 2 - time.time(), "the first whole window")
            stack.enter_context(running("exporter", self._exporter(), place))
            wait_for(f"http://127.0.0.1:{place.exporter}/readyz", "the exporter", place)
            self.say("the exporter has measured a first window")
            if prometheus is None:
                self.say("no Prometheus here: rules are not evaluated, the exporter's figures are shown", "yellow")
                self._watch_exporter()
            else:
                stack.enter_context(running("prometheus", prometheus_command(prometheus, place), place))
                wait_for(f"http://127.0.0.1:{place.prometheus}/-/ready", "Prometheus", place)
                self._calm()
                self._incident()
            self._links(prometheus is not None)
            if keep:
                self.say("everything goes on running: press Ctrl-C to end it", "bold")
                self._wait_for_interrupt()

    def _service(self) -> list[str]:
        place = self.place
        return [
            *_python("examples.streamrec"),
            "serve",
            str(place.spec),
            f"--listen=127.0.0.1:{place.serving}",
            f"--log={place.data / 'predictions'}",
            f"--time-factor={self.compression}",
            f"--fault-file={place.faults}",
        ]

    def _exporter(self) -> list[str]:
        return [*_python("mlvitals"), "export", str(self.place.spec), "--compress-time", str(self.compression)]

    def _metrics(self, port: int) -> str:
        return f"http://127.0.0.1:{port}/metrics"

    def _build_reference(self) -> None:
        from rich.progress import track  # noqa: PLC0415

        from examples.streamrec.write import write_training  # noqa: PLC0415  (numpy and pyarrow load here)

        training = self.place.data / "training"
        end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        files = write_training(training, end, TRAINING_DAYS, seed=1)
        rows = sum(track(files, "       simulating", TRAINING_DAYS, console=self.console, transient=True))
        self.say(f"simulated {TRAINING_DAYS} days of training data, {rows:,} rows")
        with self.console.status("building the reference"):
            mlvitals("reference", "build", self.place.spec, "--data", training, "--promote")
        self.say("built the reference from them")

    def _until_next_window(self) -> float:
        """Seconds until the current window ends."""
        return self.window_seconds - time.time() % self.window_seconds

    def _wait(self, seconds: float, what: str) -> None:
        with self.console.status(f"waiting for {what}"):
            time.sleep(max(0.0, seconds))

    def _calm(self) -> None:
        """Watch two windows without a fault."""
        self._wait(self._until_next_window() + self.window_seconds, "two windows without a fault")
        firing = [alert for alert in alerts(self.place) if alert["state"] == "firing"]
        if firing:
            names = ", ".join(sorted({alert["labels"]["alertname"] for alert in firing}))
            raise DemoError(f"fired without a fault: {names}")
        self.say("two windows without a fault: nothing fires", "green")

    def _inject(self) -> float:
        """Break the pipeline just after a window began: StreamRec's ticks of a second must not reach back over it."""
        passed = time.time() % self.window_seconds
        self._wait((_TICK - passed) % self.window_seconds, "a window to begin")
        self.place.faults.write_text(json.dumps({"march3": self.share}), encoding="utf-8")
        self.say(
            f"March 3: days_since_last_interaction becomes a Unix timestamp in {self.share:.0%} of rows",
            "bold red",
        )
        return time.monotonic()

    def _incident(self) -> None:
        injected = self._inject()
        seen: set[tuple[str, ...]] = set()
        with self.console.status("watching the alerts"):
            while time.monotonic() < injected + self.patience_seconds:
                current = alerts(self.place)
                self._report_new(current, seen, injected)
                if any(map(is_the_page, current)):
                    break
                time.sleep(0.25)
            else:
                raise DemoError(f"no page within {self.patience_seconds:.0f} s; see {self.place.root / 'logs'}")
        windows = (time.monotonic() - injected) / self.window_seconds
        self.say(f"the page came {windows * 60:.0f} simulated minutes after the change", "green")
        strangers = {alert["labels"].get("feature_name") for alert in current if is_other_feature(alert)}
        if strangers:
            raise DemoError(f"other features fired too: {strangers}")
        self._show(next(filter(is_the_page, current)))

    def _report_new(self, current: list[Mapping[str, Any]], seen: set[tuple[str, ...]], injected: float) -> None:
        for alert in current:
            labels = alert["labels"]
            key = (labels["alertname"], labels["severity"], labels.get("feature_name", ""), alert["state"])
            if key not in seen:
                seen.add(key)
                simulated = (time.monotonic() - injected) * self.compression / 60
                style = {"critical": "red", "warning": "yellow"}.get(labels["severity"], "")
                self.say(f"+{simulated:.0f} min  {alert['state']:<8}{key[1]:<9}{key[0]} {key[2]}", style)

    def _show(self, alert: Mapping[str, Any]) -> None:
        annotations = alert["annotations"]
        page = "/".join(annotations["runbook_url"].split("/")[-2:])
        self.console.rule("what the on-call reads")
        for text in (annotations["summary"], annotations["description"]):
            self._print(text, style="bold")
        self._print(f"Dashboard: {annotations['dashboard_url']}")
        self._print(f"Runbook:   {annotations['runbook_url']}")
        self._print(f"  here:    {self._shown(self.place.root / 'runbooks' / 'streamrec' / page)}")
        self.console.rule()

    def _watch_exporter(self) -> None:
        """Where there is no Prometheus: show the gauges the rule would have read."""
        injected = self._inject()
        needle = 'streamrec_drift_psi{feature_name="days_since_last_interaction"} '
        while time.monotonic() < injected + self.patience_seconds:
            page = get(self._metrics(self.place.exporter)) or ""
            psi = next((float(line[len(needle) :]) for line in page.splitlines() if line.startswith(needle)), 0.0)
            if psi > 0.25:
                self.say(
                    f"PSI of days_since_last_interaction is {psi:.2f}, above 0.25: MLFeatureDrift would page", "red"
                )
                return
            time.sleep(0.5)
        raise DemoError(f"the drift gauge did not rise within {self.patience_seconds:.0f} s")

    def _links(self, with_prometheus: bool) -> None:
        place, running_now = self.place, "" if os.environ.get("KEEP") else " (with KEEP=1)"
        if with_prometheus:
            # Debian's Prometheus 2 has none but the classic pages.
            pages = [f"http://127.0.0.1:{place.prometheus}/{page}" for page in ("alerts", "classic/alerts")]
            self.console.print(f"Prometheus{running_now}: {next(filter(get, pages), pages[0])}")
        self.console.print(f"Exporter{running_now}: {self._metrics(place.exporter)}")
        for name, path in (
            ("Dashboard", place.root / "dashboards" / "streamrec.json"),
            ("Rules", place.root / "alert_rules" / "streamrec.rules.yml"),
            ("Results", place.root / "var" / "streamrec" / "results.db"),
        ):
            self.console.print(f"{name}: {self._shown(path)}", soft_wrap=True)

    def _shown(self, path: Path) -> str:
        return str(path.relative_to(_REPOSITORY)) if path.is_relative_to(_REPOSITORY) else str(path)

    def _wait_for_interrupt(self) -> None:
        try:
            while True:
                time.sleep(1)
        except KeyboardInterrupt:
            self.say("ending")


def is_other_feature(alert: Mapping[str, Any]) -> bool:
    """Whether an alert is about a feature that March 3 does not touch."""
    feature = alert["labels"].get("feature_name")
    return alert["state"] == "firing" and feature not in {None, "days_since_last_interaction"}


def run_demo(
    root: Path,
    *,
    share: float,
    keep: bool,
    prometheus: str | None,
    console: Console,
    compression: int = COMPRESSION,
) -> None:
    """Run the demo with its files below `root`, which is emptied first; an hour passes in 3600 / `compression` seconds.

    Raises:
        DemoError: the incident was not caught, or something fired without it.
    """
    shutil.rmtree(root, ignore_errors=True)
    place = Place(root.resolve(), free_port(), free_port(), free_port())
    Demo(place, share, console, compression).run(prometheus, keep=keep)
