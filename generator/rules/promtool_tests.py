"""promtool tests: every alert fires just beyond its threshold, in time, and is silent otherwise.

The tests are written from the alerts' scenarios, so that a threshold, a comparison, a duration or a label that
changes in the rules alone fails its test. All times are seconds from the start of a test.
"""

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from math import inf
from typing import Any

from mlvitals.generator.promql import number
from mlvitals.generator.rules.alerts import AlertRule, alert_rules
from mlvitals.generator.rules.expressions import ranges, reads_only
from mlvitals.generator.rules.fleet import Fleet, is_counter
from mlvitals.generator.rules.groups import rule_groups
from mlvitals.generator.rules.recorded_tests import RecordedSeries
from mlvitals.generator.rules.recording import expressions_by_name, records_of
from mlvitals.generator.rules.samples import input_series, whole
from mlvitals.generator.signals.signal import Alert, Input, Scenario, Signal
from mlvitals.generator.signals.text import AlertText, Format, Sample, Situation, figure
from mlvitals.generator.spec.durations import duration, seconds
from mlvitals.generator.spec.model import Spec
from mlvitals.generator.text_files import yaml_file

_WITHIN_HOURS = 9000
"""Seconds up to which a test does not need history."""
_SPANS = {"": (-1, 1500), ".hours": (1500, _WITHIN_HOURS), ".history": (_WITHIN_HOURS, inf)}
"""Files, and the seconds that the tests in them span: at least, at most."""

_STEPS = (43_200, 14_400, 3600, 1800, 900, 300, 60, 30, 20, 15, 10, 5, 2, 1)
_MOST_EVALUATIONS = {True: 150, False: 20}
"""The maximum number of evaluations of all rules, for tests within hours and for the others."""
_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "==": operator.eq,
}


@dataclass(frozen=True, slots=True)
class _Subject:
    """An alert under test: when its inputs change (0 if they do not), the time its expression needs, and what it watches."""

    rule: AlertRule
    changed_at: float
    warm_up: float
    fleet: Fleet

    @property
    def alert(self) -> Alert:
        return self.rule.alert

    @property
    def lasting(self) -> float:
        """The time for which the condition must hold."""
        return seconds(self.alert.timing.for_)

    @property
    def horizon(self) -> float:
        """The earliest time at which the alert fires."""
        return self.changed_at + self.warm_up + self.lasting


def test_files(spec: Spec, signals: Sequence[Signal], marker: str) -> dict[str, str]:
    """Return the promtool tests of all alerts: file name to text.

    promtool evaluates all rules of a file at one interval. Alerts that look back for hours, or for days, therefore have a
    separate file with a long interval.
    """
    subjects, recorded = tuple(_subjects(spec, signals)), RecordedSeries(spec, records_of(signals))
    order = [group["name"] for group in rule_groups(spec, signals)]
    files = {}
    for kind, (over, most) in _SPANS.items():
        if members := [subject for subject in subjects if over < subject.horizon <= most]:
            step = _step(members)
            tests = (*_alert_tests(members, subjects, step), *recorded.tests(step, over, most))
            document = {
                "rule_files": [f"{spec.slug}.rules.yml"],
                "evaluation_interval": duration(step),
                "group_eval_order": order,
                "tests": list(tests),
            }
            files[f"{spec.slug}{kind}.test.yml"] = yaml_file(document, marker)
    return files


def _alert_tests(subjects: Sequence[_Subject], everything: Sequence[_Subject], step: int) -> Iterator[dict[str, Any]]:
    own = {(one.alert.name, one.alert.expression) for one in subjects}
    # Another severity of the same condition fires in this file too, even if its longer `for` puts its tests into another.
    subjects_and_kin = [one for one in everything if one in subjects or (one.alert.name, one.alert.expression) in own]
    yield _without_data(subjects, subjects_and_kin, step)
    for bench in _benches(subjects, subjects_and_kin, step):
        yield from bench.tests()


def _subjects(spec: Spec, signals: Sequence[Signal]) -> Iterator[_Subject]:
    records, fleet = expressions_by_name(records_of(signals)), Fleet(spec)
    for rule in alert_rules(spec, signals):
        for alert in (rule.alert, *rule.alert.alternatives):
            inputs = alert.scenario(beyond(alert)).inputs
            given = {item.metric for item in inputs}
            computed = {name: expressions for name, expressions in records.items() if name not in given}
            changed_at = max((item.change[0] for item in inputs if item.change), default=0.0)
            warm_up = max(ranges(alert.expression, computed), default=0.0)
            yield _Subject(replace(rule, alert=alert), changed_at, warm_up, fleet)


def _step(subjects: Sequence[_Subject]) -> int:
    """Return the seconds between evaluations.

    The longest step that meets the inputs' changes, gives each range four samples and meets each `for`; the last
    two give way, in reverse order, where a test would take too many evaluations. Where days need not be evaluated, each
    range has two samples, without which a rate has no value.
    """
    longest = max(subject.horizon for subject in subjects)
    shortest_affordable = longest / _MOST_EVALUATIONS[longest <= _WITHIN_HOURS]
    ranges = [subject.warm_up for subject in subjects if subject.warm_up]
    meeting = [step for step in _STEPS if all(subject.changed_at % step == 0 for subject in subjects)] or [1]
    affordable = [step for step in meeting if step >= shortest_affordable] or meeting[:1]
    few = meeting if longest <= _WITHIN_HOURS else []
    sampling = [step for step in affordable if all(4 * step <= length for length in ranges)]
    sampling = sampling or [step for step in few if all(2 * step <= length for length in ranges)] or affordable[-1:]
    exact = [step for step in sampling if all(subject.lasting % step == 0 for subject in subjects)]
    return (exact or sampling[-1:])[0]


# ---------------------------------------------------------------- values


def beyond(alert: Alert) -> float:
    """Return a value just beyond the threshold, at which the alert holds."""
    if alert.comparison in {"==", ">="}:
        return alert.threshold
    return _near(alert, 1 if alert.comparison == ">" else -1)


def _silent_values(alert: Alert) -> Iterator[tuple[str, float]]:
    """Yield values at which an alert is silent, each with its place."""
    if alert.comparison == "==":
        yield "off", 0.0 if alert.threshold else 1.0
        return
    if alert.threshold:
        yield "just below", _near(alert, 1 if alert.comparison == "<" else -1)
    if alert.comparison != ">=" and (not alert.threshold or _is_carried(alert)):
        yield "exactly at", alert.threshold


def _is_carried(alert: Alert) -> bool:
    """True if an input carries the value itself, so that no arithmetic can move it off the threshold."""
    value = beyond(alert)
    return any(item.value == value and not item.slope for item in alert.scenario(value).inputs)


def _near(alert: Alert, sign: int) -> float:
    """Return a value near the threshold that is written the same way whatever the last bits of the computed one are."""
    limit, resolution = Decimal(repr(alert.threshold)), Decimal(repr(alert.resolution))
    distance = sign * resolution * (abs(limit) or 1)
    candidates = [float(limit + distance * share / 10) for share in (10, 11, 12, 13, 14)]
    return next((value for value in candidates if _is_stable(value, alert.format)), candidates[0])


def _is_stable(value: float, form: Format) -> bool:
    margin = 1e-9 * abs(value)
    return figure(value - margin, form) == figure(value + margin, form)


# ---------------------------------------------------------------- tests


@dataclass(frozen=True, slots=True)
class _Phase:
    """A phase of a test, from `start` until the next one: the inputs, and the value that the alerts then see, if any."""

    start: int
    scenario: Scenario
    value: float | None


@dataclass(frozen=True, slots=True)
class _Bench:
    """The tests of one alert on its own inputs, and of its siblings: the alerts of its name that see the same values."""

    subject: _Subject
    family: tuple[_Subject, ...]
    step: int

    @property
    def _title(self) -> str:
        alert = self.subject.alert
        return f"{alert.name} {alert.severity}, threshold {number(alert.threshold)}"

    def tests(self) -> Iterator[dict[str, Any]]:
        """Yield the tests, combined in a single one if possible, which is faster."""
        subject, alert, step = self.subject, self.subject.alert, self.step
        values = [*_silent_values(alert), ("beyond", beyond(alert))]
        lasting, changed_at = whole(subject.lasting, step), whole(subject.changed_at, step)
        # A comparison with the time before the change must not read the change itself.
        fits = not changed_at or len(values) * (lasting + step) <= changed_at
        if fits and not subject.warm_up and _keep_their_series([alert.scenario(value) for _, value in values]):
            yield self._combined(values, changed_at, lasting)
        else:
            yield from self._separate(values)
        if alert.gated:
            phase = _Phase(changed_at, alert.gated(beyond(alert)), None)
            fired = whole(subject.changed_at + subject.warm_up + step, step) + lasting
            yield self._test("silent beyond it where its gate holds it back", [phase], [fired])

    def _combined(self, values: Sequence[tuple[str, float]], start: int, lasting: int) -> dict[str, Any]:
        phases = [
            _Phase(start + position * (lasting + self.step), self.subject.alert.scenario(value), value)
            for position, (_, value) in enumerate(values)
        ]
        waiting = _before(phases[-1].start + self.subject.lasting, self.step)
        silent = [phase.start + lasting for phase in phases[:-1]]
        times = [*silent, *([waiting] if lasting else []), phases[-1].start + lasting]
        places = ", ".join(place for place, _ in values[:-1])
        return self._test(f"silent {places} it, firing beyond it after for", phases, times)

    def _separate(self, values: Iterable[tuple[str, float]]) -> Iterator[dict[str, Any]]:
        """Yield tests that each start over, because a range would mix the samples of two values."""
        subject, alert, step = self.subject, self.subject.alert, self.step
        firing = alert.scenario(beyond(alert))
        counting = any(is_counter(item) for item in firing.inputs)
        earliest = subject.changed_at or (step if counting else 0)
        steady = whole(max(subject.changed_at + subject.warm_up, earliest), step)
        fired = steady + whole(subject.lasting, step)
        waiting = _before(earliest + subject.lasting, step)
        for place, value in values:
            phase = _Phase(steady, alert.scenario(value), value)
            if place == "beyond":
                times = [*([waiting] if subject.lasting else []), fired]
                yield self._test("firing beyond it after for", [phase], times)
            else:
                yield self._test(f"silent {place} it", [phase], [fired])
        if counting and alert.threshold:  # at a threshold of exactly 0 there was no traffic either
            idle = replace(firing, inputs=tuple(_idle(item) for item in firing.inputs))
            yield self._test("silent without traffic", [_Phase(steady, idle, None)], [fired])

    def _test(self, name: str, phases: Sequence[_Phase], times: Sequence[int]) -> dict[str, Any]:
        """Return a test that checks the alerts at some times."""
        starts = [phase.start for phase in phases]
        return {
            "name": f"{self._title}: {name}",
            "interval": duration(self.step),
            "input_series": [
                input_series(items, starts, self.step, times[-1])
                for items in zip(*map(self._published, phases), strict=True)
            ],
            "alert_rule_test": [
                _check(time, self.subject.alert.name, _firing(self.family, phases, time)) for time in times
            ],
        }

    def _published(self, phase: _Phase) -> list[Input]:
        """Return what all processes publish. Meanwhile another environment is well if this one is not, and ill if it is."""
        alert, fleet = self.subject.alert, self.subject.fleet
        ill = phase.value is not None and _holds(alert, phase.value)
        silent = (value for _, value in _silent_values(alert))
        others = fleet.elsewhere(alert.scenario(next(silent, beyond(alert)) if ill else beyond(alert)).inputs)
        return [each for item in (*phase.scenario.inputs, *others) for each in fleet.publish(item)]


def _benches(members: Iterable[_Subject], subjects: Sequence[_Subject], step: int) -> Iterator[_Bench]:
    """Yield the benches of all alerts that have inputs."""
    for subject in members:
        firing = subject.alert.scenario(beyond(subject.alert))
        if firing.inputs:
            family = tuple(other for other in subjects if _is_sibling(other.alert, subject.alert, firing))
            yield _Bench(subject, family, step)


def _before(time: float, step: int) -> int:
    """Return the last evaluation before a time."""
    return max(0, whole(time, step) - step)


def _keep_their_series(scenarios: Sequence[Scenario]) -> bool:
    """True if the scenarios differ only in the values of constant series."""
    series_of = {tuple((item.metric, *sorted(item.labels.items())) for item in one.inputs) for one in scenarios}
    return len(series_of) == 1 and not any(item.slope for one in scenarios for item in one.inputs)


def _is_sibling(other: Alert, alert: Alert, scenario: Scenario) -> bool:
    """True if another severity or threshold of the same alert sees the same value in a scenario."""
    if other.name != alert.name or other.expression == alert.expression:
        return other.name == alert.name
    return reads_only(other.expression, tuple((item.metric, item.labels) for item in scenario.inputs))


def _without_data(subjects: Sequence[_Subject], kin: Iterable[_Subject], step: int) -> dict[str, Any]:
    """Return one test of all alerts: without any series, only alerts about absence fire."""
    time = whole(max(subject.lasting for subject in subjects), step)
    families: dict[str, list[_Subject]] = {}
    for subject in kin:
        families.setdefault(subject.alert.name, []).append(subject)
    checks = [
        _check(
            time, name, [_absent(one, time) for one in members if one.alert.fires_without_data and one.lasting <= time]
        )
        for name, members in families.items()
    ]
    return {"name": "No data at all", "interval": duration(step), "input_series": [], "alert_rule_test": checks}


def _check(time: float, name: str, expected: list[dict[str, Any]]) -> dict[str, Any]:
    return {"eval_time": duration(time), "alertname": name, "exp_alerts": expected}


def _absent(subject: _Subject, time: float) -> dict[str, Any]:
    value = beyond(subject.alert)
    return _expected(subject, replace(subject.alert.scenario(value), inputs=()), value, time)


def _firing(family: Iterable[_Subject], phases: Sequence[_Phase], time: float) -> list[dict[str, Any]]:
    """Return the firing alerts of a family: severities and thresholds share a name, so several may fire."""
    reached = [phase for phase in phases if phase.start <= time]
    return [
        _expected(member, reached[-1].scenario, reached[-1].value, time)
        for member in family
        if reached
        and reached[-1].value is not None
        and (since := _holds_since(member.alert, reached)) is not None
        and time >= since + member.lasting
    ]


def _holds_since(alert: Alert, phases: Iterable[_Phase]) -> int | None:
    """Return the time since which an alert's condition has held without a break, or None."""
    since = None
    for phase in phases:
        holds = phase.value is not None and _holds(alert, phase.value)
        since = (phase.start if since is None else since) if holds else None
    return since


def _holds(alert: Alert, value: float) -> bool:
    return _COMPARE[alert.comparison](value, alert.threshold)


def _expected(subject: _Subject, scenario: Scenario, value: float, time: float) -> dict[str, Any]:
    """Return a firing alert as promtool compares it: all labels and the rendered annotations."""
    samples = tuple(Sample(item.metric, item.labels, _at(item, time)) for item in scenario.inputs)
    situation = Situation(value, scenario.labels, samples)
    labels = {**scenario.labels, **_rendered(subject.rule.labels, situation)}
    return {
        "exp_labels": {name: text for name, text in labels.items() if text},
        "exp_annotations": _rendered(subject.rule.annotations, situation),
    }


def _rendered(texts: Mapping[str, AlertText], situation: Situation) -> dict[str, str]:
    return {name: text.rendered(situation) for name, text in texts.items()}


def _idle(item: Input) -> Input:
    return replace(item, slope=0.0) if is_counter(item) else item


def _at(item: Input, time: float) -> float:
    if item.change and time >= item.change[0]:
        return item.change[1]
    return item.value + item.slope * time
