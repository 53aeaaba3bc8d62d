"""The variables at the top of a dashboard, and expressions filtered by their values."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from mlvitals.generator.contract import Contract, Family, Producer
from mlvitals.generator.promql import matching, one_of, selector, with_matchers, with_replaced
from mlvitals.generator.signals.signal import Query, Signal

Json = dict[str, Any]

DATA_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_ANY = "(?s).*"
"""Any value, including one with a line break and a missing one."""
_JOB = "job"
_ON_TIME_RANGE_CHANGE = 2
_SCRAPED_FROM_SERVING = (Producer.SERVING, Producer.PROCESS)


@dataclass(frozen=True, slots=True)
class Variable:
    """A label whose values can be chosen."""

    label: str
    title: str
    description: str
    query: str
    single: bool = False
    """One value at a time, and no "All"."""
    everything: str = ""
    """The matcher of "All"; without it, "All" is the values that the query returned, which other variables may filter."""

    @property
    def matcher(self) -> str:
        """The matcher of a selector."""
        return _chosen(self.label)

    def document(self) -> Json:
        """Return the variable as dashboard JSON."""
        everything = {"text": "All", "value": "$__all"}
        return {
            "type": "query",
            "name": self.label,
            "label": self.title,
            "description": self.description,
            "datasource": DATA_SOURCE,
            "query": self.query,
            "refresh": _ON_TIME_RANGE_CHANGE,
            "sort": 1,
            "hide": 0,
            "multi": not self.single,
            "includeAll": not self.single,
            **({"allValue": self.everything} if self.everything else {}),
            **({} if self.single else {"current": everything}),
        }


def data_source_variable() -> Json:
    """Return the variable of the Prometheus to query; a fixed one would not exist elsewhere."""
    return {
        "type": "datasource",
        "name": "datasource",
        "label": "Data source",
        "description": "The Prometheus server that scrapes the system.",
        "query": "prometheus",
        "refresh": 1,
        "hide": 0,
        "multi": False,
        "includeAll": False,
    }


def chosen_environment(labels: Mapping[str, str]) -> list[Json]:
    """Return a variable for each label of the identity, in which its own value stands and another one can be typed.

    They are no queries: where an environment has no series, a query would offer another one, and Grafana would choose that.
    """
    return [
        {
            "type": "textbox",
            "name": label,
            "label": label,
            "description": f"The {label} that this dashboard shows. Type another one to see that through it; thresholds and "
            "links stay this one's.",
            "query": value,
            "current": {"text": value, "value": value},
            "hide": 0,
        }
        for label, value in labels.items()
    ]


def of_environment(expression: str, labels: Mapping[str, str]) -> str:
    """Return the expression of a dashboard whose selectors demand the chosen environment, and not the identity itself."""
    chosen = {selector("", **{label: value})[1:-1]: _chosen(label) for label, value in labels.items()}
    return with_replaced(expression, chosen)


def _chosen(label: str) -> str:
    """Return the matcher of a selector for the chosen values.

    The format `regex` inside a raw string is what Grafana writes faithfully for any value: the default leaves
    quotation marks and line breaks as they are, and the query would not parse. Only a backtick still breaks it.
    """
    return f"{label}=~`${{{label}:regex}}`"


def chosen_jobs(contract: Contract) -> tuple[Variable, ...]:
    """Return the variable that chooses scrape jobs."""
    families = ["feature_info", *(["predictions_total"] if contract.spec.serving.enabled else [])]
    published = one_of("__name__", map(contract.name, families))
    identity = selector("", **contract.spec.identity.labels)[1:-1]
    return (
        Variable(
            _JOB,
            "Scrape job",
            "Filters what Prometheus scrapes: choose one where two jobs scrape the same processes. What rules record is over "
            "all jobs.",
            f"label_values({matching('', *filter(None, (published, identity)))}, {_JOB})",
            everything=_ANY,
        ),
    )


def chosen_features(contract: Contract) -> tuple[Variable, ...]:
    """Return the variables that choose several features: their source, and the features themselves."""
    info = contract.name("feature_info")
    source = Variable(
        "feature_source",
        "Feature source",
        "The pipeline that delivers features. Choosing one limits the features to choose from.",
        f"label_values({info}, feature_source)",
        everything=_ANY,
    )
    described = "Filters the panels about features."
    if not contract.spec.sources:
        return (Variable("feature_name", "Feature", described, f"label_values({info}, feature_name)"),)
    of_source = f"label_values({info}{{{source.matcher}}}, feature_name)"
    return source, Variable("feature_name", "Feature", described, of_source)


def chosen_feature(contract: Contract) -> tuple[Variable, ...]:
    """Return the variable that chooses one feature."""
    query = f"label_values({contract.name('feature_info')}, feature_name)"
    return (Variable("feature_name", "Feature", "The feature that this page shows.", query, single=True),)


def chosen_servers(contract: Contract) -> tuple[Variable, ...]:
    """Return the variables that choose model versions and serving instances."""
    if not contract.spec.serving.enabled:
        return ()
    up = selector("up", job=contract.spec.serving_job)
    return (
        Variable(
            "model_version",
            "Model version",
            "Filters scores, model age, and panels by version; totals that alerts read are over all versions.",
            f"label_values({contract.name('model_info')}, model_version)",
            everything=_ANY,
        ),
        Variable(
            "instance",
            "Serving instance",
            "Filters scores, CPU, memory and GPU; totals that alerts read are over all instances.",
            f"label_values({up}, instance)",
            everything=_ANY,
        ),
    )


def restricted(signals: Iterable[Signal], variables: Iterable[Variable], contract: Contract) -> Iterator[Signal]:
    """Yield the signals, with their queries filtered by the variables."""
    signals, matchers = tuple(signals), {variable.label: variable.matcher for variable in variables}
    records = (record.name for signal in signals for record in signal.records)
    by_series = {
        **{name: _labels(family) for name, family in contract.by_series.items()},
        **{name: frozenset({name.partition(":")[0]}) for name in records},
    }
    wanted = {
        name: ",".join(matcher for label, matcher in matchers.items() if label in labels)
        for name, labels in by_series.items()
        if labels & matchers.keys()
    }

    def of(query: Query) -> Query:
        return replace(query, expression=with_matchers(query.expression, wanted))

    for signal in signals:
        yield replace(signal, queries=tuple(map(of, signal.queries)))


def _labels(family: Family) -> frozenset[str]:
    """Return the labels by which a family's series are filtered; `instance` means only that of the serving application.

    Prometheus's own series about a job are selected by its name already.
    """
    own = {label for label in family.labels if label not in {"instance", _JOB}}
    if family.producer in _SCRAPED_FROM_SERVING:
        return frozenset({*own, "instance", _JOB})
    return frozenset({*own, _JOB} if family.producer is Producer.EXPORTER else own)
