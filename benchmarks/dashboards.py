"""How long the panels of a system's dashboards take against a live Prometheus.

    python -m benchmarks.dashboards history SPEC FILE [--days 30] [--step 30] [--only drift_psi]
    promtool tsdb create-blocks-from --max-block-duration=240h openmetrics FILE DATA
    python -m benchmarks.dashboards time SPEC --prometheus http://127.0.0.1:9090 [--end UNIX_TIME]

The first writes a made-up history, with `--only` nothing but the records of one figure; the second asks every
query of every panel at four ranges, as Grafana would on a screen of 1440 pixels, and prints the slowest panels.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from benchmarks.dashboard_history import DAY, Moments, write, write_record
from mlvitals.generator.grafana import dashboards
from mlvitals.generator.promql import regex
from mlvitals.generator.signals import signals
from mlvitals.generator.spec.load import load_spec
from mlvitals.generator.spec.model import Spec

RANGES = {"1h": 3_600.0, "24h": DAY, "7d": 7 * DAY, "30d": 30 * DAY}
_POINTS = 720
"""Points that Grafana asks for in a panel half a screen of 1440 pixels wide."""
_ROUNDS = 3
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Timing:
    """The seconds a panel's queries took one after the other, and how many series they gave."""

    board: str
    panel: str
    span: str
    seconds: float
    series: int


def timings(spec: Spec, address: str, end: float, only: str = "") -> Iterator[Timing]:
    """Every panel at every range, the best of three runs; `only` picks panels whose queries hold a text."""
    chosen = {
        "feature_name": lambda board: regex(list(spec.features)[:1] if board == "feature" else spec.features),
        "feature_source": lambda _: "(?s).*",
        "model_version": lambda _: "(?s).*",
        "instance": lambda _: "(?s).*",
    }
    for board, shown in dashboards(spec, signals(spec)).items():
        values = {name: value(board) for name, value in chosen.items()}
        for panel in shown["panels"]:
            queries = [target for target in panel.get("targets", []) if only in target["expr"]]
            for span, seconds in RANGES.items() if queries else ():
                runs = [_run(spec, address, queries, values, end, seconds) for _ in range(_ROUNDS)]
                best = min(runs)
                yield Timing(board or "main", panel["title"], span, *best)


def _run(
    spec: Spec, address: str, queries: list[dict[str, Any]], values: Mapping[str, str], end: float, span: float
) -> tuple[float, int]:
    begin, series = time.perf_counter(), 0
    step = max(15.0, span / _POINTS)
    for query in queries:
        expression = _filled(query["expr"], values, span, step)
        if query["instant"]:
            found = _ask(address, "query", query=expression, time=end)
        else:
            found = _ask(address, "query_range", query=expression, start=end - span, end=end, step=step)
        series += len(found)
    return time.perf_counter() - begin, series


def _filled(expression: str, values: Mapping[str, str], span: float, step: float) -> str:
    """The query as Grafana sends it."""
    for name, value in values.items():
        expression = expression.replace(f"${{{name}:regex}}", value)
    durations = {"__rate_interval": max(60.0, step + 15), "__interval": step, "__range": span}
    return re.sub(r"\$(__\w+)", lambda found: f"{durations[found[1]]:.0f}s", expression)


def _ask(address: str, kind: str, **parameters: object) -> list[Any]:
    request = Request(f"{address}/api/v1/{kind}", urlencode(parameters).encode())  # noqa: S310  (the user's own server)
    with urlopen(request, timeout=120) as answer:  # noqa: S310
        found: list[Any] = json.load(answer)["data"]["result"]
    return found


def main() -> None:
    """Write a history, or time the panels."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dashboards", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    history = commands.add_parser("history")
    history.add_argument("spec", type=Path)
    history.add_argument("file", type=Path)
    history.add_argument("--days", type=float, default=30)
    history.add_argument("--step", type=float, default=30)
    history.add_argument("--end", type=float, default=None)
    history.add_argument("--only", default="")
    timed = commands.add_parser("time")
    timed.add_argument("spec", type=Path)
    timed.add_argument("--prometheus", required=True)
    timed.add_argument("--end", type=float, default=None)
    timed.add_argument("--only", default="")
    options = parser.parse_args()
    spec, end = load_spec(options.spec), options.end or time.time()
    if options.command == "history":
        moments = Moments(end - options.days * DAY, end, options.step)
        count = (
            write_record(options.file, spec, moments, options.only)
            if options.only
            else write(options.file, spec, moments)
        )
        print(f"{count:,} samples in {options.file}")
        return
    found = sorted(timings(spec, options.prometheus, end, options.only), key=lambda timing: -timing.seconds)
    for timing in found[:_SHOWN]:
        print(
            f"{1000 * timing.seconds:7.0f} ms  {timing.span:>3}  {timing.series:4d} series  {timing.board}: {timing.panel}"
        )
    print(f"{len(found)} measured, {sum(timing.series == 0 for timing in found)} without a series")


if __name__ == "__main__":
    main()
