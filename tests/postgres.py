"""A PostgreSQL server of the tests' own: a new cluster in a temporary folder, on a free loopback port."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from examples.servers import free_port
from mlvitals.generator.spec.model import Results

PASSWORD = "s3cret/pass word"
_NOBODY = 65534
_UNPACKED = Path(__file__).resolve().parent.parent / ".cache" / "servers-postgres"


def find_postgres(program: str) -> Path | None:
    """The path of a program of the PostgreSQL server, which Debian keeps off PATH; None where there is none."""
    roots = (Path("/"), _UNPACKED)
    found = (path for root in roots for path in sorted(root.glob(f"usr/lib/postgresql/*/bin/{program}"), reverse=True))
    on_path = shutil.which(program)
    return Path(on_path) if on_path else next(found, None)


@dataclass
class Postgres:
    """A server and its cluster."""

    port: int
    folder: Path
    command: tuple[str | Path, ...] = ()
    run: dict[str, Any] = field(default_factory=dict)
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=subprocess.STDOUT, **self.run)
        _wait_until_ready(self, self.process)

    def stop(self) -> None:
        """End it with its connections; SIGTERM would wait for clients."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(timeout=60)

    @property
    def password_file(self) -> Path:
        return self.folder / "password"

    def results(self, database: str) -> Results:
        """What a spec says of a database of this server."""
        return Results(url=self.url(database), password_file=str(self.password_file))

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://tester@127.0.0.1:{self.port}/{database}"

    def create(self, database: str) -> None:
        self.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))

    def execute(self, query: Any, database: str = "postgres", parameters: object = None) -> list[tuple[Any, ...]]:
        """The rows of a query, if it has any."""
        with psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user="tester",
            password=PASSWORD,
            dbname=database,
            autocommit=True,
        ) as connection:
            cursor = connection.execute(query, parameters)
            return cursor.fetchall() if cursor.description else []


@contextmanager
def running(programs: Path) -> Iterator[Postgres]:
    """Start a new cluster and end it.

    Args:
        programs: the folder of `initdb` and `postgres`.
    """
    folder = Path(tempfile.mkdtemp(prefix="mlvitals-postgres-"))
    server = Postgres(free_port(), folder)
    server.password_file.write_text(f"{PASSWORD}\n")
    as_nobody: dict[str, Any] = {}
    if os.geteuid() == 0:  # the server refuses the superuser
        programs = _within_reach(programs, folder)
        as_nobody = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}
        for path in (folder, server.password_file):
            os.chown(path, _NOBODY, _NOBODY)
    run: dict[str, Any] = {"cwd": folder, "env": os.environ | _libraries(programs), **as_nobody}
    cluster = ["--auth=scram-sha-256", f"--pwfile={server.password_file}", "--encoding=UTF8", "--locale=C"]
    subprocess.run(
        [programs / "initdb", "--pgdata=data", "--username=tester", "--no-sync", *cluster],
        check=True,
        stdout=subprocess.DEVNULL,
        **run,
    )
    settings = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": str(folder),
        "fsync": "off",  # the machine does not lose power during the tests
        "timezone": "Asia/Tokyo",  # whoever forgets to say UTC is nine hours wrong
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    server.command = (programs / "postgres", "-D", "data", "-p", str(server.port), *options)
    server.run = run
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _within_reach(programs: Path, folder: Path) -> Path:
    """The folder of the programs below a folder that another user may enter, which the checkout need not be in."""
    if not programs.is_relative_to(_UNPACKED):
        return programs
    shutil.copytree(_UNPACKED / "usr", folder / "usr", symlinks=True, copy_function=_link)
    return folder / programs.relative_to(_UNPACKED)


def _link(source: str, target: str) -> None:
    """Copy a file, without its content where the file system allows it."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _libraries(programs: Path) -> dict[str, str]:
    """Where unpacked programs find the libraries that were unpacked beside them."""
    unpacked = programs.parent.parent.parent  # lib of usr/lib/postgresql/15/bin
    found = sorted(unpacked.glob("*-linux-gnu")) if unpacked != Path("/usr/lib") else []
    return {"LD_LIBRARY_PATH": ":".join(map(str, found))} if found else {}


def _wait_until_ready(server: Postgres, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(200):
        try:
            server.execute("SELECT 1")
        except psycopg.OperationalError:
            try:
                process.wait(timeout=0.1)
            except subprocess.TimeoutExpired:
                continue
            break
        else:
            return
    raise AssertionError((server.folder / "log").read_text())
