"""What only the store in a folder has to show; what every store does is in test_store_behaviour."""

import sys

import msgspec
import pytest
from drift_samples import random, reference_of, spec_of

from mlvitals.exporters.reference.artifact import ArtifactError, version_of
from mlvitals.exporters.reference.stores import DirectoryStore, open_store

REFERENCE = reference_of(spec_of({"age": {}}), {"age": random().normal(size=500)})


@pytest.fixture
def store(tmp_path):
    return DirectoryStore(tmp_path / "references", "shop")


def artifact(store, version):
    return store.folder / version / "reference.json"


def put(store, text):
    version = version_of(text)
    path = artifact(store, version)
    path.parent.mkdir(parents=True)
    path.write_bytes(text)
    return version


def test_an_artifact_of_another_schema_version_is_refused_by_name(store):
    text = REFERENCE.to_json().replace(b"mlvitals.reference/1", b"mlvitals.reference/9")
    version = put(store, text)
    with pytest.raises(ArtifactError, match=rf"{version}/reference.json: the reference has the form"):
        store.load(version)


def test_an_artifact_of_another_system_is_refused(store):
    other = msgspec.structs.replace(REFERENCE, system="bank")
    with pytest.raises(ArtifactError, match="of system bank, this store keeps those of shop"):
        store.save(other)
    version = put(store, other.to_json())
    with pytest.raises(ArtifactError, match="is of system bank, not of shop"):
        store.load(version)


@pytest.mark.parametrize("name", ["../shop", "aliases/production", "", "/etc"])
def test_a_name_never_leads_out_of_the_store(store, name):
    store.promote(store.save(REFERENCE), "production")
    with pytest.raises(ArtifactError, match="no reference of shop is called"):
        store.load(name)


def test_a_damaged_alias_says_which_to_promote_again(store):
    store.promote(store.save(REFERENCE), "production")
    (store.folder / "aliases" / "production").write_bytes(b"\xff")
    with pytest.raises(ArtifactError, match="promote a version to 'production' again"):
        store.load("production")


def test_a_writer_that_died_leaves_no_version_behind(store):
    version = store.save(REFERENCE)
    (store.folder / version / ".writing-abc").write_bytes(b"half")
    (store.folder / "0123456789abcdef").mkdir()
    assert store.load(version) == REFERENCE
    assert [found.version for found in store.versions()] == [version]


def test_a_folder_that_cannot_be_written_is_an_error_with_its_path(tmp_path):
    (tmp_path / "file").write_text("in the way")
    store = DirectoryStore(tmp_path / "file", "shop")
    with pytest.raises(ArtifactError, match=r"file/shop/.* cannot be written"):
        store.save(REFERENCE)
    with pytest.raises(ArtifactError, match="cannot be read"):
        store.versions()


def test_a_relative_store_starts_at_the_specs_folder(tmp_path):
    open_store("references", tmp_path, "shop").save(REFERENCE)
    assert (tmp_path / "references" / "shop" / REFERENCE.version / "reference.json").exists()


def test_a_store_of_another_kind_is_a_clear_error(tmp_path):
    with pytest.raises(ArtifactError, match=r"s3://bucket/references.*set reference\.store to"):
        open_store("s3://bucket/references", tmp_path, "shop")


def test_a_store_on_mlflow_without_mlflow_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    monkeypatch.delitem(sys.modules, "mlvitals.exporters.reference.mlflow", raising=False)
    with pytest.raises(ArtifactError, match=r"pip install mlvitals\[mlflow\]") as caught:
        open_store("mlflow+http://me:secret@127.0.0.1:5000", tmp_path, "shop")
    assert "secret" not in str(caught.value)


def test_what_was_written_before_a_field_was_known_keeps_its_version(store):
    version = put(store, REFERENCE.to_json().replace(b',"model_version":null', b""))
    assert version != REFERENCE.version
    assert store.load(version).version == version
