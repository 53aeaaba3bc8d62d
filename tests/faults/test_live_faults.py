"""A real `mlvitals export` by the real clock, with windows of seconds: clocks set by libfaketime, databases that go away."""

import signal
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from exporter_samples import value, write_parquet
from lab import YEAR, Lab, clicks, predictions
from real import Process, exporting
from test_storage_faults import find, lose

from mlvitals.exporters.publish.results import open_results
from mlvitals.generator.spec.model import Results

if TYPE_CHECKING:
    from postgres import Postgres

pytestmark = [pytest.mark.slow, pytest.mark.endurance]
Happens = Callable[[str], None]
STEP = timedelta(seconds=6)
ROWS, CLICKS = 60, 7
PATIENCE = 180.0
"""Seconds without a new window after which none is expected any more."""
FAKETIME = Path(__file__).resolve().parents[2] / ".cache" / "servers-faketime"
SPEC_TEXT = """\
version: 1
system: {{name: shop}}
serving: {{enabled: false}}
prediction_log: {{path: log, score: score}}
features: {{age: {{type: integer}}, country: {{type: categorical}}}}
windows: {{length: {length:g}s, grace: 2s, catch_up: 1000, score_count: null}}
results: {results}
business:
  events_log: {{path: events, timestamp: at, event: kind}}
  events: {{clicks: {{source: log, logged_as: click}}}}
"""


@dataclass
class LiveShop:
    """A shop that serves predictions now, and the truth."""

    folder: Path
    results: Results
    step: timedelta = STEP
    rows: Counter[datetime] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        Lab(self.folder)  # its reference
        words = {"url": self.results.url, "password_file": self.results.password_file, "retention": "400d"}
        written = ", ".join(f"{key}: {word!r}" for key, word in words.items() if word is not None)
        (self.folder / "spec.yaml").write_text(
            SPEC_TEXT.format(results=f"{{{written}}}", length=self.step.total_seconds())
        )
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        step = self.step.total_seconds()
        end = datetime.fromtimestamp(datetime.now(UTC).timestamp() // step * step + step, UTC)
        while not self._done.wait(max(0.0, (end - datetime.now(UTC)).total_seconds())):
            begin = end - self.step
            rows = predictions(begin, ROWS, seed=int(begin.timestamp()), length=self.step)
            write_parquet(rows, self.folder / "log" / f"{begin:%H%M%S}.parquet")
            write_parquet(clicks(begin, CLICKS, length=self.step), self.folder / "events" / f"{begin:%H%M%S}.parquet")
            self.rows[end] = ROWS
            end += self.step

    @contextmanager
    def serving(self) -> Iterator[None]:
        for folder in ("log", "events"):
            (self.folder / folder).mkdir()
        self._thread.start()
        try:
            yield
        finally:
            self.stop()

    def stop(self) -> None:
        self._done.set()
        self._thread.join()

    def kept(self) -> dict[datetime, int]:
        with closing(open_results(self.results, self.folder)) as store:
            now = datetime.now(UTC)
            return {one.window.end: one.rows for one in store.windows_between("shop", now - YEAR, now + 9 * YEAR)}

    def kept_rows(self) -> dict[datetime, int]:
        """Return the rows of windows that hold any."""
        return {end: rows for end, rows in self.kept().items() if rows}

    def wait_for(self, count: int, seconds: float = 120) -> None:
        """Wait until that many windows of the truth are kept."""
        limit = monotonic() + seconds
        while sum(self.kept().get(end) == ROWS for end in list(self.rows)) < count:
            assert monotonic() < limit, "windows are not measured"
            sleep(0.5)

    def audit(self, process: Process) -> str:
        """Stop, let the exporter measure what is left, and compare all that it has measured since its start."""
        self.stop()
        kept = self.kept_rows()
        truth = {end: rows for end, rows in self.rows.items() if end >= min(kept)}
        limit = monotonic() + PATIENCE
        while kept != truth and monotonic() < limit:
            sleep(0.5)
            before, kept = kept, self.kept_rows()
            limit = monotonic() + PATIENCE if kept != before else limit  # it goes on, however slow the machine
        assert kept == truth
        limit = monotonic() + PATIENCE
        with closing(open_results(self.results, self.folder)) as store:
            assert store.event_totals("shop", ["shop_clicks_total"])["shop_clicks_total"] == CLICKS * len(truth)
        while value(process.page(), "shop_clicks_total") != CLICKS * len(truth):
            assert monotonic() < limit, "the page counts other clicks than the database"
            sleep(0.5)
        assert process.foreign_lines() == []
        return f"{len(truth)} windows, {CLICKS * len(truth)} clicks"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[LiveShop]:
    made = LiveShop(tmp_path, Results())
    with made.serving():
        yield made


@pytest.fixture
def clock_file(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A file that says how wrong the clock of a process is, and the environment in which it is believed."""
    found = sorted(FAKETIME.glob("usr/lib/*/faketime/libfaketimeMT.so.1"))
    if not found:
        pytest.skip("did not run: no libfaketime here (scripts/servers.sh unpacks it from Debian's packages)")
    file = tmp_path / "clock"
    file.write_text("+0")
    return file, {
        "LD_PRELOAD": str(found[0]),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }


@pytest.mark.fault(
    "clock",
    "a real process whose clock is two years ahead for 14 s (libfaketime)",
    "nothing is lost, doubled or deleted",
)
def test_two_years_ahead_for_a_while(shop: LiveShop, clock_file: tuple[Path, dict[str, str]], happens: Happens) -> None:
    file, environment = clock_file
    with exporting(shop.folder / "spec.yaml", **environment) as process:
        shop.wait_for(3)
        file.write_text("+2y")
        sleep(14)
        file.write_text("+0")
        shop.wait_for(8)
        happens(shop.audit(process))


@pytest.mark.fault("storage", "SQLite away for a minute, ten windows of a real process", "nothing is lost or doubled")
def test_sqlite_away_for_ten_windows(shop: LiveShop, happens: Happens) -> None:
    with exporting(shop.folder / "spec.yaml") as process:
        shop.wait_for(2)
        lose(shop.folder / "results.db")
        sleep(60)
        find(shop.folder / "results.db")
        sleep(2)
        happens(shop.audit(process))


@pytest.mark.fault(
    "storage", "PostgreSQL away for a minute, ten windows of a real process", "nothing is lost or doubled"
)
def test_postgresql_away_for_ten_windows(tmp_path: Path, postgres: "Postgres", happens: Happens) -> None:
    name = f"fault_{uuid4().hex}"
    postgres.create(name)
    right = postgres.results(name)
    with proxy(postgres.port) as between:
        url = right.url.replace(f":{postgres.port}/", f":{between.port}/")
        shop = LiveShop(tmp_path, Results(url=url, password_file=right.password_file))
        with shop.serving(), exporting(shop.folder / "spec.yaml") as process:
            shop.wait_for(2)
            between.cut()
            sleep(60)
            between.restore()
            happens(shop.audit(process))


@pytest.mark.minutes(13)
@pytest.mark.fault(
    "storage",
    "PostgreSQL stopped for ten minutes by the clock, twenty windows; an exporter that stays, one killed meanwhile",
    "nothing is lost or doubled",
)
def test_postgresql_away_for_ten_minutes(tmp_path: Path, servers: Callable[..., str], happens: Happens) -> None:
    database = pytest.importorskip("postgres", reason="did not run: no driver of PostgreSQL here")
    initdb = database.find_postgres("initdb")
    assert initdb is not None, "no PostgreSQL here (scripts/servers.sh unpacks it from Debian's packages)"
    with database.running(initdb.parent) as server, ExitStack() as running:
        shops = []
        for name in ("stays", "killed"):
            server.create(name)
            (tmp_path / name).mkdir()
            shops.append(LiveShop(tmp_path / name, server.results(name), step=timedelta(seconds=30)))
            running.enter_context(shops[-1].serving())
        stays, killed = (running.enter_context(exporting(shop.folder / "spec.yaml")) for shop in shops)
        for shop in shops:
            shop.wait_for(2, seconds=300)
        server.stop()
        sleep(300)
        assert killed.end(signal.SIGKILL) == -signal.SIGKILL
        killed = running.enter_context(exporting(shops[1].folder / "spec.yaml"))
        sleep(300)
        server.start()
        happens("; ".join(shop.audit(process) for shop, process in zip(shops, (stays, killed), strict=True)))


@dataclass
class Proxy:
    """What is between a client and a server, until it is cut."""

    port: int
    is_cut: threading.Event = field(default_factory=threading.Event)
    connections: list[socket.socket] = field(default_factory=list)

    def cut(self) -> None:
        self.is_cut.set()
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def restore(self) -> None:
        self.is_cut.clear()


@contextmanager
def proxy(target: int) -> Iterator[Proxy]:
    """Hand all connections on to a port of this machine."""
    stopped = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.2)
    between = Proxy(listener.getsockname()[1])

    def carry(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for one in (source, sink):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def serve() -> None:
        while not stopped.is_set():
            with suppress(TimeoutError):
                client, _ = listener.accept()
                if between.is_cut.is_set():
                    client.close()
                    continue
                server = socket.create_connection(("127.0.0.1", target))
                between.connections += [client, server]
                for one, other in ((client, server), (server, client)):
                    threading.Thread(target=carry, args=(one, other), daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield between
    finally:
        stopped.set()
        between.cut()
        thread.join()
        listener.close()
