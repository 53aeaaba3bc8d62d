"""The model layer by class, for outcomes of more than two classes: which are recognised worse, and which are unknown."""

from collections.abc import Iterator
from functools import partial

from mlvitals.generator.contract import CLASSES_SHOWN, Contract
from mlvitals.generator.signals.building import Ranking, at_levels, beyond_noise
from mlvitals.generator.signals.signal import (
    THINNED,
    Incident,
    Input,
    Layer,
    Place,
    Query,
    Record,
    Scenario,
    Signal,
    View,
    levels,
)
from mlvitals.generator.signals.text import Format, Found, FoundValue, LabelOf, Literal, Value
from mlvitals.generator.spec.model import Spec

_CLASS, _SIDE = "class", "side"
_SHOWN = 10
_EXAMPLE = {_CLASS: 'a "b" {{ c }} $d'}
_panel = partial(
    Signal, layer=Layer.MODEL, incident=Incident.PREDICTION_DRIFT, place=Place.DETAIL, view=View.STEPS, width=8
)


def class_signals(spec: Spec, contract: Contract) -> Iterator[Signal]:
    """Yield the signals of a spec whose outcomes are classes."""
    if spec.has_probabilities:
        yield _probabilities(spec, contract)
    yield _recall(spec, contract)
    yield _unlisted(spec, contract)
    yield _table(contract)


def _by_class(expression: str) -> str:
    """Return PromQL for one series per class, whichever instance of the exporter reported it."""
    return f"max by ({_CLASS}) ({expression})"


def _ranking(metric: str) -> Ranking:
    """Return the ranking of the worst classes."""
    return Ranking(Record(f"{_CLASS}:{metric}:max", _by_class(metric), every=THINNED), by=_CLASS, count=_SHOWN)


def _recall(spec: Spec, contract: Contract) -> Signal:
    metric, policy = contract.name("class_recall_loss"), spec.alerts.performance_loss
    rows, ranking = contract.name("class_rows"), _ranking(metric)
    in_window = (Literal(" Outcomes of it in the window: "), FoundValue(Format.NUMBER), Literal("."))
    return _panel(
        id="class_recall_loss",
        title="Recall lost by class",
        description="Share of each class' recall in the reference that is lost. The worst are shown. Normal: near 0, below "
        "the first line. Above it: the confusion matrix of the window's report says which class it is taken for.",
        unit="percentunit",
        minimum=None,
        queries=(ranking.query,),
        levels=levels(policy),
        records=ranking.records,
        empty="No class has an outcome both in the window and in the reference.",
        alerts=beyond_noise(
            policy,
            metric,
            name="MLClassRecallLoss",
            summary="One class is recognised worse than in the reference.",
            describe=lambda exceeds: (
                f"{contract.spec.title}: the class ",
                LabelOf(_CLASS),
                " has lost ",
                Value(Format.PERCENT),
                f" of its recall, {exceeds}.",
                Found(rows, (_CLASS,), {}, in_window),
            ),
            form=Format.PERCENT,
            context=(Input(rows, _EXAMPLE, 480),),
            by=_EXAMPLE,
        ),
    )


def _probabilities(spec: Spec, contract: Contract) -> Signal:
    metric, policy = contract.name("class_probability_psi"), spec.alerts.score_psi
    ranking = _ranking(metric)
    return _panel(
        id="class_probability_drift",
        title="Drift of probabilities by class (PSI)",
        description="Population stability index of the probability of each class against the training data. The worst are "
        "shown. Normal: below the first line. Above it: the model sees other inputs, or is another one; see feature drift.",
        unit="none",
        decimals=3,
        queries=(ranking.query,),
        levels=levels(policy),
        records=ranking.records,
        empty="No class has enough probabilities on both sides.",
        alerts=beyond_noise(
            policy,
            metric,
            name="MLClassScoreDrift",
            summary="The predicted probability of one class has moved away from the reference.",
            describe=lambda exceeds: (
                f"{contract.spec.title}: the probability of the class ",
                LabelOf(_CLASS),
                " has a PSI of ",
                Value(Format.NUMBER),
                f" against the reference, {exceeds}.",
            ),
            by=_EXAMPLE,
        ),
    )


def _unlisted(spec: Spec, contract: Contract) -> Signal:
    metric, policy, labels = contract.name("class_unlisted_ratio"), spec.alerts.new_category_ratio, {_SIDE: "outcomes"}
    return _panel(
        id="class_unlisted",
        title="Classes that the spec does not list",
        description="Share of the outcomes, and of the predictions, of classes that the spec does not list. Normal: 0. They "
        "count as predicted wrong.",
        unit="percentunit",
        queries=(Query(f"max by ({_SIDE}) ({metric})", f"{{{{{_SIDE}}}}}"),),
        levels=levels(policy),
        alerts=at_levels(
            policy,
            name="MLUnlistedClass",
            expression=f"max by ({_SIDE}) ({metric})",
            summary="Outcomes or predictions are of classes that the spec does not list.",
            describe=lambda exceeds: (
                f"{contract.spec.title}: ",
                Value(Format.PERCENT),
                " of the ",
                LabelOf(_SIDE),
                f" are of classes that the spec does not list, {exceeds}. The window's report names them.",
            ),
            scenario=lambda value: Scenario((Input(metric, labels, value),), labels),
            form=Format.PERCENT,
        ),
    )


def _table(contract: Contract) -> Signal:
    figures = {
        "class_rows": "Outcomes",
        "class_share": "Share",
        "class_share_reference": "Share, reference",
        "class_recall": "Recall",
        "class_recall_reference": "Recall, reference",
        "class_precision": "Precision",
        "class_f1": "F1",
    }
    return _panel(
        id="classes",
        title="Classes",
        description="The mature window by class: outcomes, their share, recall, precision and F1. The "
        f"{CLASSES_SHOWN} worst are published; the window's report has all, and the confusion matrix.",
        unit="none",
        decimals=3,
        queries=tuple(
            Query(_by_class(contract.name(short)), heading, instant=True) for short, heading in figures.items()
        ),
        view=View.TABLE,
        width=24,
    )
