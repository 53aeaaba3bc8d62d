"""What every reference store does, shown on a folder and on a real MLflow with its SQLite file."""

import importlib
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from drift_samples import NOON, random, reference_of, spec_of

from mlvitals.exporters.reference.artifact import ArtifactError, Reference
from mlvitals.exporters.reference.stores import open_store
from mlvitals.exporters.reference.versions import ReferenceStore

REFERENCE = reference_of(spec_of({"age": {}}), {"age": random().normal(size=500)})
LATER = msgspec.structs.replace(REFERENCE, created=NOON + timedelta(days=1), rows=7, model_version="2026-03-01")
URIS = {"folder": "references", "mlflow": "mlflow+sqlite:///mlflow.db"}
PROCESS = multiprocessing.get_context("forkserver")
"""A process starts as a copy of one that has imported what all need, and nothing of what the tests did since."""
PROCESS.set_forkserver_preload(["mlflow", "mlvitals.exporters.reference.mlflow", "drift_samples"])


@dataclass(frozen=True)
class Place:
    """Where a store is: any process can open it there."""

    base: Path
    uri: str

    def open(self) -> ReferenceStore:
        return open_store(self.uri, self.base, "shop")

    def artifacts(self) -> list[Path]:
        return sorted(self.base.rglob("reference.json"))

    def damage(self, change: Callable[[bytes], bytes]) -> None:
        """Change every stored artifact."""
        for path in self.artifacts():
            path.write_bytes(change(path.read_bytes()))


@pytest.fixture(params=["folder", pytest.param("mlflow", marks=pytest.mark.slow)])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    if request.param == "mlflow":
        shutil.copy(request.getfixturevalue("blank_mlflow"), tmp_path)
    monkeypatch.chdir(tmp_path.parent)
    return Place(tmp_path, URIS[request.param])


@pytest.fixture
def store(place: Place) -> Iterator[ReferenceStore]:
    return place.open()


def versions(store: ReferenceStore) -> list[str]:
    return [found.version for found in store.versions()]


def test_a_saved_reference_loads_by_version_and_by_alias(store):
    version = store.save(REFERENCE)
    store.promote(version, "production")
    assert version == REFERENCE.version
    assert store.load(version) == store.load("production") == REFERENCE


def test_what_one_process_stored_another_finds(place):
    place.open().promote(place.open().save(REFERENCE), "production")
    assert place.open().load("production") == REFERENCE


def test_an_alias_moves_to_another_version(store):
    old, new = store.save(REFERENCE), store.save(LATER)
    store.promote(old, "production")
    store.promote(new, "production")
    assert store.load("production") == LATER
    assert store.load(old) == REFERENCE


def test_saving_again_changes_nothing(store, place):
    assert store.save(REFERENCE) == store.save(REFERENCE)
    assert versions(store) == [REFERENCE.version]
    assert len(place.artifacts()) == 1


def test_versions_are_listed_newest_first_with_aliases_and_model_versions(store):
    old, new = store.save(REFERENCE), store.save(LATER)
    store.promote(old, "production")
    store.promote(old, "canary")
    listed = [
        (found.version, found.aliases, found.created, found.rows, found.model_version) for found in store.versions()
    ]
    assert listed == [
        (new, (), LATER.created, 7, "2026-03-01"),
        (old, ("canary", "production"), REFERENCE.created, 500, None),
    ]


def test_an_empty_store_has_no_versions_and_says_how_to_get_one(store, place):
    assert store.versions() == []
    with pytest.raises(
        ArtifactError, match=r"no reference of shop is called 'production' in .*mlvitals reference build"
    ):
        store.load("production")
    with pytest.raises(ArtifactError, match="no reference 0123456789abcdef of shop"):
        store.load("0123456789abcdef")
    with pytest.raises(ArtifactError, match="no reference 0123456789abcdef of shop"):
        store.promote("0123456789abcdef", "production")


def test_looking_for_a_store_that_is_not_there_makes_none(place, tmp_path):
    nowhere = Place(tmp_path / "nowhere", place.uri)
    assert nowhere.open().versions() == []
    with pytest.raises(ArtifactError, match="no reference of shop is called 'production'"):
        nowhere.open().load("production")
    assert not nowhere.base.exists()


def test_an_unknown_version_or_alias_beside_known_ones_is_named(store):
    store.promote(store.save(REFERENCE), "production")
    with pytest.raises(ArtifactError, match=r"no reference 0123456789abcdef of shop.*mlvitals reference build"):
        store.load("0123456789abcdef")
    with pytest.raises(ArtifactError, match="no reference of shop is called 'canary'"):
        store.load("canary")
    with pytest.raises(ArtifactError, match=r"no reference of shop is called 'x/\.\./y'"):
        store.load("x/../y")


@pytest.mark.parametrize("damage", [lambda text: text[:-10], lambda text: text.replace(b"500", b"501"), lambda _: b""])
def test_a_damaged_artifact_is_refused_by_name_and_listed_as_a_problem(store, place, damage):
    version = store.save(REFERENCE)
    place.damage(damage)
    sound = store.save(LATER)
    with pytest.raises(ArtifactError, match=rf"is damaged.*not that of {version}.*mlvitals reference build"):
        store.load(version)
    listed = store.versions()
    assert [found.version for found in listed] == [sound, version]
    assert "is damaged" in listed[1].problem


def test_a_lost_artifact_is_refused_with_the_remedy(store, place):
    version = store.save(REFERENCE)
    for path in place.artifacts():
        path.unlink()
    with pytest.raises(ArtifactError, match="mlvitals reference build"):
        store.load(version)


def test_saving_mends_a_damaged_artifact(store, place):
    version = store.save(REFERENCE)
    place.damage(lambda _: b"{")
    assert store.save(REFERENCE) == version
    assert store.load(version) == REFERENCE
    assert versions(store) == [version]


def test_a_reference_of_another_system_is_refused_with_the_remedy(store):
    other = msgspec.structs.replace(REFERENCE, system="bank")
    with pytest.raises(ArtifactError, match="of system bank, this store keeps those of shop: build one"):
        store.save(other)


def test_two_systems_share_a_place_and_see_only_their_own(place):
    bank = open_store(place.uri, place.base, "bank")
    bank.save(msgspec.structs.replace(REFERENCE, system="bank"))
    assert place.open().versions() == []
    assert len(bank.versions()) == 1


def test_only_a_sound_version_can_be_promoted(store, place):
    version = store.save(REFERENCE)
    place.damage(lambda _: b"{")
    with pytest.raises(ArtifactError, match="damaged"):
        store.promote(version, "production")
    with pytest.raises(ArtifactError, match="is not a version"):
        store.promote("production", "canary")
    assert store.versions()[0].aliases == ()


@pytest.mark.parametrize("alias", ["", "../up", "Production", "a" * 41, "abcdefabcdefabcd", "x/y"])
def test_an_alias_is_a_plain_name_that_cannot_be_taken_for_a_version(store, alias):
    with pytest.raises(ArtifactError, match="cannot be an alias"):
        store.promote(REFERENCE.version, alias)


# ---------------------------------------------------------------- several processes, and dying ones


def save_and_promote_often(place: Place, own: Reference, other: Reference) -> None:
    store = place.open()
    for _ in range(5):
        store.promote(store.save(own), "production")
        assert store.load("production") in (own, other)


@pytest.mark.slow
def test_writers_at_the_same_time_never_disturb_each_other_not_even_where_there_was_no_store(place):
    place = Place(place.base / "new", place.uri)
    writers = [
        PROCESS.Process(target=save_and_promote_often, args=(place, own, other))
        for own, other in ((REFERENCE, LATER), (LATER, REFERENCE), (REFERENCE, LATER))
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    store = place.open()
    assert set(versions(store)) == {REFERENCE.version, LATER.version}
    assert [found.problem for found in store.versions()] == ["", ""]
    assert store.load("production") in (REFERENCE, LATER)


def die(*_arguments: object, **_options: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def save_and_die_at(place: Place, victim: str, name: str) -> None:
    module = importlib.import_module(victim)
    owner, _, attribute = name.rpartition(".")
    setattr(getattr(module, owner) if owner else module, attribute, die)
    place.open().save(LATER)


KILLED_AT = {
    "folder": [("os", "fsync"), ("pathlib", "Path.replace")],
    "mlflow": [("mlflow", f"MlflowClient.{call}") for call in ("log_text", "set_tag", "update_run")],
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "victim", "name"),
    [pytest.param(kind, *at, id=f"{kind}-{at[1]}") for kind, moments in KILLED_AT.items() for at in moments],
    indirect=["place"],
)
def test_a_writer_killed_at_any_moment_leaves_the_old_state_or_the_new_one(place, victim, name):
    store = place.open()
    old = store.save(REFERENCE)
    store.promote(old, "production")
    writer = PROCESS.Process(target=save_and_die_at, args=(place, victim, name))
    writer.start()
    writer.join()
    assert writer.exitcode == -signal.SIGKILL
    assert store.load("production") == REFERENCE
    assert set(versions(store)) - {LATER.version} == {old}
    assert [found.problem for found in store.versions()] == [""] * len(versions(store))
    assert store.save(LATER) == LATER.version
    assert store.load(LATER.version) == LATER
