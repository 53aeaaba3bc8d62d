"""Commits that touched a path: what was changed in a pipeline, a spec, a service."""

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from mlvitals.generator.errors import UserError
from mlvitals.incidents.timeline.events import EventKind, EventSource, TimelineEvent

_FIELDS = "%H%x00%cI%x00%an%x00%s"
_PATIENCE_SECONDS = 60


class GitError(UserError):
    """The path is in no repository that git can read."""


def git_events(path: Path, since: datetime, until: datetime) -> list[TimelineEvent]:
    """Return the commits of a path within an interval, at the time they were committed.

    Raises:
        GitError: git is missing, or the path is in no repository.
    """
    where = path if path.is_dir() else path.parent
    times = (f"--since={since.isoformat()}", f"--until={until.isoformat()}")
    command = ["git", "-C", str(where), "log", f"--format={_FIELDS}", *times, "--", str(path.resolve())]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_PATIENCE_SECONDS, check=False)  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        raise GitError(f"{path}: git cannot be run: {error}") from error
    if done.returncode:
        raise GitError(f"{path}: {done.stderr.decode(errors='replace').strip()}")
    return list(_events(done.stdout.decode(errors="replace"), str(path)))


def _events(log: str, path: str) -> Iterator[TimelineEvent]:
    for line in filter(None, log.split("\n")):  # a subject may hold other separators of lines
        commit, moment, author, subject = line.split("\0", 3)
        yield TimelineEvent(
            at=datetime.fromisoformat(moment).astimezone(UTC),
            kind=EventKind.COMMIT,
            source=EventSource.GIT,
            subject=commit,
            text=f"Commit {commit[:10]}: {subject}",
            actor=author,
            origin=f"git log -- {path}",
        )
