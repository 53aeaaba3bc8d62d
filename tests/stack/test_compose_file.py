"""docker-compose.yml, and those of the generated stacks, as Compose reads them: hardened, pinned, mounts that exist."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from mlvitals.generator.compose.network import on_the_network, prometheus_flags, service_name
from mlvitals.generator.spec.load import load_spec

REPOSITORY = Path(__file__).resolve().parent.parent.parent
COMPOSE = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
ONCE = {name for name, service in SERVICES.items() if service["restart"].startswith("on-failure")}
WITHOUT_A_CLIENT = {"fluent/fluent-bit"}
"""Images that hold nothing but the program, and a program that cannot ask itself: no health check could run in them."""
GENERATED = {
    file.parent.name: yaml.safe_load(file.read_text()) for file in REPOSITORY.glob("stack/*/docker-compose.yml")
}
EVERY = SERVICES | {
    f"{stack}/{name}": one for stack, all_ in GENERATED.items() for name, one in all_["services"].items()
}
every_service = pytest.mark.parametrize("service", EVERY.values(), ids=EVERY.keys())


def is_ours(service: dict) -> bool:
    """Whether the image is built here."""
    return re.fullmatch(r"mlvitals(-\w+)?:local", service["image"]) is not None


def folder_mounts(service: dict) -> list[tuple[str, str, str]]:
    """Source, target and mode of what is mounted from this repository."""
    volumes = service.get("volumes", [])
    parts = [(*mount.split(":"), "")[:3] for mount in volumes if isinstance(mount, str)]
    long = [
        (one["source"], one["target"], "ro" if one.get("read_only") else "") for one in volumes if isinstance(one, dict)
    ]
    return [(source, target, mode) for source, target, mode in (*parts, *long) if source.startswith((".", "/", "$"))]


@every_service
def test_a_service_can_gain_no_privilege(service):
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert not {"privileged", "cap_add", "pid", "ipc", "devices"} & service.keys()


@every_service
def test_a_service_writes_only_to_its_volumes_and_a_tmpfs(service):
    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp"]


@every_service
def test_a_service_is_reached_from_this_machine_alone(service):
    assert all(port.startswith("127.0.0.1:${") for port in service.get("ports", []))
    assert service.get("network_mode") in {None, "none"}


@every_service
def test_an_image_is_ours_or_pinned_to_a_release(service):
    assert is_ours(service) or re.search(r":v?\d+\.\d+\.\d+$", service["image"])


@every_service
def test_our_own_image_does_not_run_as_root(service):
    if is_ours(service):
        assert service["user"] in {"10001", "65534"}
    assert service.get("user") != "root"


def test_the_image_holds_every_package():
    configuration = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    sent = (REPOSITORY / ".dockerignore").read_text().splitlines()
    linked = [entry.resolve().name for entry in (REPOSITORY / "mlvitals").iterdir() if entry.is_symlink()]
    assert linked
    for package in (*configuration["tool"]["mypy"]["packages"], *linked):
        assert f"!{package}" in sent


def test_the_image_is_sent_nothing_that_is_gone():
    sent = [line.removeprefix("!") for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if "!" in line]
    assert [name for name in sent if not (REPOSITORY / name).exists()] == []


def test_the_past_is_loaded_by_the_release_of_prometheus_that_goes_on_with_it():
    assert f"FROM {SERVICES['prometheus']['image']} AS prometheus" in (REPOSITORY / "Dockerfile").read_text()


@every_service
def test_what_the_repository_mounts_is_read_only_and_no_socket(service):
    for source, _, mode in folder_mounts(service):
        assert mode == "ro", source
        assert "docker.sock" not in source


def test_what_is_mounted_exists_or_is_generated(streamrec_files):
    for name, service in SERVICES.items():
        for source, _, _ in folder_mounts(service):
            there = (REPOSITORY / source).exists() or any(path.startswith(f"{source[2:]}/") for path in streamrec_files)
            assert there, f"{name} mounts {source}"


@every_service
def test_a_service_that_stays_has_a_health_check_and_comes_back(service):
    if service["restart"].startswith("on-failure"):
        return
    assert service["restart"] == "unless-stopped"
    if service["image"].partition(":")[0] not in WITHOUT_A_CLIENT:
        assert service["healthcheck"]["test"][0] == "CMD"


def test_dependencies_wait_for_health_or_success():
    for service in SERVICES.values():
        for name, how in service.get("depends_on", {}).items():
            wanted = "service_completed_successfully" if name in ONCE else "service_healthy"
            assert how["condition"] == wanted, name


def test_every_named_volume_is_declared_and_used():
    used = {
        mount.split(":")[0]
        for service in SERVICES.values()
        for mount in service.get("volumes", [])
        if not mount.startswith((".", "/", "$"))
    }
    assert used == set(COMPOSE["volumes"])


def test_visitors_of_grafana_read_and_no_more():
    settings = SERVICES["grafana"]["environment"]
    assert settings["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    assert "GF_SECURITY_ADMIN_PASSWORD" not in settings
    assert settings["GF_SECURITY_ADMIN_PASSWORD__FILE"].startswith("/run/secrets/")


def test_prometheus_finds_every_process_by_the_name_of_its_service(streamrec_files):
    config = yaml.safe_load(streamrec_files["stack/streamrec/compose/prometheus.yml"])
    targets = [target for job in config["scrape_configs"] for target in job["static_configs"][0]["targets"]]
    assert targets == ["streamrec:8000", "exporter:9108", "localhost:9090", "alertmanager:9093"]
    assert config["alerting"]["alertmanagers"] == [{"static_configs": [{"targets": ["alertmanager:9093"]}]}]
    assert {target.split(":")[0] for target in targets} - {"localhost"} <= SERVICES.keys()


def test_the_rules_lie_where_prometheus_looks(streamrec_files):
    path = "stack/streamrec/compose/prometheus.yml"
    [rules] = yaml.safe_load(streamrec_files[path])["rule_files"]
    found = (Path("/etc/mlvitals") / path).parent / rules
    assert found.resolve() == Path("/etc/mlvitals/alert_rules/streamrec.rules.yml")
    assert "./alert_rules:/etc/mlvitals/alert_rules:ro" in SERVICES["prometheus"]["volumes"]


def test_prometheus_keeps_what_the_warm_tier_keeps(streamrec):
    assert prometheus_flags([streamrec], "m").splitlines() == ["# m", "--storage.tsdb.retention.time=90d"]
    assert "@/etc/mlvitals/stack/streamrec/compose/prometheus.flags" in SERVICES["prometheus"]["command"]


def test_only_addresses_differ_within_the_stack(streamrec):
    inside = on_the_network(streamrec)
    assert inside.features == streamrec.features
    assert inside.exporter.listen == streamrec.exporter.listen


def test_a_system_named_with_underscores_has_a_host_name(tmp_path):
    text = (REPOSITORY / "specs" / "streamrec.yaml").read_text().replace("name: streamrec ", "name: stream_rec ")
    path = tmp_path / "spec.yaml"
    path.write_text(text)
    assert service_name(load_spec(path)) == "stream-rec"


def test_scripts_of_the_stack_are_shell_and_stop_at_errors():
    for script in (REPOSITORY / "scripts" / "stack").glob("*.sh"):
        text = script.read_text()
        assert text.startswith("#!/bin/sh\n")
        assert "\nset -eu\n" in text
