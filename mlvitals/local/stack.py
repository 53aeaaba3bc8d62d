"""The stack of a spec on this machine: exporter, Prometheus, Alertmanager and the inbox, as long as a block lasts."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen
from typing import IO

import msgspec

from mlvitals.generator.compiler import compile_spec
from mlvitals.generator.prometheus import prometheus_document
from mlvitals.generator.routing.fragment import with_inbox
from mlvitals.generator.spec.compression import compress_time
from mlvitals.generator.spec.model import Spec
from mlvitals.generator.text_files import yaml_file
from mlvitals.incidents.inbox.mailbox import Mailbox
from mlvitals.incidents.inbox.server import WEBHOOK, Inbox
from mlvitals.local.programs import (
    ProgramError,
    find_program,
    last_words,
    port_for,
    running,
    server_command,
    wait_until_ready,
)

_CHECKOUT = Path(__file__).resolve().parents[2]
_UNPACKED = Path(".cache", "servers", "usr", "bin")
"""Where ``scripts/servers.sh`` of a checkout unpacks servers."""
_PORTS = {"prometheus": 9090, "alertmanager": 9093, "inbox": 9110}
_TOLD = ("error", "warning")


@dataclass(slots=True)
class LocalStack:
    """A stack that runs: what is where, and what its exporter says."""

    addresses: dict[str, str] = field(default_factory=dict)
    """The URLs of the programs, by name."""
    missing: tuple[str, ...] = ()
    _processes: dict[str, tuple["Popen[bytes]", Path]] = field(default_factory=dict)
    _read: int = 0

    def events(self) -> Iterator[Mapping[str, object]]:
        """Yield what the exporter logged since the last call that is worth showing.

        Raises:
            ProgramError: one of the programs ended.
        """
        for name, (process, log) in self._processes.items():
            if process.poll() is not None:
                raise ProgramError(f"{name} ended with code {process.returncode}: {last_words(log)}")
        with self._processes["exporter"][1].open("rb") as lines:
            yield from self._new_events(lines)

    def _new_events(self, lines: IO[bytes]) -> Iterator[Mapping[str, object]]:
        lines.seek(self._read)
        for line in lines:
            if not line.endswith(b"\n"):
                break
            self._read += len(line)
            try:
                event: object = msgspec.json.decode(line)
            except msgspec.DecodeError:
                continue
            if isinstance(event, dict) and (event.get("level") in _TOLD or event.get("event") == "window_measured"):
                yield event


@contextmanager
def local_stack(spec: Spec, spec_path: Path, folder: Path, compression: float) -> Iterator[LocalStack]:
    """Start the stack of a spec, and end it with the block. Logs, data and configuration are in `folder`.

    Without Prometheus or Alertmanager there are no rules or no notifications; the exporter and its pages are there always.

    Raises:
        ProgramError: a program does not get ready.
    """
    found = {name: find_program(name, [_UNPACKED, _CHECKOUT / _UNPACKED]) for name in ("prometheus", "alertmanager")}
    programs = {name: path for name, path in found.items() if path}
    stack = LocalStack(missing=tuple(found.keys() - programs.keys()))
    at = {name: f"127.0.0.1:{port_for(port)}" for name, port in _PORTS.items()}
    at["exporter"] = f"127.0.0.1:{port_for(int(spec.exporter.listen.rpartition(':')[2]))}"
    with ExitStack() as ends:
        if programs:
            inbox = ends.enter_context(Inbox(at["inbox"], Mailbox(folder / "inbox.jsonl")))
            stack.addresses["inbox"] = inbox.url
            _write_configuration(compress_time(spec, compression), folder, at)
        exporter = [sys.executable, "-m", "mlvitals", "export", str(spec_path), f"--listen={at['exporter']}"]
        more = [f"--compress-time={compression}"] if compression > 1 else []
        _start(stack, ends, folder, at, "exporter", [*exporter, *more])
        for name, program in programs.items():
            config = folder / "stack" / f"{name}.yml"
            _start(stack, ends, folder, at, name, server_command(name, program, config, folder / name, at[name]))
        yield stack


def _start(
    stack: LocalStack, ends: ExitStack, folder: Path, at: Mapping[str, str], name: str, command: list[str]
) -> None:
    log = folder / f"{name}.log"
    process = ends.enter_context(running(command, log))
    stack._processes[name] = process, log
    wait_until_ready(f"http://{at[name]}/{'healthz' if name == 'exporter' else '-/ready'}", name, process, log)
    stack.addresses[name] = f"http://{at[name]}"


def _write_configuration(spec: Spec, folder: Path, at: Mapping[str, str]) -> None:
    """Write rules, routes and scrapes for these addresses. Whomever the spec names, messages go to the inbox alone."""
    change = msgspec.structs.replace
    local = with_inbox(spec, f"http://{at['inbox']}{WEBHOOK}", alone=True)
    local = change(local, exporter=change(local.exporter, targets=(at["exporter"],)))
    files = compile_spec(local)
    rules = f"alert_rules/{local.slug}.rules.yml"
    document = prometheus_document((local,), (f"../{rules}",), (at["alertmanager"],), itself=at["prometheus"])
    kept = {
        rules: files[rules],
        "stack/prometheus.yml": yaml_file(document),
        "stack/alertmanager.yml": files[f"stack/{local.slug}/alertmanager.yml"],
        "stack/templates/notifications.tmpl": files[f"stack/{local.slug}/templates/notifications.tmpl"],
    }
    for name, text in kept.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
