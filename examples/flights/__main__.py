"""``python -m examples.flights`` trains the delay model and writes its training data and prediction log."""

from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.progress import track

from examples.flights.data import CATEGORICAL, DataMissing, read_flights
from examples.flights.model import training_and_log
from examples.partitions import hours, remove_files, write_file, write_hour

DATA = Path(__file__).parent / "data"


@click.command()
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=DATA, show_default="examples/flights/data"
)
@click.option(
    "--train-until",
    type=click.DateTime(["%Y-%m-%d"]),
    default="2013-04-01",
    show_default=True,
    help="The model is trained on the flights before this day (UTC); the log begins with it.",
)
def main(out: Path, train_until: datetime) -> None:
    """Train on the flights before a day, and write the predictions for all later ones.

    The blizzard of 8 and 9 February 2013 is in the log with --train-until 2013-02-01.
    """
    console = Console(stderr=True)
    try:
        with console.status("Reading the flights and fitting the model"):
            training, log = training_and_log(read_flights(), train_until.replace(tzinfo=UTC))
    except (DataMissing, ValueError) as error:
        raise click.ClickException(str(error)) from error
    write_file(training, out / "training.parquet", CATEGORICAL)
    folder = out / "predictions"
    remove_files(folder)
    files = 0
    for hour, flights in track(list(hours(log)), description="Writing the log", console=console):
        write_hour(folder, hour, flights, categories=CATEGORICAL)
        files += 1
    click.echo(f"{training.num_rows:,} flights to train on and {log.num_rows:,} in {files:,} hourly files in {out}")


if __name__ == "__main__":
    main()
