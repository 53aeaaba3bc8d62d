import multiprocessing
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from drift_samples import NOON, random, reference_of, spec_of

from exporters.reference import ArtifactError, version_of
from exporters.stores import DirectoryStore, open_store

REFERENCE = reference_of(spec_of({"age": {}}), {"age": random().normal(size=500)})
LATER = msgspec.structs.replace(REFERENCE, created=NOON + timedelta(days=1), rows=7)


@pytest.fixture
def store(tmp_path):
    return DirectoryStore(tmp_path / "references", "shop")


def test_a_saved_reference_loads_by_version_and_by_alias(store):
    version = store.save(REFERENCE)
    store.promote(version, "production")
    assert version == REFERENCE.version
    assert store.load(version) == store.load("production") == REFERENCE


def test_an_alias_moves_to_another_version(store):
    old, new = store.save(REFERENCE), store.save(LATER)
    store.promote(old, "production")
    store.promote(new, "production")
    assert store.load("production") == LATER
    assert store.load(old) == REFERENCE


def test_saving_again_changes_nothing(store):
    assert store.save(REFERENCE) == store.save(REFERENCE)
    assert len(store.versions()) == 1


def test_versions_are_listed_newest_first_with_their_aliases(store):
    old, new = store.save(REFERENCE), store.save(LATER)
    store.promote(old, "production")
    store.promote(old, "canary")
    listed = [(found.version, found.aliases, found.created, found.rows) for found in store.versions()]
    assert listed == [(new, (), LATER.created, 7), (old, ("canary", "production"), REFERENCE.created, 500)]


def test_an_empty_store_has_no_versions_and_says_how_to_get_one(store):
    assert store.versions() == []
    with pytest.raises(
        ArtifactError, match=r"no reference of shop is called 'production' in .*mlvitals reference build"
    ):
        store.load("production")
    with pytest.raises(ArtifactError, match="no reference 0123456789abcdef of shop"):
        store.load("0123456789abcdef")


def artifact(store, version):
    return store.folder / version / "reference.json"


@pytest.mark.parametrize("damage", [lambda text: text[:-10], lambda text: text.replace(b"500", b"501"), lambda _: b""])
def test_a_damaged_artifact_is_refused_by_name_and_listed_as_a_problem(store, damage):
    version, sound = store.save(REFERENCE), store.save(LATER)
    path = artifact(store, version)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ArtifactError, match=rf"{version}/reference.json is damaged.*mlvitals reference build"):
        store.load(version)
    listed = store.versions()
    assert [found.version for found in listed] == [sound, version]
    assert "is damaged" in listed[1].problem


def test_saving_mends_a_damaged_artifact(store):
    version = store.save(REFERENCE)
    artifact(store, version).write_bytes(b"{")
    store.save(REFERENCE)
    assert store.load(version) == REFERENCE


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


def test_only_a_sound_version_can_be_promoted(store):
    version = store.save(REFERENCE)
    artifact(store, version).write_bytes(b"{")
    with pytest.raises(ArtifactError, match="damaged"):
        store.promote(version, "production")
    with pytest.raises(ArtifactError, match="is not a version"):
        store.promote("production", "canary")
    assert store.versions()[0].aliases == ()


@pytest.mark.parametrize("alias", ["", "../up", "Production", "a" * 41, "abcdefabcdefabcd", "x/y"])
def test_an_alias_is_a_plain_name_that_cannot_be_taken_for_a_version(store, alias):
    with pytest.raises(ArtifactError, match="cannot be an alias"):
        store.promote(store.save(REFERENCE), alias)


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
    assert [found.problem == "" for found in store.versions()] == [True, False]


def test_a_folder_that_cannot_be_written_is_an_error_with_its_path(tmp_path):
    (tmp_path / "file").write_text("in the way")
    store = DirectoryStore(tmp_path / "file", "shop")
    with pytest.raises(ArtifactError, match=r"file/shop/.* cannot be written"):
        store.save(REFERENCE)
    with pytest.raises(ArtifactError, match="cannot be read"):
        store.versions()


def write_often(path: Path, turn: int) -> None:
    store = DirectoryStore(path, "shop")
    for _ in range(20):
        version = store.save([REFERENCE, LATER][turn])
        store.promote(version, "production")
        assert store.load("production") in (REFERENCE, LATER)


def test_writers_at_the_same_time_never_disturb_each_other(store, tmp_path):
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write_often, args=(tmp_path / "references", turn)) for turn in (0, 1)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert len(store.versions()) == 2
    assert all(not found.problem for found in store.versions())


def test_a_relative_store_starts_at_the_specs_folder(tmp_path):
    open_store("references", tmp_path, "shop").save(REFERENCE)
    assert (tmp_path / "references" / "shop" / REFERENCE.version / "reference.json").exists()


@pytest.mark.parametrize("uri", ["mlflow+http://127.0.0.1:5000", "s3://bucket/references"])
def test_a_store_of_another_kind_is_a_clear_error(uri, tmp_path):
    with pytest.raises(ArtifactError, match=r"set reference\.store to"):
        open_store(uri, tmp_path, "shop")
