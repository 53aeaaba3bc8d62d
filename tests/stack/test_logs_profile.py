"""The profile `logs` of the stack: Loki, its collector, and what both are told."""

import msgspec
import pytest
import yaml

from mlvitals.exporters.process.json_log import FILE_BYTES, FILES_ASIDE
from mlvitals.generator.compiler import compile_spec
from mlvitals.generator.grafana.provisioning import provisioning_files
from mlvitals.generator.logs import LABELS, loki_config
from mlvitals.generator.spec.model import Retention, Telemetry
from tests.conftest import REPOSITORY

SERVICES = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())["services"]
PROFILE = {name for name, service in SERVICES.items() if service.get("profiles") == ["logs"]}
FOLDER = "stack/streamrec/compose"


@pytest.fixture(scope="module")
def loki(streamrec_files):
    return yaml.safe_load(streamrec_files[f"{FOLDER}/loki.yml"])


@pytest.fixture(scope="module")
def collector(streamrec_files):
    return yaml.safe_load(streamrec_files[f"{FOLDER}/fluent-bit.yml"])


def mounts(service):
    return {target: (source, mode) for source, target, mode in ((*m.split(":"), "")[:3] for m in service["volumes"])}


def kept(streamrec, warm):
    telemetry = msgspec.structs.replace(streamrec.telemetry, retention=Retention(hot="1h", warm=warm))
    return yaml.safe_load(loki_config(msgspec.structs.replace(streamrec, telemetry=telemetry), "m", folder="/loki"))


# ---------------------------------------------------------------- the Compose file


def test_without_the_profile_nothing_of_it_starts_or_is_waited_for():
    assert {"loki", "collector", "collector-folder"} == PROFILE
    for name in SERVICES.keys() - PROFILE:
        assert not SERVICES[name].get("depends_on", {}).keys() & PROFILE, name


def test_loki_and_its_collector_are_reached_from_within_alone():
    assert all("ports" not in SERVICES[name] for name in PROFILE)


def test_nothing_of_the_profile_runs_as_root():
    assert all(SERVICES[name]["user"] == "10001" for name in PROFILE)


def test_the_collector_reads_the_log_files_and_cannot_write_them(collector):
    volume, mode = mounts(SERVICES["collector"])["/logs"]
    assert (volume, mode) == ("logs", "ro")
    assert collector["pipeline"]["inputs"][0]["path"].startswith("/logs/")


@pytest.mark.parametrize("service", ["exporter", "streamrec"])
def test_exporter_and_service_write_where_the_collector_reads(service):
    assert mounts(SERVICES[service])["/logs"] == ("logs", "")
    assert f"--log-file=/logs/{service}.jsonl" in SERVICES[service]["command"]


def test_loki_is_asked_by_its_own_program_because_its_image_holds_no_other():
    assert SERVICES["loki"]["healthcheck"]["test"][1:3] == ["/usr/bin/loki", "-health"]


def test_each_program_is_given_a_configuration_that_is_generated(streamrec_files):
    for service, option in (("loki", "-config.file="), ("collector", "--config=")):
        [command] = SERVICES[service]["command"]
        assert command.removeprefix(f"{option}/etc/mlvitals/") in streamrec_files


# ---------------------------------------------------------------- the collector


def test_its_positions_and_what_waits_survive_a_restart(collector):
    [tail] = collector["pipeline"]["inputs"]
    assert tail["db"].startswith("/collector/")
    assert tail["read_from_head"] is True
    assert tail["storage.type"] == "filesystem"
    assert collector["service"]["storage.path"].startswith("/collector/")
    assert mounts(SERVICES["collector"])["/collector"] == ("collector", "")


def test_while_loki_is_away_lines_wait_and_all_log_files_find_room(collector):
    [out] = collector["pipeline"]["outputs"]
    assert out["retry_limit"] == "no_limits"
    room = int(out["storage.total_limit_size"].removesuffix("M")) * 1_000_000
    assert room > 2 * FILE_BYTES * (1 + FILES_ASIDE)


def test_labels_are_few_and_bounded(collector, loki):
    [out] = collector["pipeline"]["outputs"]
    assert out["labels"] == "system=$system, service=$service, level=$level"
    assert loki["limits_config"]["max_label_names_per_series"] == len(LABELS)


def test_lines_lie_at_the_time_they_name(collector):
    [parser] = collector["parsers"]
    assert (parser["format"], parser["time_key"], parser["time_keep"]) == ("json", "time", False)
    assert parser["time_format"] == "%Y-%m-%dT%H:%M:%S.%LZ"


def test_it_listens_to_nobody(collector):
    assert "http_server" not in collector["service"]
    assert [item["name"] for item in collector["pipeline"]["inputs"]] == ["tail"]


# ---------------------------------------------------------------- Loki


def test_lines_are_kept_as_long_as_the_warm_tier(loki):
    assert loki["limits_config"]["retention_period"] == "90d"
    assert loki["compactor"]["retention_enabled"] is True


def test_a_backlog_is_taken_whole_however_old_and_in_whatever_order(loki, collector):
    """With Loki's own limits 59 of 15,001 lines of four weeks in three files were kept."""
    assert loki["limits_config"]["reject_old_samples"] is False
    behind_the_newest = int(loki["ingester"]["max_chunk_age"].removesuffix("h")) / 2
    assert behind_the_newest == 90 * 24
    assert loki["querier"]["query_ingesters_within"] == 0, "what is not flushed yet is found, however old"
    [tail] = collector["pipeline"]["inputs"]
    assert tail["buffer_max_size"] == "1M", "a line that names a thousand columns is whole"


def test_a_warm_tier_shorter_than_loki_allows_is_a_day(streamrec):
    assert kept(streamrec, "6h")["limits_config"]["retention_period"] == "24h"
    assert kept(streamrec, "2d")["limits_config"]["retention_period"] == "2d"


def test_it_writes_to_its_volume_alone_and_reports_to_nobody(loki):
    storage = loki["common"]["storage"]["filesystem"]
    paths = (*storage.values(), loki["compactor"]["working_directory"], loki["common"]["path_prefix"])
    assert all(path.split("/")[1] == "loki" for path in paths)
    assert "/loki" in mounts(SERVICES["loki"])
    assert loki["analytics"] == {"reporting_enabled": False}


def test_it_stores_by_todays_schema(loki):
    [schema] = loki["schema_config"]["configs"]
    assert (schema["store"], schema["schema"], schema["object_store"]) == ("tsdb", "v13", "filesystem")


def test_loki_adds_no_labels_of_its_own(loki):
    assert loki["limits_config"]["discover_service_name"] == []
    assert loki["limits_config"]["discover_log_levels"] is False


# ---------------------------------------------------------------- what is generated for whom


def test_grafana_finds_loki_by_the_name_of_its_service(streamrec_files):
    text = streamrec_files["stack/streamrec/grafana/provisioning/datasources/loki.yml"]
    [source] = yaml.safe_load(text)["datasources"]
    assert (source["type"], source["uid"], source["url"]) == ("loki", "loki", "http://loki:3100")
    assert "isDefault" not in source


def test_a_system_that_keeps_no_logs_gets_none_of_it(streamrec):
    without = msgspec.structs.replace(streamrec, telemetry=Telemetry())
    assert not [path for path in compile_spec(without, "s.yaml") if "loki" in path or "fluent" in path]
    given = provisioning_files([without], "m", prometheus_url="http://p:9090", loki_url="http://l:3100")
    assert "datasources/loki.yml" not in given
