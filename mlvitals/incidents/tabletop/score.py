"""Marks of an exercise, compared with the spec's own policy: detection, escalation, triage, mitigation. Pure."""

from collections.abc import Iterator
from datetime import timedelta
from enum import StrEnum

import msgspec

from mlvitals.evaluation.faults.catalogue import Fault, Subject
from mlvitals.generator.routing.alertmanager import receiver_of
from mlvitals.generator.signals import signals
from mlvitals.generator.spec.durations import span
from mlvitals.generator.spec.model import Links, Severity, Spec
from mlvitals.generator.spec.people import NOBODY
from mlvitals.incidents.record.model import SevLevel
from mlvitals.incidents.tabletop.answers import Act, Classify, See, Take
from mlvitals.incidents.tabletop.play import detection_limit
from mlvitals.incidents.tabletop.run import Exercised
from mlvitals.incidents.timeline.times import length


class Verdict(StrEnum):
    """The judgement of a stage."""

    MET = "met"
    LATE = "late"
    WRONG = "wrong"
    MISSED = "missed"


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """One stage of an exercise: how long it took, how long it may take, and what to say of it."""

    stage: str
    verdict: Verdict
    seconds: float | None
    """None where it did not happen."""
    limit_seconds: float | None
    reason: str


def marks_of(done: Exercised) -> tuple[Mark, ...]:
    """Return the marks of an exercise, in the order of its stages."""
    return (_detection(done), _escalation(done), _triage(done), _mitigation(done))


def _timed(stage: str, took: timedelta | None, limit: timedelta | None, reason: str, *, wrong: bool = False) -> Mark:
    if took is None:
        verdict = Verdict.MISSED
    elif wrong:
        verdict = Verdict.WRONG
    else:
        verdict = Verdict.LATE if limit is not None and took > limit else Verdict.MET
    return Mark(
        stage=stage,
        verdict=verdict,
        seconds=None if took is None else took.total_seconds(),
        limit_seconds=None if limit is None else limit.total_seconds(),
        reason=reason,
    )


def _detection(done: Exercised) -> Mark:
    limit = detection_limit(done.spec, done.fault)
    if done.page is None:
        verdict = Verdict.MET if not done.fault.kind.pages else Verdict.MISSED
        said = "It needs nobody at night." if not done.fault.kind.pages else "The rules do not see this fault."
        return Mark(
            stage="detection",
            verdict=verdict,
            seconds=None,
            limit_seconds=limit.total_seconds(),
            reason=f"Nobody was notified. {said}",
        )
    took = done.page.at - done.fault.start
    what = f"{done.page.alarms[0].firing.alert} ({done.page.severity})"
    is_page = done.page.severity is Severity.CRITICAL
    if is_page and not done.fault.kind.pages:
        return _timed("detection", took, limit, f"{what} paged, and a warning would have been enough.", wrong=True)
    if not is_page and done.fault.kind.pages:
        return _timed("detection", took, limit, f"Only {what}: nobody was paged.", wrong=True)
    if receiver_of(done.spec, done.page.severity) == NOBODY:
        return _timed("detection", took, limit, f"{what} fired, and the spec's routing sends it to nobody.", wrong=True)
    return _timed("detection", took, limit, f"First {what}.")


def _escalation(done: Exercised) -> Mark:
    taken = done.first(Take)
    if done.page is None:
        return _never("escalation", "There was nothing to take.")
    if done.page.severity is not Severity.CRITICAL:
        said = "A warning: it waits until somebody looks, and nobody is called."
        return Mark(stage="escalation", verdict=Verdict.MET, seconds=None, limit_seconds=None, reason=said)
    limit = span(done.spec.incidents.targets.acknowledge)
    called = (
        f"Called meanwhile: {', '.join(role for _, role in done.called)}." if done.called else "Nobody else was called."
    )
    if taken is None:
        return _timed("escalation", None, limit, f"Nobody took it. {called}")
    return _timed("escalation", taken[0] - done.page.at, limit, f"Taken by the {taken[1].role}. {called}")


def _triage(done: Exercised) -> Mark:
    classified = done.first(Classify)
    if done.page is None or done.analysis is None:
        return _never("triage", "There was nothing to classify.")
    limit = span(done.spec.incidents.targets.classify)
    if classified is None:
        return _timed("triage", None, limit, "Its severity was not decided.")
    at, answer = classified
    proposal = done.analysis.proposal
    order = list(SevLevel)
    apart = order.index(answer.severity) - order.index(proposal.severity)
    said = {0: "as the evidence proposes"}.get(
        apart, f"{'milder' if apart > 0 else 'graver'} than the {proposal.severity} that the evidence proposes"
    )
    return _timed("triage", at - done.page.at, limit, f"{answer.severity}, {said}.", wrong=abs(apart) > 1)


def _mitigation(done: Exercised) -> Mark:
    limit = span(done.spec.incidents.targets.mitigate)
    tried = [each.answer.action for each in done.given if isinstance(each.answer, Act)]
    if not done.fault.kind.pages:
        verdict = Verdict.WRONG if tried else Verdict.MET
        said = (
            f"Done: {', '.join(tried)}, and nothing was wrong." if tried else "Nothing was wrong, and nothing was done."
        )
        return Mark(stage="mitigation", verdict=verdict, seconds=None, limit_seconds=None, reason=said)
    if done.page is None:
        return _never("mitigation", "Nobody knew of it.")
    if done.helped_at is None:
        said = f"Tried: {', '.join(tried)}; none of it ends this fault." if tried else "Nothing was done."
        return _timed("mitigation", None, limit, said)
    before = f" Tried before: {', '.join(tried[:-1])}." if tried[:-1] else ""
    return _timed("mitigation", done.helped_at - done.page.at, limit, f"{tried[-1]} ended it.{before}")


def _never(stage: str, reason: str) -> Mark:
    return Mark(stage=stage, verdict=Verdict.MISSED, seconds=None, limit_seconds=None, reason=reason)


def is_good(marks: tuple[Mark, ...]) -> bool:
    """True if every stage met the policy."""
    return all(mark.verdict is Verdict.MET for mark in marks)


# ---------------------------------------------------------------- what was missing


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """Something that the exercise showed to be missing."""

    where: str
    """``rules``, ``runbooks``, ``people`` or ``team``."""
    text: str


def gaps_of(done: Exercised) -> tuple[Gap, ...]:
    """Return what was missing in rules, runbooks, escalation and answers."""
    found = [
        *(("rules", text) for text in _rules(done)),
        *(("runbooks", text) for text in _runbooks(done.spec, done.fault)),
        *(("people", text) for text in _people(done)),
        *(("team", text) for text in _team(done)),
    ]
    return tuple(Gap(where=where, text=text) for where, text in found)


def _rules(done: Exercised) -> Iterator[str]:
    fault, spec = done.fault, done.spec
    defined = {alert.name for signal in signals(spec) for alert in signal.alerts}
    fired = {firing.alert for firing in done.firings}
    expected = [name for name in fault.kind.signals if name in defined]
    silent = sorted(set(expected) - fired)
    if not expected:
        names = ", ".join(fault.kind.signals)
        yield f"No rule of this spec watches for it: {names} are disabled, or what they read is not measured."
    elif not set(expected) & fired:
        unknown = sorted(set(silent) & set(done.without_data))
        yield f"None of the alerts that should notice it fired: {', '.join(silent)}."
        if unknown:
            yield f"Without data in this history, and therefore unknown: {', '.join(unknown)}."
    if done.page is not None and done.page.at - fault.start > detection_limit(spec, fault):
        took, allowed = (done.page.at - fault.start).total_seconds(), detection_limit(spec, fault).total_seconds()
        yield f"The first notification came after {length(took)}; windows, grace and waits allow {length(allowed)}."
    if done.page is not None and fault.kind.pages and done.page.severity is not Severity.CRITICAL:
        yield f"No rule pages: {done.page.alarms[0].firing.alert} only warns."
    for notice in done.false_pages:
        yield f"A page before the fault, at {notice.at:%Y-%m-%d %H:%M} UTC: {notice.alarms[0].firing.alert}."
    for name, reason in sorted(done.not_understood.items()):
        yield f"{name} could not be evaluated without a server: {reason}"


def _runbooks(spec: Spec, fault: Fault) -> Iterator[str]:
    if spec.links.runbooks == Links().runbooks:
        yield "The page links to example.com: set links.runbooks, so that the on-call finds the runbook."
    if fault.kind.subject in {Subject.NUMBER, Subject.CATEGORY, Subject.FEATURE}:
        feature = spec.features[fault.subject]
        if not feature.description:
            yield f"features.{fault.subject} has no description: the runbook cannot say what its values mean."
        if feature.source is None:
            yield f"features.{fault.subject} names no source: the runbook cannot say which pipeline to look at."
        if fault.kind.subject is Subject.NUMBER and feature.minimum is None and feature.maximum is None:
            yield f"features.{fault.subject} has no minimum and no maximum: its range is only that of the reference."
    if fault.kind.subject is Subject.SOURCE and not spec.sources[fault.subject].description:
        yield f"sources.{fault.subject} has no description: the runbook cannot say what it is."
    if not spec.business.kpis:
        yield "business.kpis is empty: nobody can say what it costs."


def _people(done: Exercised) -> Iterator[str]:
    spec = done.spec
    if receiver_of(spec, Severity.CRITICAL) == NOBODY:
        yield "routing.critical names no receiver: a page reaches nobody."
    if not spec.escalation:
        yield "escalation is empty: nobody is called when nobody answers."
    for level in spec.escalation:
        for name in level.contacts:
            if name in spec.responders and not spec.responders[name].phone and "phone" in level.via:
                yield f"{level.role} is called by phone, and responders.{name} has no number."


def _team(done: Exercised) -> Iterator[str]:
    seen = done.first(See)
    if done.page is None:
        return
    if seen is None:
        yield "Nobody said what they saw."
    elif done.fault.subject and done.fault.subject.casefold() not in seen[1].text.casefold():
        yield f"What the team saw does not name {done.fault.subject}."
    tried = [each.answer for each in done.given if isinstance(each.answer, Act)]
    if done.fault.kind.pages and done.helped_at is None:
        done_so_far = ", ".join(each.action for each in tried) or "nothing"
        yield f"What ends it is {' or '.join(done.fault.kind.ended_by)}; tried: {done_so_far}."
