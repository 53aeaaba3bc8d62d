"""A tabletop exercise on the real history."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlvitals.commands.common import FILE, OUTPUT, fail, instant, load, reference_store, spec_argument, write
from mlvitals.commands.postmortem import template_text

if TYPE_CHECKING:
    from mlvitals.evaluation.faults.catalogue import Fault
    from mlvitals.exporters.reference.artifact import Reference
    from mlvitals.generator.spec.model import Spec
    from mlvitals.incidents.record.store import Incidents
    from mlvitals.incidents.tabletop.answers import Answers
    from mlvitals.incidents.tabletop.live import LiveWorld
    from mlvitals.incidents.tabletop.play import Play, Schedule
    from mlvitals.incidents.tabletop.run import Exercised
    from mlvitals.incidents.tabletop.score import Mark

_SOME_DAY = datetime(1970, 1, 1, tzinfo=UTC)
"""The start of a fault that has no place in a history yet."""
_CALM_STEPS = 1.5
"""Windows without the fault that a real stack sees first."""
_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)


@click.command()
@spec_argument
@click.option("--fault", "name", required=True, metavar="NAME", help="What goes wrong; an unknown name lists all.")
@click.option("--share", "strength", type=float, metavar="SHARE", help="How much: mostly a share of the rows, 0 to 1.")
@click.option(
    "--on", "subject", metavar="NAME", help="The feature or source it strikes.  [default: the first suitable]"
)
@click.option(
    "--data", type=_FOLDER, metavar="DIR", help="A history folder, as evaluate takes.  [default: the spec's log]"
)
@click.option(
    "--until", callback=instant, metavar="TIME", help="End of the history that is played.  [default: newest row]"
)
@click.option("--reference", "version", metavar="VERSION", help="A version or alias. Default: as in evaluate.")
@click.option("--answers", "answers_path", type=FILE, metavar="FILE", help="The team's answers.  [default: ask here]")
@click.option(
    "--pace",
    type=click.FloatRange(min=0.1),
    default=1.0,
    show_default=True,
    metavar="FACTOR",
    help="Minutes of the exercise in a minute of thinking.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where incident, post-mortem, report and notes go.  [default: tabletop/TIME-FAULT]",
)
@click.option("--html", type=OUTPUT, metavar="FILE", help="Also write the post-mortem as one page, with plots.")
@click.option("--notes", "only_notes", is_flag=True, help="Print the facilitator's notes, and play nothing.")
@click.option("--export", type=click.Choice(["chaostoolkit"]), help="Print an experiment for a real system instead.")
@click.option("--stack", is_flag=True, help="Play in a real stack: Prometheus and Alertmanager from PATH, an inbox.")
@click.option(
    "--compress-time",
    type=click.FloatRange(min=1, max=360),
    default=60.0,
    show_default=True,
    metavar="FACTOR",
    help="With --stack: an hour of the history takes 3600 / FACTOR seconds.",
)
@click.option("--strict", is_flag=True, help="Exit with 1 unless every stage met the policy.")
def tabletop(
    spec_path: Path,
    name: str,
    strength: float | None,
    subject: str | None,
    data: Path | None,
    until: datetime | None,
    version: str | None,
    answers_path: Path | None,
    pace: float,
    out: Path | None,
    html: Path | None,
    only_notes: bool,
    export: str | None,
    stack: bool,
    compress_time: float,
    strict: bool,
) -> None:
    """Play a fault into a copy of the real history, and let a team answer the page that it causes.

    The copy is measured by the exporter's code and judged by the generated rules; nothing in production is touched. The
    team is asked who takes it, what they see, how severe it is and what they do, and is scored by the spec's own policy.
    """
    from mlvitals.evaluation.faults.catalogue import fault_of

    spec = load(spec_path)
    fault = fault_of(spec, name, start=_SOME_DAY, subject=subject, strength=strength)
    if export:
        from mlvitals.incidents.tabletop.chaos import experiment

        click.echo(experiment(spec, fault), nl=False)
        return
    from mlvitals.evaluation.faults.excerpt import newest_row
    from mlvitals.incidents.record.store import Incidents
    from mlvitals.incidents.tabletop.play import history_spec, schedule_of
    from mlvitals.incidents.tabletop.report import notes_of
    from mlvitals.incidents.tabletop.run import EvaluatedWorld, exercise
    from mlvitals.terminal.tabletop import say

    history = history_spec(spec, data)
    times = schedule_of(spec, fault, until or newest_row(history, spec_path.parent))
    fault = replace(fault, start=times.start)
    notes = notes_of(spec, fault, times)
    if only_notes:
        click.echo(notes, nl=False)
        return
    team = _team(answers_path, compress_time if stack else pace)
    reference = _reference(spec, spec_path, data, version, times)
    out = _folder(out, name)
    write(out / "facilitator.md", notes.encode())
    with _play(spec, history, spec_path.parent, data, reference, fault, times) as play:
        incidents = Incidents(out / "incidents")
        with _live(play, incidents, compress_time) if stack else nullcontext(EvaluatedWorld(play, incidents)) as world:
            done = exercise(world, team, say)
        marks = _write(done, out, html, compress_time if stack else 1.0)
    if strict and not all(mark.verdict == "met" for mark in marks):
        sys.exit(1)


def _folder(given: Path | None, fault: str) -> Path:
    """Make the folder of an exercise, which holds no other: its incident would be opened again."""
    out = given or Path("tabletop") / f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{fault}"
    if any((out / "incidents").glob("*.yaml")):
        fail(f"{out} holds an exercise already; give another folder with --out")
    out.mkdir(parents=True, exist_ok=True)
    return out


def _team(path: Path | None, pace: float) -> "Answers":
    from mlvitals.incidents.tabletop.answers import SpokenAnswers, read_answers

    return read_answers(path) if path else SpokenAnswers(_ask, pace)


def _ask(question: str, choices: Sequence[str]) -> str:
    """Ask at the terminal; an empty line is no answer."""
    if not choices:
        return str(click.prompt(question, default="", show_default=False, err=True)).strip()
    kind = click.Choice([*map(str, choices), ""], case_sensitive=False)
    words = f"{question} ({', '.join(choices)})"
    return str(click.prompt(words, type=kind, default="", show_default=False, show_choices=False, err=True))


def _reference(spec: "Spec", spec_path: Path, data: Path | None, version: str | None, times: "Schedule") -> "Reference":
    from mlvitals.exporters.training.data import build_from_files

    if version is None and data is not None and (data / "training").is_dir():
        return build_from_files(spec, Path.cwd(), (str(data / "training"),), times.first)
    return reference_store(spec, spec_path).load(version or spec.reference.alias)


@contextmanager
def _play(
    spec: "Spec",
    history: "Spec",
    base_dir: Path,
    data: Path | None,
    reference: "Reference",
    fault: "Fault",
    times: "Schedule",
) -> "Iterator[Play]":
    """Copy the history into a folder that is gone afterwards."""
    from tempfile import TemporaryDirectory

    from mlvitals.evaluation.faults.excerpt import Excerpt
    from mlvitals.exporters.parts import Window
    from mlvitals.exporters.publish.results import open_results
    from mlvitals.generator.spec.model import Results
    from mlvitals.incidents.tabletop.play import Play, check_reach

    with TemporaryDirectory(prefix="mlvitals-tabletop-") as folder:
        root = Path(folder)
        excerpt = Excerpt(history, base_dir, Window(times.first, times.end), root)
        check_reach(spec, fault, times, excerpt.oldest)
        click.echo(f"copied {excerpt.rows:,} predictions; measuring", err=True)
        with closing(open_results(Results(url=f"sqlite:///{root}/results.db"), root)) as results:
            yield Play(spec, base_dir, data, excerpt, reference, results, fault, times)


@contextmanager
def _live(play: "Play", incidents: "Incidents", factor: float) -> "Iterator[LiveWorld]":
    """Start a real stack a little before the fault."""
    from tempfile import TemporaryDirectory

    from mlvitals.generator.spec.compression import compress_time
    from mlvitals.generator.spec.durations import span
    from mlvitals.incidents.tabletop.live import LiveWorld
    from mlvitals.incidents.tabletop.stack import CompressedTime, HistoryPages, running_stack

    start = play.times.start - _CALM_STEPS * span(play.spec.step)
    play.until(start)
    clock = CompressedTime(datetime.now(UTC), start, factor)
    pages = HistoryPages(compress_time(play.spec, factor), play.steps, clock)
    with (
        TemporaryDirectory(prefix="mlvitals-stack-") as folder,
        running_stack(play.spec, pages, factor, Path(folder), incidents.folder) as stack,
    ):
        click.echo(f"Prometheus {stack.prometheus}; an hour passes in {3600 / factor:.0f} s", err=True)
        yield LiveWorld(play, incidents, stack, clock, pages)


def _write(done: "Exercised", out: Path, html: Path | None, time_factor: float) -> "tuple[Mark, ...]":
    """Write what came of an exercise, and show it."""
    from mlvitals.incidents.postmortem.fields import fields_of
    from mlvitals.incidents.postmortem.html import postmortem_page
    from mlvitals.incidents.postmortem.regions import fill
    from mlvitals.incidents.tabletop.report import report_of
    from mlvitals.incidents.tabletop.score import gaps_of, marks_of
    from mlvitals.terminal.tabletop import tabletop_card

    marks, gaps = marks_of(done), gaps_of(done)
    written = [out / "tabletop.md"]
    write(written[0], report_of(done, marks, gaps).encode())
    if done.analysis is not None:
        text = fill(template_text(None), fields_of(done.analysis, time_factor=time_factor), "the template")
        written.append(out / "incidents" / f"{done.analysis.incident.id}.postmortem.md")
        write(written[-1], text.encode())
        if html:
            written.append(html)
            write(html, postmortem_page(text, done.analysis).encode())
    tabletop_card(marks, gaps)
    for path in written:
        click.echo(f"wrote {path}", err=True)
    return marks
