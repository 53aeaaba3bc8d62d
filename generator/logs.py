"""The path of log lines: Fluent Bit delivers them to Loki, which keeps them.

Processes write JSON lines to files (`exporters.process.json_log`); Fluent Bit reads the files, needs no rights over Docker for
it, remembers how far it is, and goes on there after a restart. Labels are few and bounded; everything else stays in the line.
"""

from mlvitals.generator.spec.durations import seconds
from mlvitals.generator.spec.model import SignalType, Spec
from mlvitals.generator.text_files import yaml_file

LOKI_PORT = 3100
LABELS = ("system", "service", "level")
"""The labels of Loki's streams: fields of every line, with a handful of values each."""
_SHORTEST_RETENTION = "24h"
"""Loki's minimum retention."""
_SCHEMA_SINCE = "2024-01-01"


def keeps_logs(spec: Spec) -> bool:
    """True if the system has telemetry of the type log: only then are there log lines to keep and to show."""
    return any(signal.type is SignalType.LOG for signal in spec.telemetry.signals.values())


def loki_config(spec: Spec, marker: str, *, folder: str) -> str:
    """Return Loki's configuration: one process, files below `folder`, the retention of the warm tier, no usage reports.

    Every line within the retention is accepted, in any order: a collector that starts late delivers the lines of weeks,
    from several files at once. Loki accepts lines that are less than half of `max_chunk_age` behind the newest one.
    """
    retention = max(spec.telemetry.retention.warm, _SHORTEST_RETENTION, key=seconds)
    document = {
        "auth_enabled": False,
        "analytics": {"reporting_enabled": False},
        "server": {
            "http_listen_port": LOKI_PORT,
            "grpc_listen_address": "127.0.0.1",
            "log_level": "warn",
        },
        "common": {
            "instance_addr": "127.0.0.1",
            "path_prefix": folder,
            "replication_factor": 1,
            "ring": {"kvstore": {"store": "inmemory"}},
            "storage": {
                "filesystem": {"chunks_directory": f"{folder}/chunks", "rules_directory": f"{folder}/rules"},
            },
        },
        "schema_config": {
            "configs": [
                {
                    "from": _SCHEMA_SINCE,
                    "store": "tsdb",
                    "object_store": "filesystem",
                    "schema": "v13",
                    "index": {"prefix": "index_", "period": "24h"},
                }
            ]
        },
        "ingester": {"max_chunk_age": f"{2 * seconds(retention) / 3600:.0f}h"},
        "querier": {"query_ingesters_within": 0},
        "compactor": {
            "working_directory": f"{folder}/compactor",
            "retention_enabled": True,
            "delete_request_store": "filesystem",
        },
        "limits_config": {
            "retention_period": retention,
            "reject_old_samples": False,
            "discover_service_name": [],
            "discover_log_levels": False,
            "max_label_names_per_series": len(LABELS),
        },
    }
    return yaml_file(document, marker)


def collector_config(marker: str, *, files: str, folder: str, loki_host: str) -> str:
    """Return Fluent Bit's configuration: it reads `files` from their start and sends each line to Loki, with the line's own time.

    Its positions and what Loki has not taken yet are kept below `folder`, so that a restart loses nothing.
    Rotated files are matched too: they are identified by their inode, and read to their end.
    """
    document = {
        "service": {
            "flush": 1,
            "log_level": "warn",
            "storage.path": f"{folder}/chunks",
        },
        "parsers": [
            {
                "name": "mlvitals",
                "format": "json",
                "time_key": "time",
                "time_format": "%Y-%m-%dT%H:%M:%S.%LZ",
                "time_keep": False,
            }
        ],
        "pipeline": {
            "inputs": [
                {
                    "name": "tail",
                    "tag": "logs",
                    "path": files,
                    "parser": "mlvitals",
                    "read_from_head": True,
                    "refresh_interval": 5,
                    "buffer_max_size": "1M",
                    "skip_long_lines": True,
                    "db": f"{folder}/positions.db",
                    "storage.type": "filesystem",
                }
            ],
            "outputs": [
                {
                    "name": "loki",
                    "match": "logs",
                    "host": loki_host,
                    "port": LOKI_PORT,
                    "labels": ", ".join(f"{label}=${label}" for label in LABELS),
                    "line_format": "json",
                    "retry_limit": "no_limits",
                    "storage.total_limit_size": "64M",
                }
            ],
        },
    }
    return yaml_file(document, marker)
