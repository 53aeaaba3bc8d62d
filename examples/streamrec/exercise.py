"""March 3 as an exercise in a real stack: from the fault to the resolved incident, an hour passing in a minute.

What the demo starts (StreamRec, the exporter, Prometheus on the generated rules) and, behind it, a real Alertmanager on the
generated routes and the inbox, which opens the incident. A scripted on-call answers: takes it, classifies it, finds the
pipeline's change, reverts it. Nothing of the incident is written by this program itself, only by the commands that people
use. What is left in the folder is what a post-mortem is collected from.
"""

import shutil
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from examples.servers import free_port
from examples.streamrec.demo import Demo, DemoError, Place, mlvitals, prepare, prometheus_command, running, wait_for
from mlvitals.incidents.record.model import Incident, State
from mlvitals.incidents.record.store import Incidents
from mlvitals.incidents.tabletop.stack import connect

COMPRESSION = 60
ON_CALL, LEAD = "amara", "chiyo"
_PATIENCE_WINDOWS = 9
SOURCE = "user_batch_features"


class Exercise(Demo):
    """One exercise, told on a console."""

    def __init__(self, place: Place, share: float, console: Console, compression: int = COMPRESSION) -> None:
        super().__init__(place, share, console, compression)
        self.inbox = free_port()
        self.alertmanager = free_port()
        self.incidents = place.root / "incidents"
        self.injected_at: datetime | None = None
        self.reverted_at: datetime | None = None
        """What the post-mortem has to find out."""

    def play(self, prometheus: str, alertmanager: str) -> Incident:
        """Play the exercise to its end, and return the resolved incident.

        Raises:
            DemoError: something fired without a fault, or the incident was not opened or not resolved in time.
        """
        self._prepare_stack()
        place = self.place
        with ExitStack() as stack:
            stack.enter_context(running("inbox", self._inbox(), place))
            wait_for(f"http://127.0.0.1:{self.inbox}/healthz", "the inbox", place)
            stack.enter_context(running("alertmanager", self._alertmanager(alertmanager), place))
            wait_for(f"http://127.0.0.1:{self.alertmanager}/-/ready", "Alertmanager", place)
            stack.enter_context(running("streamrec", self._service(), place))
            wait_for(self._metrics(place.serving), "StreamRec", place)
            self._build_reference()
            self._wait(self._until_next_window() + self.window_seconds + 2, "the first whole window")
            stack.enter_context(running("exporter", self._exporter(), place))
            wait_for(f"http://127.0.0.1:{place.exporter}/readyz", "the exporter", place)
            stack.enter_context(running("prometheus", prometheus_command(prometheus, place), place))
            wait_for(f"http://127.0.0.1:{place.prometheus}/-/ready", "Prometheus", place)
            self._calm()
            resolved = self._answer()
            self._collect(resolved)
            return resolved

    # -------------------------------------------------------- the stack

    def _prepare_stack(self) -> None:
        """Write spec, secrets and configurations so that every message ends in the inbox."""
        place = self.place
        place.root.mkdir(parents=True, exist_ok=True)
        prepare(place)
        inbox = f"http://127.0.0.1:{self.inbox}"
        for name, secret in (("slack_webhook", f"{inbox}/slack/exercise"), ("pagerduty_routing_key", "exercise")):
            (place.root / name).write_text(secret, encoding="utf-8")
        text = place.spec.read_text(encoding="utf-8").replace("/run/secrets/", f"{place.root}/")
        text = text.replace("http://inbox:9110", inbox)
        following = "    dead-mans-switch:\n"
        assert following in text, "the reference spec no longer has its receivers where the exercise adds one"
        hook = f'      webhook: {{url: "{inbox}/alertmanager"}}\n'
        place.spec.write_text(text.replace(following, hook + following), encoding="utf-8")
        mlvitals("compile", place.spec, "--out", place.root, "--compress-time", str(self.compression))
        connect(self._routes.parent, f"127.0.0.1:{self.alertmanager}", self.event_log)

    @property
    def _routes(self) -> Path:
        return self.place.root / "stack" / "streamrec" / "alertmanager.yml"

    @property
    def event_log(self) -> Path:
        """What Alertmanager says that it did."""
        return self.place.root / "alertmanager-events.jsonl"

    @property
    def messages(self) -> Path:
        """What arrived in the inbox."""
        return self.place.root / "inbox.jsonl"

    def _inbox(self) -> list[str]:
        listen = f"--listen=127.0.0.1:{self.inbox}"
        return [*_mlvitals(), "inbox", listen, f"--keep={self.messages}", f"--incidents={self.incidents}"]

    def _alertmanager(self, program: str) -> list[str]:
        return [
            program,
            f"--config.file={self._routes}",
            f"--storage.path={self.place.root / 'alertmanager'}",
            f"--web.listen-address=127.0.0.1:{self.alertmanager}",
            "--cluster.listen-address=",
            "--enable-feature=event-recorder",
        ]

    # -------------------------------------------------------- what people do

    def _answer(self) -> Incident:
        """Break the pipeline, and answer the page as the on-call did."""
        mlvitals("annotate", "pipeline", self.place.spec, SOURCE, "--version", "2026.03.03", "--author", "batch team")
        self._inject()
        self.injected_at = datetime.now(UTC)
        found = self._until("opened", lambda: self._newest() is not None)
        self.say(f"Alertmanager's webhook opened {found.id}", "bold red")
        self._minutes(4)
        self._incident_command("assign", found.id, ON_CALL, "--role", "on-call")
        self._minutes(6)
        self._incident_command(
            "severity", found.id, "SEV-2", "--type", "data", "--text", "one feature, four rows in ten"
        )
        self._incident_command("assign", found.id, LEAD, "--role", "incident lead")
        self._incident_command(
            "note", found.id, "The top bin is beyond 365 days: the values are Unix times. user_batch_features changed."
        )
        self._minutes(15)
        self.place.faults.write_text("{}", encoding="utf-8")
        self.reverted_at = datetime.now(UTC)
        self._incident_command(
            "mitigate", found.id, "pipeline-fix", "--text", "user_batch_features is back at the version of March 2."
        )
        found = self._until("resolved", lambda: self._state() is State.RESOLVED)
        self.say(f"{found.id} is resolved", "green")
        return found

    def _collect(self, resolved: Incident) -> None:
        """Collect the evidence while the servers still run, and write the post-mortem."""
        where = ("--dir", self.incidents)
        sources = (
            *("--spec", self.place.spec),
            *("--prometheus", f"http://127.0.0.1:{self.place.prometheus}"),
            *("--event-log", self.event_log),
            *("--inbox", self.messages),
        )
        mlvitals("incident", "collect", resolved.id, *sources, "--before", "10m", "--step", "1s", *where)
        page = self.place.root / "postmortem.html"
        factor = ("--compress-time", str(self.compression))
        mlvitals("postmortem", resolved.id, *factor, "--html", page, *where)
        self.say(f"wrote {self.incidents / resolved.id}.postmortem.md and {page}")

    def _minutes(self, simulated: float) -> None:
        self._wait(simulated * 60 / self.compression, f"{simulated:g} simulated minutes to pass")

    def _incident_command(self, verb: str, name: str, *rest: str) -> None:
        mlvitals("incident", verb, name, *rest, "--dir", self.incidents, "--by", ON_CALL)
        self.say(f"{ON_CALL}: incident {verb} {' '.join(rest)}")

    def _newest(self) -> Incident | None:
        found, _ = Incidents(self.incidents).all()
        about = [each for each in found if any(alert.name == "MLFeatureDrift" for alert in each.alerts)]
        return about[0] if about else None

    def _state(self) -> State | None:
        newest = self._newest()
        return newest.state if newest else None

    def _until(self, what: str, happened: Callable[[], bool]) -> Incident:
        deadline = time.monotonic() + _PATIENCE_WINDOWS * self.window_seconds
        with self.console.status(f"waiting until the incident is {what}"):
            while not happened():
                if time.monotonic() > deadline:
                    raise DemoError(f"the incident was not {what} in time; see {self.place.root / 'logs'}")
                time.sleep(0.25)
        newest = self._newest()
        assert newest is not None
        return newest


def _mlvitals() -> list[str]:
    return [sys.executable, "-m", "mlvitals"]


def run_exercise(root: Path, *, share: float, prometheus: str, alertmanager: str, console: Console) -> Exercise:
    """Play March 3 with all files below `root`, which is emptied first.

    Raises:
        DemoError: it did not go as it must.
    """
    shutil.rmtree(root, ignore_errors=True)
    place = Place(root.resolve(), free_port(), free_port(), free_port())
    exercise = Exercise(place, share, console)
    exercise.play(prometheus, alertmanager)
    return exercise
