"""A history with known faults, replayed."""

import sys
from contextlib import closing
from pathlib import Path

import click

from mlvitals.commands.common import FILE, OUTPUT, load, reference_store, spec_argument, write


@click.command("evaluate")
@spec_argument
@click.option("--data", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True, metavar="DIR")
@click.option(
    "--truth", "truth_path", type=FILE, required=True, metavar="FILE", help="The known faults and their times."
)
@click.option(
    "--reference",
    "version",
    help="A version or alias. Default: built from DIR/training if it exists, otherwise the active one.",
)
@click.option(
    "--json",
    "json_path",
    type=OUTPUT,
    metavar="FILE",
    help="Write the evaluation as JSON (schema mlvitals.evaluation/1).",
)
@click.option(
    "--html", "html_path", type=OUTPUT, metavar="FILE", help="Write the evaluation as a self-contained HTML page."
)
@click.option("--strict", is_flag=True, help="Exit with 1 if a fault was missed or there was a false page.")
def evaluate_command(
    spec_path: Path,
    data: Path,
    truth_path: Path,
    version: str | None,
    json_path: Path | None,
    html_path: Path | None,
    strict: bool,
) -> None:
    """Replay a history with known faults: which alerts would have caught each, how fast, and which would have been false.

    DIR contains predictions/ and, if available, outcomes/, recomputed/, events/, training/, metrics/ and
    sources.parquet (docs/evaluate.md).
    """
    from tempfile import TemporaryDirectory

    from rich.progress import track

    from mlvitals.evaluation.evaluate import evaluate
    from mlvitals.evaluation.page import evaluation_page
    from mlvitals.evaluation.truth import read_truth
    from mlvitals.exporters.publish.results import open_results
    from mlvitals.exporters.training.data import build_from_files
    from mlvitals.generator.spec.model import Results
    from mlvitals.terminal.console import console
    from mlvitals.terminal.evaluation import evaluation_table

    spec, truth = load(spec_path), read_truth(truth_path)
    if version is None and (data / "training").is_dir():
        reference = build_from_files(spec, Path.cwd(), (str(data / "training"),), truth.start)
    else:
        reference = reference_store(spec, spec_path).load(version or spec.reference.alias)
    errors = console(stderr=True)
    with TemporaryDirectory(prefix="mlvitals-evaluate-") as folder:
        kept = Results(url=f"sqlite:///{folder}/results.db")
        with closing(open_results(kept, Path(folder))) as results:
            found = evaluate(
                spec,
                spec_path.parent,
                data,
                truth,
                reference,
                results,
                lambda reports, count: iter(
                    track(reports, "Measuring", count, console=errors, transient=True, disable=not errors.is_terminal)
                ),
            )
    evaluation_table(found, console())
    if json_path:
        write(json_path, found.to_json())
    if html_path:
        write(html_path, evaluation_page(found).encode())
    if strict and not found.is_perfect:
        sys.exit(1)
