"""Concept drift found by us, River and NannyML, in one run on the same errors of the same streams.

Each detector is at its defaults and sees the same: prediction minus outcome, of a reference and of windows that follow. Ours
and NannyML's look at windows, River's at rows. `python -m benchmarks.concept_peers` prints the table that
docs/concept-drift.md shows; the environments of the peers are made with pip.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.peers import PROGRAMS, Peer, PeerError, environment_of
from benchmarks.reference_charts import spec_of
from examples.flights.data import read_flights
from examples.flights.model import training_and_log
from mlvitals.exporters.reference.artifact import OutcomeReference
from mlvitals.exporters.sections.concept.baseline import gap_reference
from mlvitals.exporters.sections.concept.report import GapSample
from mlvitals.exporters.sections.concept.series import GapSeries, concept_report, plan_of
from mlvitals.exporters.sections.outcomes.reference import outcome_reference
from mlvitals.generator.spec.model import Severity

WEEK, DAY = timedelta(weeks=1), timedelta(days=1)
REFERENCE, ROWS, WINDOWS, CHANGE = 20_000, 200, 60, 30
"""Rows of a simulated reference and of a window, windows, and the one in which the change comes."""
SOON = 10
"""Windows within which a change is to be found."""
RIVER = Peer("River", "river_streams.py", ("river", "pandas", "pyarrow"), "")
NANNYML = Peer("NannyML", "nannyml_streams.py", ("nannyml", "pandas<3", "statsmodels"), "")
_START = datetime(2026, 1, 5, tzinfo=UTC)

Errors = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """Errors of a reference and of the windows after it."""

    before: Errors
    after: tuple[Errors, ...]
    """By window."""


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """Streams of one kind."""

    name: str
    length: timedelta
    """Of a window."""
    change: int | None
    """The window in which the errors change; None where they do not."""
    streams: tuple[Stream, ...]


def simulated(name: str, draw: Callable[[np.random.Generator, int], Errors], shift: float, count: int) -> Family:
    """Return streams of drawn errors whose mean moves by a number of standard deviations of a window."""

    def stream(seed: int) -> Stream:
        generator = np.random.default_rng(seed)
        before = draw(generator, REFERENCE)
        deviation = float(before.reshape(-1, ROWS).mean(axis=1).std())
        after = draw(generator, WINDOWS * ROWS).reshape(WINDOWS, ROWS)
        after[CHANGE:] += shift * deviation
        return Stream(before, tuple(after))

    return Family(name, WEEK, CHANGE if shift else None, tuple(map(stream, range(count))))


def independent(generator: np.random.Generator, count: int) -> Errors:
    """Draw errors of calibrated scores around 10 %."""
    scores = generator.beta(2, 18, count)
    errors: Errors = scores - (generator.random(count) < scores)
    return errors


def autoregressive(generator: np.random.Generator, count: int) -> Errors:
    """Draw errors of which each resembles the one before, r = 0.5."""
    noise, errors = generator.normal(size=count), np.empty(count)
    last = noise[0] / np.sqrt(0.75)
    for place, step in enumerate(noise):
        last = 0.5 * last + step
        errors[place] = last
    return errors


def flights() -> Family:
    """Return the flights that left New York in 2013, with 5 minutes more delay from July on.

    From April to August the model's mean error stays about 0; later it moves by itself, with the punctual season.
    """
    training, log = training_and_log(read_flights(), datetime(2013, 4, 1, tzinfo=UTC))
    before, after = (_arrived(table) for table in (training, log))
    days = (after[0] - after[0].min()) // 86_400
    windows = tuple(after[1][days == day] for day in range(int(days.max()) + 1))
    july = (datetime(2013, 7, 1, tzinfo=UTC) - datetime(2013, 4, 1, tzinfo=UTC)).days
    later = tuple(errors - 5.0 * (day >= july) for day, errors in enumerate(windows))
    return Family("flights, 5 minutes more delay from July", DAY, july, (Stream(before[1], later),))


def _arrived(table: pa.Table) -> tuple[NDArray[np.int64], Errors]:
    times = table["timestamp"].cast(pa.int64()).to_numpy() // 1000
    errors = table["score"].to_numpy() - table["arr_delay"].to_numpy()
    known = ~np.isnan(errors)
    return times[known], errors[known]


def employment(folder: Path) -> Family:
    """Return the employment data that NannyML ships, in windows of 1,000 rows: nobody knows when it changes."""
    _run(NANNYML, "employment", folder)
    before, after = (pq.read_table(folder / f"{name}.parquet") for name in ("reference", "analysis"))
    errors = [table["score"].to_numpy() - table["outcome"].to_numpy() for table in (before, after)]
    windows = np.array_split(errors[1], len(errors[1]) // 1000)
    return Family("employment (NannyML's own data)", WEEK, None, (Stream(errors[0], tuple(windows)),))


# ---------------------------------------------------------------- detectors


def ours(family: Family) -> dict[str, list[list[int]]]:
    """Return the windows in which our charts signal, by chart and stream."""
    spec = spec_of(family.length)
    found: dict[str, list[list[int]]] = {"mlvitals, warning or page": [], "mlvitals, page": []}
    for stream in family.streams:
        series = GapSeries(
            plan_of(spec), reference=gap_reference(_reference(family, stream), family.length, grouped=False)
        )
        severities = []
        for place, errors in enumerate(stream.after):
            start = _START + place * family.length
            gap_error = float(errors.std(ddof=1) / np.sqrt(len(errors)))
            sample = GapSample(
                window_start=start,
                window_end=start + family.length,
                gap=float(errors.mean()),
                gap_error=gap_error,
                count=len(errors),
            )
            series = series.after(sample)
            severities.append(concept_report(series, sample).severity)
        found["mlvitals, warning or page"].append([place for place, one in enumerate(severities) if one])
        found["mlvitals, page"].append([place for place, one in enumerate(severities) if one is Severity.CRITICAL])
    return found


def _reference(family: Family, stream: Stream) -> OutcomeReference | None:
    rows = round(float(np.mean([len(errors) for errors in stream.after])))
    step = family.length / rows / timedelta(microseconds=1)
    times = (np.arange(len(stream.before)) * step).astype(np.int64)
    columns = {"score": pa.chunked_array([stream.before]), "y": pa.chunked_array([np.zeros(len(stream.before))])}
    stamps = pa.chunked_array([pa.array(times, pa.timestamp("us", "UTC"))])
    return outcome_reference(spec_of(family.length).prediction_log, columns, stamps, family.length)


def theirs(family: Family, peer: Peer, folder: Path) -> dict[str, list[list[int]]]:
    """Return the windows in which a peer's detectors signal, by detector and stream."""
    before, after = folder / "before.parquet", folder / "after.parquet"
    numbered = list(enumerate(family.streams))
    pq.write_table(_long([(number, 0, stream.before) for number, stream in numbered]), before)
    windows = [(number, place, part) for number, stream in numbered for place, part in enumerate(stream.after)]
    pq.write_table(_long(windows), after)
    found: dict[str, list[list[int]]] = {}
    for line in _run(peer, before, after).splitlines():
        if line.startswith("{"):
            item = json.loads(line)
            found.setdefault(item["detector"], []).append(item["windows"])
    return found


def _long(parts: list[tuple[int, int, Errors]]) -> pa.Table:
    columns = {
        "stream": np.concatenate([np.full(len(errors), number) for number, _, errors in parts]),
        "window": np.concatenate([np.full(len(errors), place) for _, place, errors in parts]),
        "error": np.concatenate([errors for *_, errors in parts]),
    }
    return pa.table(columns)


def _run(peer: Peer, *arguments: str | Path) -> str:
    command = [str(environment_of(peer)), str(PROGRAMS / peer.program), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PeerError((done.stderr.strip().splitlines() or ["no message"])[-1])
    return done.stdout


# ---------------------------------------------------------------- the table


def row(family: Family, detector: str, windows: list[list[int]]) -> str:
    """Return the row of a detector: false alarms, changes found soon, the delay, and when it signals at all."""
    change = family.change
    quiet = sum(len(stream.after) if change is None else change for stream in family.streams)
    false = sum(_starts([window for window in found if change is None or window < change]) for found in windows)
    first = "-"
    if change is not None:
        delays = [min((window - change + 1 for window in found if window >= change), default=None) for found in windows]
        known = [delay for delay in delays if delay is not None]
        soon = sum(delay <= SOON for delay in known) / len(windows)
        first = f"{soon:.0%} | {median(known):g}" if known else "0% | never"
    else:
        first = "- | -"
    return f"| {family.name} | {detector} | {false} in {quiet} | {first} |"


def _starts(windows: list[int]) -> int:
    """Return how many alarms there are: windows that follow each other are one."""
    return sum(later - earlier > 1 for earlier, later in pairwise([-2, *windows]))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.concept_peers", description=__doc__)
    parser.add_argument("--streams", type=int, default=5)
    options = parser.parse_args()
    print(f"| stream | detector | false alarms, windows | found within {SOON} windows | median delay, windows |")
    print("|---|---|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        families = [
            simulated("independent, no change", independent, 0.0, options.streams),
            simulated("independent, +1 sd of a window", independent, 1.0, options.streams),
            simulated("independent, +3 sd of a window", independent, 3.0, options.streams),
            simulated("AR(1) r = 0.5, +2 sd of a window", autoregressive, 2.0, options.streams),
            flights(),
        ]
        try:
            families.append(employment(folder))
        except PeerError as error:
            print(f"employment: {error}")
        for family in families:
            found = ours(family)
            for peer in (RIVER, NANNYML):
                try:
                    found |= theirs(family, peer, folder)
                except PeerError as error:
                    print(f"{family.name}: {peer.name}: {error}")
            for detector, windows in found.items():
                print(row(family, detector, windows), flush=True)


if __name__ == "__main__":
    main()
