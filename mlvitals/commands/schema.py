"""The JSON Schema of specs."""

from pathlib import Path

import click

from mlvitals.commands.common import OUTPUT, write


@click.command()
@click.option("--out", type=OUTPUT, metavar="FILE", help="The file to write. Default: standard output.")
def schema(out: Path | None) -> None:
    """Print the JSON Schema of specs, with which editors complete and check them."""
    from mlvitals.generator.spec.schema import schema_text

    if out is None:
        click.echo(schema_text(), nl=False)
    else:
        write(out, schema_text().encode())
        click.echo(
            f"wrote {out}; the first line of a spec next to it: # yaml-language-server: $schema={out.name}", err=True
        )
