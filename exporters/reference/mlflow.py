"""References in MLflow: runs of an experiment, tied to the model versions that they were computed with.

The experiment ``mlvitals-references-SYSTEM`` holds a run for each stored reference. The artifact is written first and
the tag `mlvitals.version` last, so that a run that a crash cut short is never taken for a version. An alias is a tag of
the experiment: one row, replaced in one transaction.
"""

import fcntl
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from mlvitals.exporters.paths import first_line, resolve
from mlvitals.exporters.reference.artifact import ArtifactError, Reference
from mlvitals.exporters.reference.versions import (
    REMEDY,
    StoredVersion,
    artifact_to_keep,
    check_promotion,
    is_alias,
    is_version,
    listed,
    sound_reference,
)

_ARTIFACT = "reference.json"
_VERSION_TAG = "mlvitals.version"
_ALIAS_TAG = "mlvitals.alias."
_REGISTERED = re.compile(r"(?:models:/)?(?P<name>[^/:]+)/(?P<number>[0-9]+)")
_RUN = re.compile(r"(?:runs:/)?(?P<run>[0-9a-f]{32})")
_ATTEMPTS = 5

_Result = TypeVar("_Result")


class MlflowStore:
    """A store in MLflow, reached through a tracking server or a SQLite file.

    A version is the hash of its artifact, as in every store, so that damage shows on reading. MLflow lets anybody
    with access delete runs and change tags; this store notices, and cannot prevent it.
    """

    def __init__(self, uri: str, base: Path, system: str) -> None:
        """Name the store; nothing is connected yet.

        Args:
            uri: ``http://SERVER``, ``https://SERVER`` or ``sqlite:///FILE``.
            base: where a relative file starts.
            system: the system's name.

        Raises:
            ArtifactError: another kind of URI.
        """
        self.system = system
        target = _target(uri)
        self._file = resolve(target.database, base) if target.database and _is_file(target) else None
        if self._file is not None:
            target = target.set(database=str(self._file))
        self._uri = target.render_as_string(hide_password=False)
        self._shown = target.render_as_string(hide_password=True)
        self._name = f"mlvitals-references-{system}"

    def save(self, reference: Reference) -> str:
        """Keep a reference, tie it to its model version, and return its own version.

        A model version ``NAME/NUMBER`` of MLflow's registry, or the id of a run, gets the tag
        ``mlvitals.reference.SYSTEM`` with the reference's version; any other is only recorded on the reference. Saving
        the same reference again fixes a damaged copy.

        Raises:
            ArtifactError: the reference is of another system, MLflow does not know the model version, or cannot be
                written to.
        """
        artifact, version = artifact_to_keep(reference, self.system)
        with self._speaking():
            tie = self._tie_to(reference.model_version)
            if not self._holds(version):
                self._keep(artifact, version, reference)
            if tie is not None:
                self._insist(lambda: tie(f"mlvitals.reference.{self.system}", version))
        return version

    def load(self, version_or_alias: str) -> Reference:
        """Return the reference of a version, or of the version that an alias names.

        Raises:
            ArtifactError: it is missing, damaged, of another schema version or of another system, or MLflow
                cannot be reached.
        """
        with self._speaking():
            return self._read(version_or_alias if is_version(version_or_alias) else self._named(version_or_alias))

    def versions(self) -> list[StoredVersion]:
        """Return all versions, newest first; unreadable ones last, with their problem.

        Raises:
            ArtifactError: MLflow cannot be reached.
        """
        with self._speaking():
            return listed(self._runs(), self._aliases(), self._read)

    def promote(self, version: str, alias: str) -> None:
        """Let an alias name a version from now on.

        Raises:
            ArtifactError: the version cannot be loaded, the alias is no name, or MLflow cannot be written to.
        """
        check_promotion(version, alias)
        with self._speaking():
            self._read(version)
            experiment = self._experiment()
            self._insist(lambda: self._client.set_experiment_tag(experiment.experiment_id, _ALIAS_TAG + alias, version))

    # ------------------------------------------------------------ reading

    def _read(self, version: str) -> Reference:
        """Return the reference of a version, from the first run that holds it undamaged."""
        runs = self._runs().get(version)
        if not runs:
            raise ArtifactError(f"no reference {version} of {self.system} in {self._place}: {REMEDY}")
        problems = []
        for run in runs:
            place = f"run {run} of {self._place}"
            try:
                return sound_reference(self._artifact(run, place), version, self.system, place)
            except ArtifactError as error:
                problems.append(error)
        raise problems[0]

    def _artifact(self, run: str, place: str) -> bytes:
        with tempfile.TemporaryDirectory(prefix="mlvitals-") as folder:
            try:
                return Path(self._client.download_artifacts(run, _ARTIFACT, folder)).read_bytes()
            except (MlflowException, OSError) as error:
                raise ArtifactError(
                    f"the reference at {place} is damaged: {_ARTIFACT} cannot be read ({self._said(error)}): {REMEDY}"
                ) from None

    def _holds(self, version: str) -> bool:
        try:
            self._read(version)
        except ArtifactError:
            return False
        return True

    def _runs(self) -> dict[str, list[str]]:
        """Return, by version, the ids of the runs that hold it; two writers at once may each have made one."""
        experiment, page = self._experiment(), None
        found: dict[str, list[str]] = {}
        while experiment is not None:
            runs = self._client.search_runs([experiment.experiment_id], page_token=page)
            for run in runs:
                version = run.data.tags.get(_VERSION_TAG, "")
                if is_version(version):
                    found.setdefault(version, []).append(run.info.run_id)
            page = runs.token
            if not page:
                break
        return found

    def _aliases(self) -> dict[str, str]:
        experiment = self._experiment()
        tags = {} if experiment is None else experiment.tags
        named = {tag.removeprefix(_ALIAS_TAG): value for tag, value in tags.items() if tag.startswith(_ALIAS_TAG)}
        return {alias: version for alias, version in named.items() if is_alias(alias)}

    def _named(self, alias: str) -> str:
        version = self._aliases().get(alias)
        if version is None:
            raise ArtifactError(f"no reference of {self.system} is called {alias!r} in {self._place}: {REMEDY}")
        if not is_version(version):
            raise ArtifactError(
                f"the alias in tag {_ALIAS_TAG}{alias} of {self._place} is damaged: "
                f"promote a version to {alias!r} again"
            )
        return version

    # ------------------------------------------------------------ writing

    def _keep(self, artifact: bytes, version: str, reference: Reference) -> None:
        tags = {"mlvitals.created": reference.created.isoformat(), "mlvitals.rows": str(reference.rows)}
        if reference.model_version is not None:
            tags["mlvitals.model_version"] = reference.model_version
        experiment = self._insist(self._made_experiment)
        run = self._insist(
            lambda: self._client.create_run(experiment, tags=tags, run_name=f"reference {version}")
        ).info.run_id
        self._client.log_text(run, artifact.decode(), _ARTIFACT)
        self._insist(lambda: self._client.set_tag(run, _VERSION_TAG, version))
        self._insist(lambda: self._client.update_run(run, status="FINISHED"))

    def _tie_to(self, model_version: str | None) -> Callable[[str, str], None] | None:
        """Return what sets a tag on a model version that MLflow keeps.

        Raises:
            ArtifactError: the text names one that MLflow does not have.
        """
        text = model_version or ""
        try:
            if known := _REGISTERED.fullmatch(text):
                name, number = known["name"], known["number"]
                self._client.get_model_version(name, number)
                return lambda key, value: self._client.set_model_version_tag(name, number, key, value)
            if known := _RUN.fullmatch(text):
                run = known["run"]
                self._client.get_run(run)
                return lambda key, value: self._client.set_tag(run, key, value)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            raise ArtifactError(
                f"{self._shown} has no model version {text} ({self._said(error)}): give the NAME/NUMBER of a registered "
                "model's version, the id of a run, or any other text to have it noted only"
            ) from None
        return None

    def _made_experiment(self) -> str:
        """Return the id of the experiment, which is made if it is missing."""
        known = self._experiment()
        if known is not None:
            return str(known.experiment_id)
        # Next to its SQLite file, not in the folder that somebody happens to be in; a server knows its own place.
        place = None if self._file is None else (self._file.with_suffix(".artifacts") / self._name).as_uri()
        return str(self._client.create_experiment(self._name, artifact_location=place))

    @staticmethod
    def _insist(write: Callable[[], _Result]) -> _Result:
        """Write again where another writer was in the way: both inserted a row, or SQLite stayed locked."""
        for _ in range(_ATTEMPTS - 1):
            try:
                return write()
            except MlflowException as error:
                if not re.search(r"already exists|UNIQUE constraint|database is locked", str(error)):
                    raise
        return write()

    # ------------------------------------------------------------ MLflow

    @cached_property
    def _client(self) -> Any:
        if self._file is None:
            return MlflowClient(self._uri, self._uri)
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with _locked(self._file.parent):
            client = MlflowClient(self._uri, self._uri)
            client.get_experiment_by_name(self._name)
        return client

    def _experiment(self) -> Any:
        """Return the experiment as it is now; None where nothing was stored yet."""
        if self._file is not None and not self._file.exists() and "_client" not in self.__dict__:
            return None
        experiment = self._client.get_experiment_by_name(self._name)
        if experiment is not None and experiment.lifecycle_stage != "active":
            raise ArtifactError(
                f"{self._place} was deleted: restore it with `mlflow experiments restore -x {experiment.experiment_id}`"
            )
        return experiment

    @property
    def _place(self) -> str:
        return f"MLflow experiment {self._name} at {self._shown}"

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        """Turn what MLflow raises into a message that names the store and holds no secret."""
        try:
            yield
        except (MlflowException, SQLAlchemyError, OSError) as error:
            raise ArtifactError(f"{self._place}: {self._said(error)}") from None
        except ImportError as error:
            raise ArtifactError(f"{self._place}: {error}: pip install mlvitals[mlflow]") from None

    def _said(self, error: BaseException) -> str:
        return first_line(error).replace(self._uri, self._shown)


def _target(uri: str) -> URL:
    try:
        target = make_url(uri)
    except ArgumentError:
        target = None
    if target is None or not ((_is_file(target) and target.database) or target.drivername in {"http", "https"}):
        raise ArtifactError(
            "reference.store on MLflow is mlflow+http://SERVER, mlflow+https://SERVER or mlflow+sqlite:///FILE"
        )
    return target


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process at a time into a folder: MLflow makes the tables of its file without asking who else does."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _is_file(target: URL) -> bool:
    return target.drivername == "sqlite" and target.database != ":memory:"
