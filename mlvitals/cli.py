"""The command line: thin; a command's imports happen when it runs.

Results go to stdout, diagnostics to stderr. Exit codes: 0 success, 1 findings or failure, 2 wrong usage.
"""

import click

from mlvitals import __version__
from mlvitals.commands.annotate import annotate
from mlvitals.commands.backfill import backfill
from mlvitals.commands.common import Group, replace_unprintable
from mlvitals.commands.concept import concept
from mlvitals.commands.drift import drift
from mlvitals.commands.drill import drill
from mlvitals.commands.evaluate import evaluate_command
from mlvitals.commands.export import export
from mlvitals.commands.history import history
from mlvitals.commands.inbox import inbox
from mlvitals.commands.incident import incident
from mlvitals.commands.merge import merge
from mlvitals.commands.objectives import slo
from mlvitals.commands.postmortem import collect, postmortem, timeline, times, triage
from mlvitals.commands.reference import reference
from mlvitals.commands.routes import routes
from mlvitals.commands.schema import schema
from mlvitals.commands.spec import compile_command, estimate_command, init_command, lint
from mlvitals.commands.tabletop import tabletop
from mlvitals.commands.tune import tune
from mlvitals.commands.up import up
from mlvitals.commands.verify import verify


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mlvitals")
def main() -> None:
    """Monitoring as code for machine-learning systems: one spec in, a monitored system out."""
    replace_unprintable()


for command in (
    annotate,
    backfill,
    compile_command,
    concept,
    drift,
    drill,
    estimate_command,
    evaluate_command,
    export,
    history,
    inbox,
    incident,
    init_command,
    lint,
    merge,
    postmortem,
    reference,
    routes,
    schema,
    slo,
    tabletop,
    tune,
    up,
    verify,
):
    main.add_command(command)
for command in (collect, timeline, times, triage):
    incident.add_command(command)
