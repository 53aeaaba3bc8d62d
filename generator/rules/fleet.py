"""The processes behind a series of a test: two exporters, three replicas of the application, and another environment.

A scenario says what all of them publish together. A rule that counts replicas twice, reads only one of them, takes a
restart for a fall, or reads another environment fails its test.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from mlvitals.generator.contract import Contract, Family, Producer
from mlvitals.generator.signals.signal import Input
from mlvitals.generator.spec.model import Spec

_TRAFFIC_ELSEWHERE = 8
"""The other environment's counters grow that much faster: a load test."""


@dataclass(frozen=True, slots=True)
class _Process:
    """A scraped process, and the share of the application's counters that it counts."""

    labels: Mapping[str, str]
    share: float = 1
    restarts: bool = False


class Fleet:
    """The processes of one system."""

    def __init__(self, spec: Spec) -> None:
        def process(job: str, instance: str, share: float = 1, *, restarts: bool = False) -> _Process:
            return _Process({"job": job, "instance": instance, "namespace": "ml"}, share, restarts)

        exporter, serving = spec.exporter_job, spec.serving_job
        # Exporters measure the same log, so each counts everything; shares are exact in binary.
        exporters = (process(exporter, "exporter-1"), process(exporter, "exporter-2", restarts=True))
        pods = (
            process(serving, "pod-1", 0.5),
            process(serving, "pod-2", 0.25),
            process(serving, "pod-3", 0.25, restarts=True),
        )
        self._by_producer = {Producer.EXPORTER: exporters, Producer.SERVING: pods}
        self._families: Mapping[str, Family] = Contract(spec).by_series
        self._environment = spec.identity.labels

    def publish(self, item: Input) -> Iterator[Input]:
        """Yield the series of each process; what rules record and what names its instance is one series already."""
        family = self._families.get(item.metric)
        processes = self._by_producer.get(family.producer, ()) if family and "instance" not in item.labels else ()
        for process in processes:
            labels = {**process.labels, **item.labels}
            if is_counter(item):
                yield replace(item, labels=labels, slope=item.slope * process.share, restarts=process.restarts)
            else:
                yield replace(item, labels=labels)
        if not processes:
            yield item

    def elsewhere(self, inputs: Iterable[Input]) -> Iterator[Input]:
        """Yield the same series of another environment, if the system's carry the name of theirs."""
        other = {name: f"another {value}" for name, value in self._environment.items()}
        for item in inputs:
            if other and other.keys() <= item.labels.keys():
                slope = item.slope * (_TRAFFIC_ELSEWHERE if is_counter(item) else 1)
                yield replace(item, labels={**item.labels, **other}, slope=slope)


def is_counter(item: Input) -> bool:
    """True if an input counts from 0."""
    return item.slope > 0 and item.value == 0
