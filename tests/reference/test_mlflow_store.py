"""What only the store on MLflow has to show, on a real MLflow with its SQLite file."""

import shutil
import socket

import msgspec
import pytest
from drift_samples import random, reference_of, spec_of

from mlvitals.exporters.reference.artifact import ArtifactError
from mlvitals.exporters.reference.stores import open_store

REFERENCE = reference_of(spec_of({"age": {}}), {"age": random().normal(size=500)})
TAG = "mlvitals.reference.shop"
pytestmark = pytest.mark.slow


@pytest.fixture
def store(tmp_path, blank_mlflow):
    shutil.copy(blank_mlflow, tmp_path)
    return open_store("mlflow+sqlite:///mlflow.db", tmp_path, "shop")


@pytest.fixture
def client(tmp_path, store):
    from mlflow import MlflowClient

    return MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")


def trained_with(model_version):
    return msgspec.structs.replace(REFERENCE, model_version=model_version)


@pytest.fixture
def run(client):
    training = client.create_experiment("training", artifact_location="file:///nowhere")
    return client.create_run(training).info.run_id


@pytest.mark.parametrize("prefix", ["", "models:/"])
def test_the_version_is_a_tag_of_the_registered_model_version_it_was_computed_with(store, client, run, prefix):
    client.create_registered_model("fraud")
    client.create_model_version("fraud", "file:///nowhere", run)
    version = store.save(trained_with(f"{prefix}fraud/1"))
    assert client.get_model_version("fraud", "1").tags == {TAG: version}
    assert store.versions()[0].model_version == f"{prefix}fraud/1"


def test_the_version_is_a_tag_of_the_run_that_trained_the_model(store, client, run):
    version = store.save(trained_with(run))
    assert client.get_run(run).data.tags[TAG] == version


@pytest.mark.parametrize("unknown", ["fraud/9", "0" * 32])
def test_a_model_version_that_mlflow_does_not_know_is_refused_and_nothing_is_stored(store, unknown):
    with pytest.raises(ArtifactError, match=f"no model version {unknown} .*give the NAME/NUMBER"):
        store.save(trained_with(unknown))
    assert store.versions() == []


def test_any_other_name_of_a_model_version_is_noted_on_the_run(store, client):
    version = store.save(trained_with("2026-03-01"))
    experiment = client.get_experiment_by_name("mlvitals-references-shop")
    (stored,) = client.search_runs([experiment.experiment_id])
    tags = stored.data.tags
    assert (tags["mlvitals.version"], tags["mlvitals.model_version"]) == (version, "2026-03-01")
    assert (tags["mlvitals.rows"], tags["mlvitals.created"]) == ("500", "2026-03-03T12:00:00+00:00")
    assert stored.info.status == "FINISHED"


def test_artifacts_lie_beside_the_sqlite_file_whatever_folder_one_is_in(store, tmp_path):
    store.save(REFERENCE)
    assert [path.name for path in (tmp_path / "mlflow.artifacts").iterdir()] == ["mlvitals-references-shop"]


def test_two_runs_of_the_same_version_are_one_version_and_either_serves(store, client, tmp_path):
    version = store.save(REFERENCE)
    experiment = client.get_experiment_by_name("mlvitals-references-shop").experiment_id
    double = client.create_run(experiment, tags={"mlvitals.version": version}).info.run_id
    assert len(store.versions()) == 1
    assert store.load(version) == REFERENCE
    client.log_text(double, "half", "reference.json")
    assert store.load(version) == REFERENCE


def test_a_deleted_run_is_an_unknown_version(store, client):
    version = store.save(REFERENCE)
    experiment = client.get_experiment_by_name("mlvitals-references-shop").experiment_id
    (stored,) = client.search_runs([experiment])
    client.delete_run(stored.info.run_id)
    with pytest.raises(ArtifactError, match=f"no reference {version} of shop"):
        store.load(version)


def test_a_deleted_experiment_says_how_to_restore_it(store, client):
    store.save(REFERENCE)
    experiment = client.get_experiment_by_name("mlvitals-references-shop").experiment_id
    client.delete_experiment(experiment)
    with pytest.raises(ArtifactError, match=f"mlflow experiments restore -x {experiment}"):
        store.load("production")


def test_a_damaged_alias_says_which_to_promote_again(store, client):
    store.promote(store.save(REFERENCE), "production")
    experiment = client.get_experiment_by_name("mlvitals-references-shop").experiment_id
    client.set_experiment_tag(experiment, "mlvitals.alias.production", "the last one")
    with pytest.raises(ArtifactError, match="promote a version to 'production' again"):
        store.load("production")


def test_an_artifact_of_another_schema_version_is_refused_by_its_run(store, tmp_path, monkeypatch):
    old = REFERENCE.to_json().replace(b"mlvitals.reference/1", b"mlvitals.reference/9")
    monkeypatch.setattr(type(REFERENCE), "to_json", lambda _: old)
    version = store.save(REFERENCE)
    with pytest.raises(ArtifactError, match=r"run [0-9a-f]{32} of MLflow experiment .*build it again"):
        store.load(version)


def test_more_versions_than_mlflow_shows_at_once_are_all_found(store, client, monkeypatch):
    searched = type(client).search_runs
    monkeypatch.setattr(
        type(client), "search_runs", lambda self, ids, page_token=None: searched(self, ids, "", 1, 2, None, page_token)
    )
    saved = {store.save(msgspec.structs.replace(REFERENCE, rows=rows)) for rows in range(5)}
    assert {found.version for found in store.versions()} == saved


def test_a_file_that_is_no_database_is_an_error_with_its_place(store, tmp_path):
    (tmp_path / "mlflow.db").write_text("this is no database, whatever it says" * 100)
    with pytest.raises(ArtifactError, match=r"MLflow experiment mlvitals-references-shop at sqlite:.*not a database"):
        store.versions()


@pytest.mark.parametrize(
    "uri", ["file:///mlruns", "sqlite://", "sqlite:///:memory:", "databricks", "postgresql://x/y", ""]
)
def test_an_mlflow_of_another_kind_is_refused_with_what_there_is(uri, tmp_path, blank_mlflow):
    with pytest.raises(ArtifactError, match=r"mlflow\+http://SERVER"):
        open_store(f"mlflow+{uri}", tmp_path, "shop")


def test_a_server_that_does_not_answer_is_an_error_without_its_password(tmp_path, monkeypatch, blank_mlflow):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    store = open_store(f"mlflow+http://me:secret@127.0.0.1:{port}", tmp_path, "shop")
    with pytest.raises(ArtifactError, match=f"http://me:.*@127.0.0.1:{port}") as caught:
        store.versions()
    assert "secret" not in str(caught.value)
