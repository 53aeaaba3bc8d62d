"""Metrics that a serving application published over time, as Parquet: a row for each sample.

Columns: `timestamp`, `name` of the series, `labels` as a JSON object with sorted keys, `value`. This is what a remote
read of Prometheus gives, in a table.
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
    """Labels as the table holds them."""
    return json.dumps(dict(sorted(labels.items())), ensure_ascii=False, separators=(",", ":"))


def labels_of(text: str) -> frozenset[tuple[str, str]]:
    """The labels in a text; an empty one is none, as it is to Prometheus.

    Raises:
        ValueError: the text is no JSON object of texts.
    """
    labels = json.loads(text)
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        raise ValueError(f"{text!r} is not a JSON object of strings")
    return frozenset((name, value) for name, value in labels.items() if value)
