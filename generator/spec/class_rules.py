"""Rules on outcomes of more than two classes: which columns hold predictions, and which names are classes."""

from collections.abc import Iterator

from mlvitals.generator.spec.diagnostics import KeyPath, Problem, did_you_mean, dotted, quoted
from mlvitals.generator.spec.model import Outcome, OutcomeKind

MOST_CLASSES = 100
"""A confusion matrix of more classes is not read by anyone, and each class adds series."""


def check_classes(outcome: Outcome, where: KeyPath) -> Iterator[Problem]:
    """Check what an outcome says of classes."""
    if outcome.kind is not OutcomeKind.MULTICLASS:
        for key in ("classes", "probabilities"):
            if getattr(outcome, key):
                message = f"has an effect only if kind is multiclass, and it is {outcome.kind}"
                yield Problem(((*where, key), (*where, "kind")), message, "consistency")
        return
    kind = (*where, "kind")
    if outcome.prediction is None and not outcome.probabilities:
        message = "multiclass compares outcomes with the predicted class, which needs prediction or probabilities"
        hint = "name the column of the predicted class as prediction, or the column of each class under probabilities"
        yield Problem((kind, where), message, "consistency", hint)
    elif not outcome.class_names:
        message = "multiclass needs the names of all classes"
        hint = "list them as classes, as the outcome column writes them"
        yield Problem((kind, where), message, "consistency", hint)
    else:
        yield from _names(outcome, where)
    yield from _columns(outcome, where)


def _names(outcome: Outcome, where: KeyPath) -> Iterator[Problem]:
    names, key = outcome.class_names, "classes" if outcome.classes else "probabilities"
    if len(names) < 2:
        message = f"names one class, {quoted(names[0])}, and there is nothing to confuse it with"
        yield Problem(((*where, key),), message, "range", "name all classes that the model distinguishes")
    if len(names) > MOST_CLASSES:
        message = f"names {len(names):,} classes; at most {MOST_CLASSES} are measured"
        hint = "map rare classes to one, in the log and in the training data"
        yield Problem(((*where, key),), message, "range", hint)
    if not (outcome.classes and outcome.probabilities):
        return
    for name in outcome.probabilities:
        if name not in outcome.classes:
            message = f"has a column for the class {quoted(name)}, which classes does not list"
            path = (*where, "probabilities", name)
            hint = did_you_mean(name, outcome.classes)
            yield Problem((path, (*where, "classes")), message, "dangling-reference", hint, at_key=True)
    if missing := [name for name in outcome.classes if name not in outcome.probabilities]:
        message = f"has no column for the class {quoted(missing[0])}, which classes lists"
        hint = "give the column of each class, or of none"
        yield Problem(((*where, "probabilities"), (*where, "classes")), message, "consistency", hint)


def _columns(outcome: Outcome, where: KeyPath) -> Iterator[Problem]:
    """Check that no column is two things: the outcome, the predicted class, or a probability."""
    taken: dict[str, KeyPath] = {outcome.column: (*where, "column")}
    columns = {(*where, "probabilities", name): column for name, column in outcome.probabilities.items()}
    if outcome.prediction is not None:
        columns = {(*where, "prediction"): outcome.prediction} | columns
    for path, column in columns.items():
        if column in taken:
            message = f"is {quoted(column)}, which {dotted(taken[column])} is too"
            yield Problem((path, taken[column]), message, "column-clash")
        taken.setdefault(column, path)
