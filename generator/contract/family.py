"""A metric family and its publisher."""

from dataclasses import dataclass
from enum import StrEnum


class MetricType(StrEnum):
    """Prometheus metric types in use."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Producer(StrEnum):
    """The publisher of a family."""

    SERVING = "serving"
    EXPORTER = "exporter"
    PROCESS = "process"
    PROMETHEUS = "prometheus"


@dataclass(frozen=True, slots=True)
class Family:
    """A metric family as its TYPE and HELP lines describe it.

    The modules of the sections give it its short name, to which the contract of a system adds the prefix.
    """

    name: str
    type: MetricType
    help: str
    labels: tuple[str, ...]
    producer: Producer
    buckets: tuple[float, ...] = ()

    @property
    def series_names(self) -> tuple[str, ...]:
        """The names under which its samples are stored."""
        if self.type is MetricType.HISTOGRAM:
            return tuple(f"{self.name}_{suffix}" for suffix in ("bucket", "sum", "count"))
        return (self.name,)


def gauge(name: str, text: str, *labels: str, producer: Producer = Producer.EXPORTER) -> Family:
    """Return a gauge, by default of the exporter."""
    return Family(name, MetricType.GAUGE, text, labels, producer)


def counter(name: str, text: str, *labels: str, producer: Producer = Producer.EXPORTER) -> Family:
    """Return a counter, by default of the exporter."""
    return Family(name, MetricType.COUNTER, text, labels, producer)
