"""The stack of any spec: one command brings it up, whatever the spec names, alone or together with others."""

import posixpath
import subprocess
from functools import cache
from pathlib import Path

import msgspec
import pytest
import yaml
from command_line import mlvitals
from compose_schema import problems

from mlvitals.generator.compiler import compile_spec, compile_stack
from mlvitals.generator.compose.mounts import Mount, mounts
from mlvitals.generator.spec.load import load_spec, parse_spec
from mlvitals.generator.spec.model import Part, Spec
from mlvitals.generator.spec.walk import path_fields, sections

REPOSITORY = Path(__file__).resolve().parents[2]
FRAUD = """\
version: 1
system: {name: fraud}
prediction_log: {path: data/predictions, score: score}
features:
  amount: {minimum: 0}
  country: {type: categorical}
"""


@cache
def stack_of(text: str, path: str = "fraud.yaml") -> dict:
    return yaml.safe_load(
        compile_spec(parse_spec(text), path.rpartition("/")[2], path)["stack/fraud/docker-compose.yml"]
    )


def targets(service: dict) -> dict[str, str]:
    """What is mounted where: target to source."""
    long = {mount["target"]: mount["source"] for mount in service["volumes"] if isinstance(mount, dict)}
    short = (mount.split(":") for mount in service["volumes"] if isinstance(mount, str))
    return long | {parts[1]: parts[0] for parts in short}


# ---------------------------------------------------------------- the file


COMMITTED = [REPOSITORY / "docker-compose.yml", *sorted(REPOSITORY.glob("stack/*/docker-compose.yml"))]


@cache
def together(*more: str) -> dict:
    specs = [
        (load_spec(REPOSITORY / "specs" / f"{name}.yaml"), f"specs/{name}.yaml") for name in ("streamrec", "flights")
    ]
    specs += [(parse_spec(text), "fraud.yaml") for text in more]
    return yaml.safe_load(compile_stack("all", specs)["stack/all/docker-compose.yml"])


@pytest.mark.parametrize("file", COMMITTED, ids=lambda file: str(file.relative_to(REPOSITORY)))
def test_compose_accepts_every_stack(file):
    assert problems(yaml.safe_load(file.read_text())) == []


def test_compose_accepts_the_stack_of_ten_lines_and_one_that_systems_share():
    assert problems(stack_of(FRAUD)) == []
    assert problems(together(FRAUD)) == []


def test_a_key_that_compose_does_not_know_is_refused():
    assert problems({"services": {"a": {"image": "x", "cap_dorp": ["ALL"]}}})


def test_the_repository_s_own_stack_runs_the_same_servers_in_the_same_way():
    """Images, user, ports, hardening and environment; what its history and its own image need is its own."""
    own = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())["services"]
    generated = yaml.safe_load((REPOSITORY / "stack/streamrec/docker-compose.yml").read_text())["services"]
    common = own.keys() & generated.keys() - {"exporter"}
    assert common >= {"prometheus", "alertmanager", "grafana", "inbox", "loki", "collector"}
    apart = {"volumes", "depends_on", "extra_hosts", "secrets", "build"}
    for name in common:
        ours = "build" in generated[name]
        left, right = (
            {key: value for key, value in stack[name].items() if key not in apart and not (ours and key == "image")}
            for stack in (own, generated)
        )
        assert left == right, name


# ---------------------------------------------------------------- what the exporter reads and writes


def test_the_spec_finds_its_files_at_the_same_relative_paths():
    exporter = stack_of(FRAUD)["services"]["exporter"]
    assert exporter["command"][:2] == ["export", "/srv/fraud/fraud.yaml"]
    assert targets(exporter) == {
        "/srv/fraud/fraud.yaml": "../../fraud.yaml",
        "/srv/fraud/data/predictions": "../../data/predictions",
        "/srv/fraud/references": "../../references",
        "/srv/fraud": "var",
    }


def test_paths_that_lead_upwards_keep_their_places():
    spec = FRAUD.replace("data/predictions", "../../lake/predictions")
    exporter = stack_of(spec, "team/specs/fraud.yaml")["services"]["exporter"]
    found = targets(exporter)
    assert found["/srv/fraud/lake/predictions"] == "../../lake/predictions"
    assert found[exporter["command"][1]] == "../../team/specs/fraud.yaml"
    written = posixpath.normpath(posixpath.join(posixpath.dirname(exporter["command"][1]), "../../lake/predictions"))
    assert written == "/srv/fraud/lake/predictions"


def test_a_folder_that_is_missing_is_named_by_compose_and_not_made():
    binds = [mount for mount in stack_of(FRAUD)["services"]["exporter"]["volumes"] if isinstance(mount, dict)]
    assert [mount["bind"] for mount in binds] == [{"create_host_path": False}] * len(binds)


def test_what_is_read_cannot_be_written():
    assert [mount for mount in mounts(parse_spec(FRAUD), "fraud.yaml").read if mount.writable] == []


def test_results_within_what_is_read_stay_there():
    text = FRAUD + "results: {url: 'sqlite:///data/results.db'}\n"
    found = mounts(parse_spec(text.replace("data/predictions", "data")), "fraud.yaml")
    assert found.written == ()
    assert Mount("data", "/srv/fraud/data", writable=True) in found.read


def test_a_file_is_mounted_with_its_folder_for_one_that_is_replaced_would_stay_the_old_one():
    found = mounts(parse_spec(FRAUD.replace("data/predictions", "data/log.csv, format: csv")), "fraud.yaml")
    assert Mount("data", "/srv/fraud/data") in found.read


def test_a_store_of_objects_and_a_server_need_no_mount():
    text = FRAUD.replace("data/predictions", "s3://lake/predictions") + (
        "results: {url: postgresql+psycopg://ml@db/ml, password_file: secrets/db}\nreference: {store: s3://lake/references}\n"
    )
    files = compile_spec(parse_spec(text), "fraud.yaml", "fraud.yaml")
    exporter = yaml.safe_load(files["stack/fraud/docker-compose.yml"])["services"]["exporter"]
    assert targets(exporter) == {
        "/srv/fraud/fraud.yaml": "../../fraud.yaml",
        "/srv/fraud/secrets/db": "../../secrets/db",
    }
    assert "mlvitals[measure,postgres]" in files["stack/fraud/Dockerfile"]


def replaced(value: object, old: Part, new: Part) -> object:
    """A spec with one section in the place of another."""
    if value is old:
        return new
    if isinstance(value, Part):
        return msgspec.structs.replace(
            value, **{name: replaced(getattr(value, name), old, new) for name in value.__struct_fields__}
        )
    if isinstance(value, dict):
        return {key: replaced(each, old, new) for key, each in value.items()}
    return tuple(replaced(each, old, new) for each in value) if isinstance(value, tuple) else value


def test_every_path_of_the_spec_language_is_mounted_or_passed_by_on_purpose(streamrec: Spec):
    """A path that a later release adds is mounted too: each is set in turn."""
    fields = [(path, section, field) for path, section in sections(streamrec) for field in path_fields(type(section))]
    assert len(fields) > 10
    for path, section, field in fields:
        changed = replaced(streamrec, section, msgspec.structs.replace(section, **{field.name: "odd/place"}))
        mounted = {mount.source for mount in mounts(changed, "s.yaml").read}
        assert ("odd/place" in mounted) is (path[0] != "routing"), (*path, field.name)


def test_odd_names_are_neither_options_nor_variables():
    text = FRAUD.replace("data/predictions", '"a:b $HOME ${x}"')
    mounted = [mount for mount in stack_of(text)["services"]["exporter"]["volumes"] if isinstance(mount, dict)]
    assert "../../a:b $$HOME $${x}" in [mount["source"] for mount in mounted]


# ---------------------------------------------------------------- the image


def test_the_image_s_folders_belong_to_its_user():
    files = compile_spec(parse_spec(FRAUD), "fraud.yaml", "fraud.yaml")
    stack = yaml.safe_load(files["stack/fraud/docker-compose.yml"])
    owned = files["stack/fraud/Dockerfile"].split("chown 10001 ")[1].splitlines()[0].split()
    of_ours = [one for one in stack["services"].values() if one.get("build") == "."]
    volumes = [mount.split(":") for one in of_ours for mount in one["volumes"] if isinstance(mount, str)]
    assert {target for _, target, *mode in volumes} <= set(owned)
    assert {one["user"] for one in of_ours} == {"10001"}


def test_an_image_that_the_spec_names_is_the_base():
    files = compile_spec(parse_spec(FRAUD + "exporter: {image: registry.example/ml:1.2}\n"), "fraud.yaml")
    lines = files["stack/fraud/Dockerfile"].splitlines()
    assert lines[1:3] == ["FROM registry.example/ml:1.2", "USER root"]
    assert "USER 10001" in lines


def test_a_password_is_generated_once_and_taken_from_the_environment(tmp_path):
    [_, _, script] = stack_of(FRAUD)["services"]["password"]["entrypoint"]
    script = script.replace("$$", "$").replace("/secrets/grafana", str(tmp_path))

    def password(given: str = "") -> str:
        environment = {"PATH": "/usr/bin:/bin:/usr/local/bin", "GRAFANA_ADMIN_PASSWORD": given}
        subprocess.run(["/bin/sh", "-c", script.replace("python ", "python3 ")], env=environment, check=True)
        return (tmp_path / "admin_password").read_text()

    first = password()
    assert len(first) >= 24
    assert password() == first
    assert password("mine") == "mine"


# ---------------------------------------------------------------- receivers


def test_without_receivers_the_inbox_plays_them():
    files = compile_spec(parse_spec(FRAUD), "fraud.yaml")
    stack = yaml.safe_load(files["stack/fraud/docker-compose.yml"])
    routes = yaml.safe_load(files["stack/fraud/compose/alertmanager.yml"])
    assert "inbox" in stack["services"]
    assert {route["receiver"] for route in routes["route"]["routes"]} == {"inbox", "nobody"}
    assert any(part.endswith("compose/alertmanager.yml") for part in stack["services"]["alertmanager"]["command"])


@pytest.mark.parametrize("named", ["warning: team", "info: team", "critical: nobody\n  warning: nobody"])
def test_the_inbox_plays_no_receiver_that_the_spec_decides(named):
    receivers = "routing:\n  receivers: {team: {webhook: {url: 'https://team.example'}}}\n  watchdog: team\n"
    assert "inbox" not in stack_of(f"{FRAUD}{receivers}  {named}\n")["services"]


def test_with_receivers_there_is_no_inbox_and_the_secrets_are_where_alertmanager_looks():
    text = FRAUD + (
        "routing:\n  receivers:\n    team: {slack: {channel: '#f', webhook_file: /run/secrets/slack}}\n"
        "    dead: {webhook: {url: 'https://dead.example'}}\n  warning: team\n  critical: team\n  watchdog: dead\n"
    )
    stack = stack_of(text)
    assert "inbox" not in stack["services"]
    assert stack["secrets"] == {"slack": {"file": "./secrets/slack"}}
    assert stack["services"]["alertmanager"]["secrets"] == [{"source": "slack", "target": "/run/secrets/slack"}]


def test_secrets_are_seen_by_alertmanager_alone_and_never_committed_or_sent():
    stack = yaml.safe_load((REPOSITORY / "stack/streamrec/docker-compose.yml").read_text())
    whole = {name for name, one in stack["services"].items() if any(str(m).startswith(".:") for m in one["volumes"])}
    assert whole == {"alertmanager"}
    assert "/secrets/" in (REPOSITORY / "stack/streamrec/.gitignore").read_text()
    assert "secrets" not in (REPOSITORY / "stack/streamrec/.dockerignore").read_text()


# ---------------------------------------------------------------- addresses


def test_an_application_on_this_machine_is_reached_from_the_stack():
    files = compile_spec(
        parse_spec(FRAUD + "serving: {targets: ['127.0.0.1:8001', 'ml-1.example:8000']}\n"), "fraud.yaml"
    )
    config = yaml.safe_load(files["stack/fraud/compose/prometheus.yml"])
    stack = yaml.safe_load(files["stack/fraud/docker-compose.yml"])
    assert config["scrape_configs"][0]["static_configs"][0]["targets"] == ["fraud:8001", "ml-1.example:8000"]
    assert stack["services"]["prometheus"]["extra_hosts"] == ["fraud:host-gateway"]


def test_several_systems_share_one_prometheus_alertmanager_and_grafana():
    stack = together(FRAUD)
    names = set(stack["services"])
    assert names >= {
        "streamrec-exporter",
        "flights-exporter",
        "fraud-exporter",
        "prometheus",
        "alertmanager",
        "grafana",
    }
    assert len([name for name in names if "prometheus" in name]) == 1
    volumes = [mount.split(":")[0] for name in names if name.endswith("-exporter")
               for mount in stack["services"][name]["volumes"] if isinstance(mount, str) and "var" in mount]  # fmt: skip
    assert len(volumes) == len(set(volumes)) == 3


def test_what_the_shared_servers_read_is_accepted(amtool, promtool, tmp_path):
    specs = [
        (load_spec(REPOSITORY / "specs" / f"{name}.yaml"), f"specs/{name}.yaml") for name in ("streamrec", "flights")
    ]
    files = compile_stack("all", specs)
    for spec, path in specs:
        files |= {name: text for name, text in compile_spec(spec, path[6:]).items() if name.startswith("alert_rules")}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    for command in (
        [amtool, "check-config", tmp_path / "stack/all/compose/alertmanager.yml"],
        [promtool, "check", "config", tmp_path / "stack/all/compose/prometheus.yml"],
    ):
        checked = subprocess.run(command, capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stdout + checked.stderr


def test_a_shared_stack_stays_when_one_of_its_specs_is_compiled_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("fraud", "churn"):
        Path(f"{name}.yaml").write_text(FRAUD.replace("fraud", name))
    assert mlvitals("compile", "fraud.yaml", "churn.yaml", "--stack", "both").returncode == 0
    assert mlvitals("compile", "fraud.yaml").returncode == 0
    assert Path("stack/both/docker-compose.yml").exists()
    Path("churn.yaml").unlink()
    assert mlvitals("compile", "fraud.yaml").returncode == 0
    assert not Path("stack/both").exists()


def test_a_stack_cannot_have_the_name_of_a_system(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("fraud.yaml").write_text(FRAUD)
    done = mlvitals("compile", "fraud.yaml", "--stack", "fraud")
    assert done.returncode == 1
    assert "give --stack another name" in done.stderr
