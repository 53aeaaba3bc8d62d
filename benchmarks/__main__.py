"""Runs every benchmark and prints the table: `python -m benchmarks [--full] [--write]`.

Without `--full` the sizes are modest; with `--write` docs/benchmarks.md and its plot are written too.
"""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from itertools import chain
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks import history, kernel, peers, pipeline, scaling, scrape, serving
from benchmarks.figures import Figure
from benchmarks.scaling import Curve
from mlvitals.exporters.window.measure import usable_cores

DOCS = Path(__file__).resolve().parent.parent / "docs"
PLOT, HISTORY_PLOT = "benchmarks.svg", "benchmarks-history.svg"


def main() -> None:
    """Measure, print, and write where asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--full", action="store_true", help="the sizes of the targets; takes minutes and 3 GB")
    parser.add_argument("--write", action="store_true", help=f"write docs/benchmarks.md and docs/{PLOT}")
    options = parser.parse_args()
    figures: list[Figure] = []
    # A process for each benchmark, so that none runs in the memory that another left behind.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        for benchmark in (kernel, peers, pipeline, history, scrape, serving):
            found = pool.submit(benchmark.figures, full=options.full).result()
            figures += found
            print("\n".join(map(_row, found)), flush=True)
        curves = pool.submit(scaling.curves, full=options.full).result()
        past = pool.submit(history.curves, full=options.full).result()
        print("\n".join(map(_curve_row, [*curves, *past])), flush=True)
    if options.write:
        DOCS.mkdir(exist_ok=True)
        (DOCS / PLOT).write_text(scaling.svg(curves), encoding="utf-8")
        (DOCS / HISTORY_PLOT).write_text(scaling.svg(past), encoding="utf-8")
        (DOCS / "benchmarks.md").write_text(_document(figures, curves, past, full=options.full), encoding="utf-8")


def _document(figures: Iterable[Figure], curves: Iterable[Curve], past: Iterable[Curve], *, full: bool) -> str:
    command = f"python -m benchmarks{' --full' if full else ''} --write"
    load = os.getloadavg()[1]
    lines = [
        "# Benchmarks",
        "",
        f"Written by `{command}` on {datetime.now(UTC):%Y-%m-%d}; `make bench` measures modest sizes and writes nothing.",
        "Ours and theirs ran in the same run, on the same machine and the same data. What runs on one core is given in",
        "CPU seconds, so that other work on the machine counts little, and the rest in seconds passed; the best of three",
        "runs of the kernel, numpy.sort, NannyML and the textbook functions, one run of all else. A ratio below 1 means",
        "less time or memory than theirs.",
        "",
        f"Machine: {_processor()}, {usable_cores()} cores; {platform.system()}, Python {platform.python_version()}, "
        f"numpy {np.__version__}, pyarrow {pa.__version__}; load average {load:.1f} (1.0 is one busy core).",
        "",
        "| measured | ours | compared with | theirs | ratio | target |",
        "|---|---:|---|---:|---:|---|",
        *map(_row, figures),
        "",
        "Peers run in environments of their own with their newest release; one that cannot be installed is named with",
        "the reason. NannyML is fitted and our reference is built beforehand; Evidently and the textbook functions have",
        "no such step. Memory is the peak resident set of the process that measures, Python and libraries included.",
        "",
        "## Growth",
        "",
        f"![Seconds against rows, features and knots]({PLOT})",
        "",
        "| one core, against | smallest | largest | share of variance that a straight line explains |",
        "|---|---:|---:|---:|",
        *map(_curve_row, curves),
        "",
        "## History",
        "",
        f"![Seconds of a run against the windows stored before it]({HISTORY_PLOT})",
        "",
        "| a run over 1,000 rows of one feature that drifts all the while, and no outcomes, after | processor seconds |",
        "|---|---:|",
        *chain.from_iterable(map(_history_rows, past)),
    ]
    return "\n".join(lines) + "\n"


def _row(figure: Figure) -> str:
    ratio = (
        "" if figure.ratio is None else f"{figure.ratio:.2g}" if figure.ratio >= 0.095 else f"1/{1 / figure.ratio:.0f}"
    )
    theirs = figure.note or _amount(figure.theirs, figure.unit)
    cells = (figure.subject, _amount(figure.ours, figure.unit), figure.other, theirs, ratio, figure.target)
    return f"| {' | '.join(cells)} |"


def _amount(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    return f"{value:.0f} MB" if unit == "MB" else f"{value:.3g} {unit}"


def _curve_row(curve: Curve) -> str:
    (first, last), (quick, slow) = (curve.sizes[0], curve.sizes[-1]), (curve.seconds[0], curve.seconds[-1])
    return f"| {curve.label} | {first:,}: {quick:.3f} s | {last:,}: {slow:.3f} s | {curve.explained:.1%} |"


def _history_rows(curve: Curve) -> Iterable[str]:
    return (
        f"| {size:,} {curve.label} | {seconds:.3f} |" for size, seconds in zip(curve.sizes, curve.seconds, strict=True)
    )


def _processor() -> str:
    """The processor's name, as far as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


if __name__ == "__main__":
    main()
