"""Our part of an Alertmanager that others have."""

import difflib
import sys
from pathlib import Path

import click

from mlvitals.commands.common import FILE, SPEC, fail, load_all, write

TEMPLATE = "mlvitals.tmpl"


@click.command()
@click.argument("config", metavar="ALERTMANAGER_YML", type=FILE)
@click.argument("spec_paths", metavar="SPEC...", nargs=-1, required=True, type=SPEC)
@click.option("--check", is_flag=True, help="Write nothing; show the diff and exit with 1 if the file is out of date.")
@click.option("--remove", is_flag=True, help="Take the part of these systems away instead.")
def merge(config: Path, spec_paths: tuple[Path, ...], check: bool, remove: bool) -> None:
    """Add the routes of specs to an existing alertmanager.yml, or replace them; all else in it stays as it is.

    Only alerts with the system's label reach our routes. The texts of messages are written to mlvitals.tmpl next to it.
    """
    from mlvitals.generator.compiler import marker
    from mlvitals.generator.routing.fragment import fragment
    from mlvitals.generator.routing.merge import merged, without
    from mlvitals.generator.routing.notifications import notification_templates
    from mlvitals.generator.signals import signals

    loaded = load_all(spec_paths)
    before = _read(config)
    if remove:
        after = without(before, [spec.slug for _, spec in loaded])
    else:
        parts = {spec.slug: fragment(spec, signals(spec)) for _, spec in loaded}
        after = merged(before, parts, TEMPLATE, str(config))
    if check:
        there, wanted = (text.splitlines(keepends=True) for text in (before, after))
        lines = difflib.unified_diff(there, wanted, f"{config} (there)", f"{config} (merged)")
        click.echo("".join(lines), nl=False)
        sys.exit(before != after)
    if not remove:
        sources = (path.name for path, _ in loaded)
        write(config.with_name(TEMPLATE), notification_templates(marker(*sources)).encode())
    write(config, after.encode())
    click.echo(f"{'wrote' if before != after else 'unchanged'} {config}")


def _read(config: Path) -> str:
    try:
        return config.read_bytes().decode("utf-8")
    except FileNotFoundError:
        fail(f"{config}: does not exist; name the configuration of your Alertmanager")
    except UnicodeDecodeError as error:
        fail(f"{config}: is not UTF-8 at byte {error.start}; save it as UTF-8")
