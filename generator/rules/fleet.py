"""The processes behind a series of a test: two exporters, three replicas of the application, and another environment.

A scenario says what all of them publish together. A rule that counts replicas twice, reads only one of them, takes a
restart for a fall, or reads another environment fails its test.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from mlvitals.generator.contract import Contract, Producer
from mlvitals.generator.signals.signal import Input
from mlvitals.generator.spec.model import Spec

_SHARES = ((0.5, 0.25, 0.25), (0.125, 0.75, 0.125), (0.25, 0.125, 0.625))
"""The shares that replicas count of a family, the next family by the next: sums of them are exact in binary."""
_TRAFFIC_ELSEWHERE = 8
"""The other environment's counters grow that much faster: a load test."""


class Fleet:
    """The processes of one system."""

    def __init__(self, spec: Spec) -> None:
        def target(job: str, instance: str) -> Mapping[str, str]:
            return {"job": job, "instance": instance, "namespace": "ml"}

        self._exporters = tuple(target(spec.exporter_job, f"exporter-{number}") for number in (1, 2))
        self._pods = tuple(target(spec.serving_job, f"pod-{number}") for number in (1, 2, 3))
        families = Contract(spec).families
        self._families = {name: (at, family) for at, family in enumerate(families) for name in family.series_names}
        self._environment = spec.identity.labels

    def publish(self, item: Input) -> Iterator[Input]:
        """Yield the series of each process; what rules record and what names its instance is one series already."""
        processes = self._processes(item)
        for position, (target, share) in enumerate(processes, start=1):
            labels = {**target, **item.labels}
            if is_counter(item):
                yield replace(item, labels=labels, slope=item.slope * share, restarts=position == len(processes))
            else:
                yield replace(item, labels=labels)
        if not processes:
            yield item

    def _processes(self, item: Input) -> Sequence[tuple[Mapping[str, str], float]]:
        """Return the labels of every process that publishes a series, and its share if it counts."""
        at, family = self._families.get(item.metric, (0, None))
        if family is None or "instance" in item.labels:
            return ()
        if family.producer is Producer.EXPORTER:
            return [(target, 1.0) for target in self._exporters]  # they measure the same log
        return list(zip(self._pods, _SHARES[at % 3], strict=True)) if family.producer is Producer.SERVING else ()

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
