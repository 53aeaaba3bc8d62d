"""The fields of a post-mortem as Markdown: what is known of the incident, in sentences and tables."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from mlvitals.generator.runbooks.markdown import bullets, escape, table
from mlvitals.generator.spec.diagnostics import printable
from mlvitals.incidents.analysis.causes import Hint
from mlvitals.incidents.analysis.effect import Effect
from mlvitals.incidents.analysis.fault import Fault, Shape
from mlvitals.incidents.analysis.whole import Analysis, own_alerts
from mlvitals.incidents.evidence import FeatureFacts, IncidentEvidence, KpiFacts, WindowFacts
from mlvitals.incidents.postmortem.people import People
from mlvitals.incidents.timeline.events import EventKind, TimelineEntry
from mlvitals.incidents.timeline.times import DEFINITIONS, Elapsed, length

CANDIDATES = (0.05, 0.10, 0.25)
"""PSI thresholds that are tried on the windows of an incident."""
_SHOWN_ENTRIES = 300
_SHOWN_CELLS = 5
_OF_ALERTS = frozenset({EventKind.PENDING, EventKind.FIRING, EventKind.INHIBITED, EventKind.NOTIFIED, EventKind.ENDED})
_SHAPES = {
    Shape.STEP: "It came at once.",
    Shape.SLOPE: "It grew over several windows.",
    Shape.UNKNOWN: "There are too few windows to say whether it came at once or grew.",
}


def fields_of(analysis: Analysis, *, by_name: bool = False, time_factor: float = 1.0) -> dict[str, str]:
    """Return each field of the template as Markdown.

    `time_factor` is how many times faster than the clock an exercise played: lengths of time are multiplied by it.
    """
    writer = _Writer(analysis, People(analysis.incident, by_name=by_name), time_factor)
    return {
        "title": _plain(analysis.incident.title),
        "facts": writer.facts(),
        "summary": writer.summary(),
        "impact": writer.impact(),
        "timeline": writer.timeline(),
        "detection": writer.detection(),
        "response": writer.response(),
        "causes": writer.causes(),
        "model": writer.model(),
        "evidence": writer.evidence(),
    }


def _plain(text: str) -> str:
    """Text of unknown origin, on one line, that is no markup."""
    return escape(printable(" ".join(text.split())))


def _time(moment: datetime | None) -> str:
    return "unknown" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}"


class _Writer:
    def __init__(self, analysis: Analysis, people: People, time_factor: float) -> None:
        self._of = analysis
        self._people = people
        self._factor = time_factor

    # -------------------------------------------------------- the head

    def facts(self) -> str:
        """The incident in a table, and how long everything took."""
        incident, proposal = self._of.incident, self._of.proposal
        severity = f"{incident.severity or f'not decided; proposed: {proposal.severity}'}"
        kind = f"{incident.incident_type or f'not decided; proposed: {proposal.type}'}"
        rows = [
            ("Incident", f"`{incident.id}` of {_plain(incident.system)}"),
            ("State", incident.state),
            ("Severity", severity),
            ("Type", kind),
            ("Opened", f"{_time(incident.opened_at)} UTC"),
            ("Resolved", f"{_time(self._of.times.resolved)} UTC" if self._of.times.resolved else "not yet"),
            *(
                (f"Time to {name}", f"{self._span(span)}; {DEFINITIONS[name]}")
                for name, span in self._of.times.spans.items()
            ),
        ]
        played = f"An exercise: time ran {self._factor:g} times faster, and lengths of time are given as if it had not."
        return table(("", ""), rows) + (f"\n\n{played}" if self._factor != 1 else "")

    def _span(self, span: Elapsed) -> str:
        if span.seconds is None:
            return f"unknown: {span.reason}"
        written = self._length(span.seconds)
        if span.shortest == span.longest or span.shortest is None or span.longest is None:
            return written
        return f"{written} ({self._length(span.shortest)} to {self._length(span.longest)})"

    def _length(self, seconds: float) -> str:
        """A length of time as it would have been without the exercise's haste."""
        return length(seconds * self._factor)

    def summary(self) -> str:
        """Write what happened, to which feature, what noticed it and what ended it."""
        return " ".join(self._summary())

    def _summary(self) -> Iterator[str]:
        fault, times = self._of.fault, self._of.times
        if fault is None:
            yield "No measured window shows a feature beyond its thresholds."
        else:
            worst = fault.in_window(fault.worst)
            yield (
                f"From about {_time(fault.start.at)} UTC the feature {_plain(fault.feature)} was not what the model knows: "
                f"its PSI reached {worst.psi or 0:.2f}. {_SHAPES[fault.shape]}"
            )
            if worst.bins:
                cell = max(worst.bins, key=lambda each: (each.psi, each.label))
                yield (
                    f"The share of its values in the cell {_code(cell.label)} {_went(cell.reference, cell.current)} from "
                    f"{cell.reference:.1%} in the reference to {cell.current:.1%}."
                )
        if impact := self._of.impact:
            yield f"{impact.affected:,} of {impact.predictions:,} predictions were affected ({impact.share:.0%})."
        if times.detected:
            yield f"It was noticed at {_time(times.detected)} UTC{self._after('detect')}."
        if self._of.causes and self._of.causes[0].balance > 0:
            yield f"The evidence speaks most for one cause: {self._of.causes[0].cause}."
        if times.mitigated:
            yield f"It was mitigated at {_time(times.mitigated)} UTC{self._after('mitigate')}."
        if times.resolved:
            yield f"It was resolved at {_time(times.resolved)} UTC{self._after('resolve')}."

    def _after(self, name: str) -> str:
        """Say how long after the start of the fault something was, where that is known."""
        seconds = self._of.times.spans[name].seconds
        return "" if seconds is None else f", {self._length(seconds)} after the start"

    def impact(self) -> str:
        """Predictions, segments, KPIs, and how they were computed."""
        impact = self._of.impact
        if impact is None:
            return "Nothing can be computed: no measured window shows a feature beyond its thresholds."
        lines = [
            f"Predictions while it lasted: {impact.predictions:,}.",
            f"Affected: at least {impact.affected:,} ({impact.share:.1%}). That is how many values the cells of "
            f"{_plain(self._of.fault.feature if self._of.fault else '')} gained over the reference, window by window.",
            f"Segments judged bad meanwhile: {', '.join(map(_plain, impact.segments)) or 'none'}.",
            *(
                f"KPI {_plain(kpi.name)}: {kpi.before:.4g} before, {kpi.during:.4g} meanwhile (mean of windows)."
                for kpi in impact.kpis
            ),
        ]
        if not self._of.evidence.kpis and not impact.kpis:
            lines.append("KPIs: not asked for (`incident collect` with `--spec` and `--prometheus`).")
        return "\n\n".join([bullets(lines), *self._cost()])

    def _cost(self) -> Iterator[str]:
        """KPIs from the start of the fault to the resolution against the week before, and error budgets."""
        known = self._of.evidence
        if known.kpis:
            rows = [
                (_plain(kpi.title), _figure(kpi.during), _figure(kpi.week_before), _difference(kpi))
                for kpi in known.kpis
            ]
            yield table(("KPI", "Start to resolution", "A week before", "Difference (95 %)"), rows)
        if known.budgets:
            budgets = [(_plain(each.slo), f"{each.before:.1%}", f"{each.after:.1%}") for each in known.budgets]
            yield table(("Error budget", "Left at the start", "Left at the end"), budgets)

    # -------------------------------------------------------- what happened

    def timeline(self) -> str:
        """Every entry with its sources, but for those about other alerts, which are counted."""
        shown = [entry for entry in self._of.timeline if self._is_told(entry)]
        others = len(self._of.timeline) - len(shown[:_SHOWN_ENTRIES])
        more = f"\n\nOf other alerts: {others} entries, which `mlvitals incident timeline` shows." if others else ""
        return table(("Time (UTC)", "What", "Who", "Source"), map(self._row, shown[:_SHOWN_ENTRIES])) + more

    def _is_told(self, entry: TimelineEntry) -> bool:
        """True of what people did and what was measured, of the incident's alerts, and of pages about its feature."""
        if entry.kind not in _OF_ALERTS:
            return True
        if not self._of.incident.alerts or entry.subject in own_alerts(self._of.incident):
            return True
        feature = self._of.fault.feature if self._of.fault else ""
        return bool(feature) and entry.kind is EventKind.NOTIFIED and entry.subject.endswith(f" {feature}")

    def _row(self, entry: TimelineEntry) -> tuple[str, str, str, str]:
        what = _plain(self._people.text(entry.text))
        who = _plain(self._people.actor(entry.actor))
        return _time(entry.at), f"**{entry.kind}** {what}", who, ", ".join(entry.sources)

    def detection(self) -> str:
        """Which alert came first and how late, which layers, what was muted, and what would have been earlier."""
        return "\n\n".join(self._detection())

    def _detection(self) -> Iterator[str]:
        firing = [entry for entry in self._of.timeline if entry.kind is EventKind.FIRING]
        layers = sorted({alert.labels.get("layer", "") for alert in self._of.incident.alerts} - {""})
        lines = [
            f"Noticed after {self._span(self._of.times.spans['detect'])}.",
            f"Layers whose alerts belong to the incident: {', '.join(map(_plain, layers)) or 'none'}.",
            f"Alerts of the system that fired: {_counted(entry.subject for entry in firing) or 'none is known'}.",
        ]
        for kind in (EventKind.SILENCED, EventKind.INHIBITED):
            muted = [entry for entry in self._of.timeline if entry.kind is kind]
            if muted:
                lines.append(f"{kind.capitalize()}: {_counted(entry.subject for entry in muted)}.")
        for entry in self._of.timeline:
            if entry.kind is EventKind.UNSEEN:
                lines.append(f"Monitoring itself had a gap from {_time(entry.at)} UTC. {_plain(entry.text)}")
        yield bullets(lines)
        if self._of.fault:
            yield self._candidates(self._of.fault)

    def _candidates(self, fault: Fault) -> str:
        """When each threshold would have been crossed, and how often before the fault."""
        calm = [window for window in self._of.evidence.windows if window.end <= fault.start.earliest]
        rows = []
        for threshold in CANDIDATES:
            crossed = next((window for window in fault.windows if _is_over(fault.in_window(window), threshold)), None)
            false = sum(_is_over(fault.in_window(window), threshold) for window in calm)
            rows.append((f"{threshold:.2f}", _time(crossed.end) if crossed else "never", f"{false} of {len(calm)}"))
        head = f"What other thresholds on the PSI of {_plain(fault.feature)} would have done, on the same windows:"
        return f"{head}\n\n" + table(
            ("PSI above", "Crossed in the window that ended (UTC)", "Windows before that cross it"), rows
        )

    def response(self) -> str:
        """Each mitigation with what came of it, and the resolution."""
        done = [entry for entry in self._of.timeline if entry.kind is EventKind.MITIGATED]
        lines = [
            f"{_time(entry.at)} UTC, {self._actor(entry)}: {_plain(self._people.text(entry.text))}" for entry in done
        ]
        if not lines:
            lines.append("No mitigation was recorded.")
        if (fault := self._of.fault) and fault.after:
            psi = fault.in_window(fault.after).psi
            measured = "" if psi is None else f" (PSI {psi:.3f})"
            lines.append(
                f"{_plain(fault.feature)} was as in the reference again in the window that ended at "
                f"{_time(fault.after.end)} UTC{measured}{self._after_mitigation(fault.after)}."
            )
        elif fault:
            lines.append(f"No window shows {_plain(fault.feature)} as in the reference again.")
        resolved = self._of.times.resolved
        lines.append(f"Resolved at {_time(resolved)} UTC." if resolved else "It is not resolved.")
        return "\n\n".join([bullets(lines), *_effects(self._of.effects)])

    def _actor(self, entry: TimelineEntry) -> str:
        return _plain(self._people.actor(entry.actor)) or "unknown"

    def _after_mitigation(self, calm: WindowFacts) -> str:
        mitigated = self._of.times.mitigated
        if mitigated is None or calm.end < mitigated:
            return ""
        return f", {self._length((calm.end - mitigated) / timedelta(seconds=1))} after the mitigation"

    # -------------------------------------------------------- why

    def causes(self) -> str:
        """The causes, likeliest first, with what speaks for and against each."""
        head = "What the evidence says about the seven root causes of incidents of models, likeliest first. A person decides."
        likely = [hint for hint in self._of.causes if hint.balance > 0] or list(self._of.causes[:1])
        shown = [_cause(hint) for hint in likely]
        rest = [
            (hint.cause, str(len(hint.speaks_for)), _first_against(hint))
            for hint in self._of.causes
            if hint not in likely
        ]
        return "\n\n".join([head, *shown, table(("Less likely", "Signs for it", "Because"), rest)])

    def model(self) -> str:
        """Drift type, scores, outcomes, the cells that moved, and where the feature comes from."""
        fault = self._of.fault
        if fault is None:
            return "No measured window shows a feature beyond its thresholds."
        worst = fault.worst
        facts = fault.in_window(worst)
        moved = sorted({name for window in fault.windows for name, each in window.features.items() if each.severity})
        lines = [
            f"Drift type of the worst window: {worst.drift_type or 'unknown'}. {_plain(worst.drift_reason)}".rstrip(),
            f"Features beyond a threshold: {', '.join(map(_plain, moved))}, of "
            f"{max(len(window.features) for window in fault.windows)} measured.",
            f"{_plain(fault.feature)} comes from {_plain(facts.source) or 'a source that the spec does not name'}.",
            _scores(worst),
            _outcomes(fault.windows),
        ]
        return bullets(lines) + "\n\n" + _cells(fault.feature, facts)

    def evidence(self) -> str:
        """List the sources asked and the queries, so that every number can be looked up again."""
        known = self._of.evidence
        rows = [
            (_plain(each.source), _code(each.query), str(each.found), _plain(each.problem) or "")
            for each in known.asked
        ]
        head = (
            f"Collected from {_time(known.since)} to {_time(known.until)} UTC into `{known.incident}.evidence.json`: "
            f"{len(known.events)} events and {len(known.windows)} windows. Entries of the incident itself are in "
            f"`{known.incident}.yaml`."
        )
        parts = [head, table(("Source", "Asked for", "Found", "Problem"), rows) if rows else "No source was asked."]
        if metrics := [(_plain(name), _code(query)) for name, query in _queries(known)]:
            parts += ["Prometheus was asked for each metric:", table(("Metric", "Query"), metrics)]
        return "\n\n".join(parts)


def _queries(known: IncidentEvidence) -> Iterator[tuple[str, str]]:
    """Yield the query of each KPI, budget, event and line."""
    yield from ((kpi.title, kpi.query) for kpi in known.kpis)
    yield from ((f"Error budget of {budget.slo}", budget.query) for budget in known.budgets)
    yield from ((f"Event {count.name}", count.query) for count in known.counts)
    yield from ((f"{line.title} over time", line.query) for line in known.lines)


def _effects(effects: Sequence[Effect]) -> Iterator[str]:
    """Yield whether each metric got better again, if any was looked at."""
    rows = [
        (
            _plain(each.title),
            *map(_figure, (each.before, each.during, each.after)),
            f"from {_time(each.back_at)} UTC on" if each.back_at else _not_back(each),
        )
        for each in effects
    ]
    if rows:
        yield "What the mitigation did, as the mean of intervals of the length of a window:"
        yield table(
            ("Metric", "Before the fault", "Until the mitigation", "After it", "Within what it was before"), rows
        )


def _not_back(effect: Effect) -> str:
    return "unknown" if effect.before is None or effect.after is None else "not yet"


def _went(before: float, after: float) -> str:
    return "rose" if after > before else "fell"


def _difference(kpi: KpiFacts) -> str:
    return "unknown" if kpi.low is None else f"{kpi.low:+.4g} to {kpi.high:+.4g}"


def _figure(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4g}"


def _counted(subjects: Iterable[str]) -> str:
    """Each subject once, with how often it came where that is more than once."""
    found: dict[str, int] = {}
    for subject in subjects:
        found[subject] = found.get(subject, 0) + 1
    return ", ".join(
        f"{_plain(name)}{f' ({count} times)' if count > 1 else ''}" for name, count in sorted(found.items())
    )


def _is_over(feature: FeatureFacts, threshold: float) -> bool:
    """True if a rule with this threshold would have held: beyond it, and beyond noise."""
    return feature.over_noise and feature.psi is not None and feature.psi > threshold


def _cause(hint: Hint) -> str:
    signs = [
        *(f"for: {_plain(text)}" for text in hint.speaks_for),
        *(f"against: {_plain(text)}" for text in hint.speaks_against),
        *(f"unknown: {_plain(text)}" for text in hint.unknown),
    ]
    return f"**{hint.cause.capitalize()}**\n\n" + bullets(signs or ["the evidence says nothing"])


def _first_against(hint: Hint) -> str:
    return _plain(next(iter((*hint.speaks_against, *hint.unknown)), "nothing speaks for it"))


def _scores(window: WindowFacts) -> str:
    if window.score_psi is None:
        return "The prediction scores were not measured."
    state = window.score_severity or "no severity"
    return f"Prediction scores in the worst window: PSI {window.score_psi:.3f}, {state}."


def _outcomes(windows: Sequence[WindowFacts]) -> str:
    bad = {
        "feedback": "feedback_severity",
        "outcome rate": "label_severity",
        "performance": "performance_severity",
        "gap to the predictions": "gap_severity",
    }
    found = [name for name, field in bad.items() if any(getattr(window, field) for window in windows)]
    return f"Outcomes that windows of that time know of: {', '.join(found) + ' judged bad' if found else 'nothing judged bad'}."


def _cells(name: str, facts: FeatureFacts) -> str:
    top = sorted(facts.bins, key=lambda cell: (-cell.psi, cell.label))[:_SHOWN_CELLS]
    if not top:
        return f"The cells of {_plain(name)} are not known: {_plain(facts.status)}."
    rows = [(_plain(cell.label), f"{cell.reference:.1%}", f"{cell.current:.1%}", f"{cell.psi:.3f}") for cell in top]
    return f"The cells of {_plain(name)} that moved most:\n\n" + table(
        ("Cell", "Reference", "Worst window", "Adds to PSI"), rows
    )


def _code(text: str) -> str:
    """A query as code, which a table's cell can hold."""
    return f"`{printable(text).replace('`', chr(39)).replace('|', chr(92) + '|')}`"
