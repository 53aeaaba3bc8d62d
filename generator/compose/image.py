"""The image of the stack's own processes: exporter and inbox."""

import shlex

import mlvitals
from mlvitals.generator.compose.network import Network
from mlvitals.generator.compose.services import USER, has_postgres, written_folders
from mlvitals.generator.spec.diagnostics import printable

IGNORED = "**\n!Dockerfile\n!wheels\n"
"""Files that stay out of the build, secrets above all, but for what the image needs."""
_PYTHON = "python:3.12-slim"


def dockerfile(network: Network, marker: str) -> str:
    """Return a Dockerfile: mlvitals from the package index, or the image that a spec names, and folders for its volumes."""
    named = next((member.spec.exporter.image for member in network.members if member.spec.exporter.image), None)
    folders = " ".join(shlex.quote(printable(folder)) for folder in written_folders(network))
    owned = f"RUN mkdir -p {folders} && chown {USER} {folders}\nUSER {USER}\n"
    postgres = any(has_postgres(member.spec) for member in network.members)
    start = f"FROM {named}\nUSER root\n" if named else _installed(postgres)
    return f'# {marker}\n{start}{owned}ENTRYPOINT ["mlvitals"]\n'


def _installed(postgres: bool) -> str:
    wanted = f"mlvitals[{'measure,postgres' if postgres else 'measure'}]=={mlvitals.__version__}"
    return (
        f"FROM {_PYTHON}\n"
        "# Wheels that the package index lacks, such as one of your own branch, are taken from wheels/.\n"
        "COPY Dockerfile wheel[s] /wheels/\n"
        f"RUN pip install --no-cache-dir --disable-pip-version-check --find-links /wheels '{wanted}'\n"
    )
