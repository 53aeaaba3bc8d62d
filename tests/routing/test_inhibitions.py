"""Inhibitions and groups of StreamRec's alerts: a law of who is silent while who fires, a real Alertmanager, and mutants."""

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pytest
from routes import KnownAlerts
from test_delivery import alerting, send
from test_silences import asked, every_alert

from mlvitals.generator.routing.alertmanager import OF_THE_MODEL, alertmanager_document
from mlvitals.generator.signals import signals
from mlvitals.generator.spec.model import Spec

Labels = Mapping[str, str]
Pair = tuple[int, int]
"""The places of a silent alert, and of one that silences it, in the list of all alerts."""

PATIENCE_SECONDS = 30
RANK = {"none": 9, "info": 1, "warning": 2, "critical": 3}
"""The watchdog is as if more severe than all others: none of them silences it."""
ABOUT = (
    "feature_name", "feature_source", "kpi", "slo", "segment", "segment_value", "status", "reason", "gpu", "measure",
    "compared_with",
)  # fmt: skip
MANY = "MLManyFeaturesDrifting"
DRIFT = {"MLFeatureDrift", MANY, "MLDriftWithBusinessImpact"}
WITHOUT_SERVING = {
    "MLServingDown", "MLDataStale", "MLSourceAgeUnknown", "MLSourceInFuture", "MLExporterDown", "MLResultsStale",
    "MLRunFailed", "MLRulesFailing", "MLIncidentsUnreadable", "MLWatchdog",
}  # fmt: skip
"""What the state of the serving application does not change."""
EXPLAINED: dict[str, tuple[set[str], set[str]]] = {
    "MLErrorRateHigh": (set(), {"prediction_availability", "prediction_latency"}),
    "MLLatencyHigh": (set(), {"prediction_latency"}),
    "MLDataStale": (set(), {"feature_freshness"}),
    "MLSourceAgeUnknown": (set(), {"feature_freshness"}),
    "MLSourceInFuture": (set(), {"feature_freshness"}),
    "MLFeatureDrift": ({"MLHarmfulDrift"}, {"drift_compliance"}),
    MANY: ({"MLHarmfulDrift"}, {"drift_compliance"}),
    "MLDriftWithBusinessImpact": (
        {"MLHarmfulDrift", "MLBusinessMetricDrop", "MLBusinessMetricLow"},
        {"drift_compliance"},
    ),
    "MLExporterDown": ({"MLErrorBudgetUnknown"}, set()),
    "MLScoreDrift": ({"MLSegmentScoreDrift"}, set()),
    "MLNewestScoreDrift": ({"MLSegmentScoreDrift"}, set()),
    "MLConceptDrift": ({"MLSegmentGap"}, set()),
    "MLHarmfulDrift": ({"MLSegmentGap"}, set()),
    "MLLabelDrift": ({"MLSegmentGap"}, set()),
}
"""The alerts, and the objectives whose burn alerts, that an alert explains."""


def says_more(source: Labels, target: Labels) -> bool:
    """The law: an alert is silent while one fires that is the same and more severe, or that explains it."""
    if (
        {source["system"], target["system"]} != {"streamrec"}
        or source == target
        or RANK[target["severity"]] > RANK[source["severity"]]
    ):
        return False
    milder = RANK[target["severity"]] < RANK[source["severity"]]
    name, of = source["alertname"], target["alertname"]

    def shared(label: str) -> bool:
        return bool(source.get(label)) and source.get(label) == target.get(label)

    same_subject = all(
        source.get(label) == target.get(label)
        for label in ABOUT
        if label != "feature_source" or "feature_name" not in source
    )
    of_feature = target["incident"] == "feature-drift" and "feature_name" in target
    return (
        (milder and name == of and same_subject)
        or (milder and of_feature and source["incident"] == "feature-drift" and shared("feature_name"))
        or (name == MANY and of_feature and shared("feature_source"))
        or _explains(name, of, target.get("slo", ""))
    )


def _explains(name: str, of: str, objective: str) -> bool:
    if name == "MLServingDown":
        return of not in WITHOUT_SERVING and objective != "feature_freshness"
    alerts, objectives = EXPLAINED.get(name, (set(), set()))
    return of in alerts or (of == "MLErrorBudgetBurn" and objective in objectives)


class Universe(KnownAlerts):
    """Alerts: each about two subjects, and in every severity, since a later release may have them; and another system's."""

    def __init__(self, known: Iterable[Labels]) -> None:
        known = list(known)
        own = sorted(
            {
                tuple(sorted({**each, "severity": severity}.items()))
                for each in known
                for severity in severities(each, known)
            }
        )
        super().__init__([*map(dict, own), *({**dict(each), "system": "shop"} for each in own)])

    def pairs(self, rule: Mapping[str, Any]) -> set[Pair]:
        """Who silences whom by one rule; what is on both sides silences nobody on both sides."""
        sources, targets = self.matching(rule["source_matchers"]), self.matching(rule["target_matchers"])
        both = sources & targets
        by_equal: dict[tuple[str, ...], list[int]] = {}
        for place in sources:
            by_equal.setdefault(self._equal(rule, place), []).append(place)
        return {
            (target, source)
            for target in targets
            for source in by_equal.get(self._equal(rule, target), ())
            if not (source in both and target in both)
        }

    def _equal(self, rule: Mapping[str, Any], place: int) -> tuple[str, ...]:
        return tuple(self.alerts[place].get(name, "") for name in rule["equal"])

    def lawful(self) -> set[Pair]:
        return {
            (target, source)
            for target, silent in enumerate(self.alerts)
            for source, loud in enumerate(self.alerts)
            if says_more(loud, silent)
        }

    def named(self, found: Iterable[Pair]) -> set[str]:
        """Pairs for people."""

        def of(place: int) -> str:
            labels = self.alerts[place]
            return " ".join(
                [labels["severity"], labels["alertname"], *(labels[each] for each in ABOUT if each in labels)]
            )

        return {f"{of(target)} <- {of(source)}" for target, source in found}


def severities(labels: Labels, known: Iterable[Labels]) -> tuple[str, ...]:
    """All severities for what has several and only follows from others; what explains others has those that it has."""
    name = labels["alertname"]
    several = len({each["severity"] for each in known if each["alertname"] == name}) > 1
    return ("info", "warning", "critical") if several and name not in {*EXPLAINED, MANY} else (labels["severity"],)


@pytest.fixture(scope="module")
def universe(streamrec: Spec) -> Universe:
    return Universe(every_alert(streamrec))


@pytest.fixture(scope="module")
def law(universe: Universe) -> set[Pair]:
    return universe.lawful()


@pytest.fixture(scope="module")
def document(streamrec: Spec) -> dict[str, Any]:
    return alertmanager_document(streamrec, signals(streamrec))


def test_who_is_silent_while_who_fires(document, universe, law):
    found = set().union(*map(universe.pairs, document["inhibit_rules"]))
    assert universe.named(found ^ law) == set()


# ---------------------------------------------------------------- mutations


def mutants(rule: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """An inhibition with one thing changed, for everything that can be; None is an inhibition that is missing."""
    yield "rule missing", None
    for side in ("source_matchers", "target_matchers"):
        for place, matcher in enumerate(rule[side]):
            rest = [*rule[side][:place], *rule[side][place + 1 :]]
            yield f"{side}: {matcher} missing", {**rule, side: rest}
            for name, changed in changed_matchers(matcher):
                yield f"{side}: {matcher} {name}", {**rule, side: [*rest, changed]}
    for label in rule["equal"]:
        yield f"equal: {label} missing", {**rule, "equal": [each for each in rule["equal"] if each != label]}


def changed_matchers(matcher: str) -> Iterator[tuple[str, str]]:
    name, operator, value = re.split(r'(=~|!~|!=|=)(?=")', matcher)
    opposite = {"=": "!=", "!=": "=", "=~": "!~", "!~": "=~"}[operator]
    yield "negated", f"{name}{opposite}{value}"
    yield "of another value", f'{name}{operator}"x{value[1:]}'
    for each in value.strip('"').split("|") if "|" in value else ():
        others = [other for other in value.strip('"').split("|") if other != each]
        yield f"without {each}", f'{name}{operator}"{"|".join(others)}"'


REASONS = {
    r"equal: system missing": "the matchers of both sides name the system",
    r"equal: (alertname|compared_with|feature_source) missing": "what it is about has one such value, or no milder alert",
    r"(source|target)_matchers: severity.* missing": "the rule of the other severity says the same of what is left",
    r"target_matchers: severity.* (without|of another value)": "what follows has no alert of that severity",
    r"source_matchers: alertname.* without ML": "this cause, or this alert, has no warning with something milder",
    r"target_matchers: alertname.* without ML": "this alert has an inhibition as what follows from something, or is no info",
    r"target_matchers: alertname=~\"MLErrorBudgetBurn\" missing": "only burn alerts have the label slo",
    r"target_matchers: alertname!~.* (missing|of another value)": "no cause silences itself; budgets have their rule",
    r"(source|target)_matchers: incident.* missing": "alerts on features are of one incident type",
    r"(rule missing|source_matchers: .* (negated|of another value)|target_matchers: .* of another value)": (
        "MLDataStale has no info for its warning to silence"
    ),
}
"""Why a changed inhibition is silent of the same alerts: the whole list of survivors, by kind."""
MOST_SURVIVORS = 175


def test_every_change_of_an_inhibition_breaks_the_law_or_has_a_reason_not_to(document, universe, law):
    rules = document["inhibit_rules"]
    silenced = [universe.pairs(rule) for rule in rules]
    survivors, tried = [], 0
    for place, rule in enumerate(rules):
        others = set().union(*(each for at, each in enumerate(silenced) if at != place))
        for name, mutant in mutants(rule):
            tried += 1
            if mutant is None or demands_what_must_be_equal(mutant):
                found = others | (universe.pairs(mutant) if mutant else set())
                survivors += [name] if found == law else []
    assert tried > 900
    assert [name for name in survivors if not any(re.fullmatch(f"{kind}.*", name) for kind in REASONS)] == []
    assert [kind for kind in REASONS if not any(re.fullmatch(f"{kind}.*", name) for name in survivors)] == []
    assert len(survivors) <= MOST_SURVIVORS


def demands_what_must_be_equal(rule: Mapping[str, Any]) -> bool:
    """Another test holds it of every rule: a label that both sides lack would count as equal."""
    sides = ("source_matchers", "target_matchers")
    return all(set(rule["equal"]) <= {matcher.partition("=")[0] for matcher in rule[side]} for side in sides)


# ---------------------------------------------------------------- a real Alertmanager


@pytest.mark.slow
def test_a_real_alertmanager_silences_by_the_law_and_groups_one_cause_as_one_incident(
    alertmanager, streamrec, tmp_path
):
    """All alerts of one subject after the other, each with what it silences."""
    everything = every_alert(streamrec)
    expected = {
        frozenset((name, value) for name, value in target.items() if value)
        for target in everything
        if any(says_more(source, target) for source in everything)
    }
    with alerting(alertmanager, streamrec, tmp_path) as url:
        send(url, *everything)
        silent: set[frozenset[tuple[str, str]]] = set()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while silent != expected and time.monotonic() < deadline:  # inhibitions learn of alerts after they are accepted
            answered = asked(url, "alerts")
            silent = {frozenset(each["labels"].items()) for each in answered if each["status"]["inhibitedBy"]}
        groups = asked(url, "alerts/groups")
    assert len(answered) == len(everything)
    assert silent == expected
    for group in groups:
        subjects = {cause(each["labels"]) for each in group["alerts"]}
        assert len(subjects) == 1, group["labels"]


def cause(labels: Labels) -> tuple[str, ...]:
    """What is one incident: a feature source, a type of incident, or a worse model whatever shows it."""
    worse = labels.get("policy") in OF_THE_MODEL
    return (labels["system"], "worse model" if worse else labels["incident"], labels.get("feature_source", ""))
