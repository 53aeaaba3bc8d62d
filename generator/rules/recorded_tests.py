"""The promtool test of recorded series: what the rules record of steady series of several processes, one of which restarts."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from mlvitals.generator.contract import Contract
from mlvitals.generator.promql import metric_names, number, series
from mlvitals.generator.rules.expressions import ranges
from mlvitals.generator.rules.fleet import Fleet
from mlvitals.generator.rules.recording import expressions_by_name
from mlvitals.generator.rules.samples import input_series, whole
from mlvitals.generator.rules.steady import Labels, Steady, UnsteadyError, steady_inputs
from mlvitals.generator.signals.signal import Record
from mlvitals.generator.spec.durations import duration
from mlvitals.generator.spec.model import Spec

_DECIMALS = 4
"""Rates and increases are computed in floating point: their last bits are not compared."""


class RecordedSeries:
    """The records of a system, and their values while nothing changes.

    Those with no steady value (quantiles of histograms, comparisons with last week) are tested by the alerts on them.
    """

    def __init__(self, spec: Spec, records: Sequence[Record]) -> None:
        self._fleet, self._families = Fleet(spec), Contract(spec).by_series
        self._by_name: dict[str, list[Record]] = {}
        for record in records:
            self._by_name.setdefault(record.name, []).append(record)
        expressions = expressions_by_name(records)
        self._ranges = {record: sorted(ranges(record.expression, expressions)) or [0.0] for record in records}

    def tests(self, step: int, over: float, most: float) -> Iterator[dict[str, Any]]:
        """Yield the test of the records that need more than `over`, and at most `most`, seconds of samples."""
        chosen = [
            record
            for record, lengths in self._ranges.items()
            if over < lengths[-1] <= most and (lengths == [0] or 2 * step <= lengths[0])
        ]
        inputs = tuple(steady_inputs(self._read_by(chosen), self._families))
        steady = Steady(inputs, self._by_name)
        time = whole(max((self._ranges[record][-1] for record in chosen), default=0), step) + step
        checks = [check for record in chosen for check in self._checks(record, steady, time)]
        if checks:
            others = self._fleet.elsewhere(
                replace(item, value=item.value * times, slope=item.slope * times)
                for times, item in enumerate(inputs, start=2)
            )
            published = (each for item in (*inputs, *others) for each in self._fleet.publish(item))
            yield {
                "name": "Recorded series",
                "interval": duration(step),
                "input_series": [input_series([each], [0], step, time) for each in published],
                "promql_expr_test": checks,
            }

    def _read_by(self, records: Iterable[Record]) -> list[Record]:
        """Return the records and all that they read, each once."""
        found: dict[Record, None] = {}
        waiting = list(records)
        while waiting:
            record = waiting.pop(0)
            if record not in found:
                found[record] = None
                waiting += [
                    read for name in sorted(metric_names(record.expression)) for read in self._by_name.get(name, ())
                ]
        return list(found)

    def _checks(self, record: Record, steady: Steady, time: int) -> Iterator[dict[str, Any]]:
        try:
            recorded = steady.recorded(record)
        except UnsteadyError:
            return
        yield {
            "expr": f"round({series(record.name, dict(record.labels))}, {number(10**-_DECIMALS)})",
            "eval_time": duration(time),
            "exp_samples": sorted((_sample(labels, value) for labels, value in recorded.items()), key=str),
        }


def _sample(labels: Labels, value: float) -> dict[str, Any]:
    return {"labels": series("", dict(sorted(labels))), "value": round(value, _DECIMALS)}
