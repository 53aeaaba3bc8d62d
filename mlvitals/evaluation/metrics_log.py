"""Metrics of a serving application over time, as Parquet: one row for each sample.

Columns: `timestamp`, `name` of the series, `labels` as a JSON object with sorted keys, `value`. This is the
result of a remote read of Prometheus, as a table.
"""

import json
from collections.abc import Mapping

import pyarrow as pa

TIMESTAMP, NAME, LABELS, VALUE = "timestamp", "name", "labels", "value"
SCHEMA = pa.schema(
    [
        (TIMESTAMP, pa.timestamp("ms", tz="UTC")),
        (NAME, pa.dictionary(pa.int32(), pa.string())),
        (LABELS, pa.dictionary(pa.int32(), pa.string())),
        (VALUE, pa.float64()),
    ]
)


def labels_text(labels: Mapping[str, str]) -> str:
    """Encode labels for the table."""
    return json.dumps(dict(sorted(labels.items())), ensure_ascii=False, separators=(",", ":"))


def labels_of(text: str) -> frozenset[tuple[str, str]]:
    """Parse labels; an empty label is dropped, as in Prometheus.

    Raises:
        ValueError: the text is not a JSON object of strings.
    """
    labels = json.loads(text)
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        raise ValueError(f"{text!r} is not a JSON object of strings")
    return frozenset((name, value) for name, value in labels.items() if value)
