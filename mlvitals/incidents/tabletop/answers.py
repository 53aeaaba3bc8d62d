"""The answers of a team in an exercise: from a file, for CI, or from a terminal, where thinking takes the time it takes."""

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Protocol

import msgspec
from msgspec import Meta

from mlvitals.generator.errors import UserError
from mlvitals.generator.spec.diagnostics import SpecError
from mlvitals.generator.spec.document import FileKind, parse, read_bytes
from mlvitals.generator.spec.durations import Duration, span
from mlvitals.incidents.record.model import Action, IncidentType, LongText, SevLevel, ShortText
from mlvitals.incidents.record.store import located

_KIND = FileKind("file of answers", "version and answers", "version: 1")


class AnswersError(UserError):
    """A file of answers that cannot be used."""


class Asked(StrEnum):
    """The questions to a team, in this order; the last one until it helps, or until the team gives up."""

    TAKE = "Who takes it?"
    SEE = "What do you see?"
    CLASSIFY = "How severe is it, and what is broken?"
    ACT = "What do you do?"


class _Answer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """An answer, and how long the team took for it."""

    after: Duration = "0s"

    @property
    def took(self) -> timedelta:
        """The time since the answer before, or since the page."""
        return span(self.after)


class Take(_Answer, tag="take", frozen=True, kw_only=True):
    """Somebody takes the incident."""

    who: ShortText
    role: ShortText = "on-call"


class See(_Answer, tag="see", frozen=True, kw_only=True):
    """The observations of the team, in its words."""

    text: LongText


class Classify(_Answer, tag="classify", frozen=True, kw_only=True):
    """The severity, what is broken, and why."""

    severity: SevLevel
    type: IncidentType | None = None
    text: LongText = ""


class Act(_Answer, tag="act", frozen=True, kw_only=True):
    """The mitigation that the team chooses."""

    action: Action
    text: LongText = ""


Answer = Take | See | Classify | Act
ASKED: dict[type[Answer], Asked] = {Take: Asked.TAKE, See: Asked.SEE, Classify: Asked.CLASSIFY, Act: Asked.ACT}


class Answers(Protocol):
    """A team."""

    def answer(self, asked: Asked) -> Answer | None:
        """Return the answer to a question; None where the team has none, or gives up."""


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    version: Literal[1]
    answers: Annotated[tuple[Answer, ...], Meta(min_length=1)]


class WrittenAnswers:
    """Answers from a file, given in its order to the questions that they answer."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        self._left = list(answers)

    def answer(self, asked: Asked) -> Answer | None:
        """Return the next answer to a question."""
        found = next((answer for answer in self._left if ASKED[type(answer)] is asked), None)
        if found is not None:
            self._left.remove(found)
        return found


def read_answers(path: Path) -> WrittenAnswers:
    """Read a file of answers.

    Raises:
        AnswersError: it cannot be used; says what is wrong, where and what to do.
    """
    try:
        document = parse(read_bytes(path, _KIND), str(path), _KIND)
    except SpecError as error:
        raise AnswersError(str(error)) from error
    if document.problems:
        raise AnswersError(str(SpecError(document.problems, document.lines)))
    try:
        return WrittenAnswers(msgspec.convert(document.data, _File).answers)
    except msgspec.ValidationError as error:
        raise AnswersError(located(document, error, "answers")) from error


Ask = Callable[[str, Sequence[str]], str]
"""Asks a question, with the words that can be answered if not all can, and returns a line; empty for no answer."""


class SpokenAnswers:
    """Answers from people at a terminal. Time passes on a clock, `factor` times as fast in the exercise.

    Args:
        ask: asks one question.
        factor: how many seconds of the exercise pass in one.
        clock: seconds, ascending.
    """

    def __init__(self, ask: Ask, factor: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._factor = factor
        self._clock = clock

    def answer(self, asked: Asked) -> Answer | None:
        """Ask, and return the answer with the time it took; an empty line is no answer."""
        begun = self._clock()
        answers = {Asked.TAKE: self._take, Asked.SEE: self._see, Asked.CLASSIFY: self._classify, Asked.ACT: self._act}
        given = answers[asked]()
        passed = f"{max(1, round(1000 * self._factor * (self._clock() - begun)))}ms"
        return msgspec.structs.replace(given, after=passed) if given else None

    def _take(self) -> Answer | None:
        who = self._ask(Asked.TAKE, ())
        return Take(who=who[:200]) if who else None

    def _see(self) -> Answer | None:
        text = self._ask(Asked.SEE, ())
        return See(text=text) if text else None

    def _classify(self) -> Answer | None:
        severity = self._ask("How severe is it?", tuple(SevLevel))
        if not severity:
            return None
        kind = self._ask("What is broken?", tuple(IncidentType))
        why = self._ask("Why?", ())
        return Classify(severity=SevLevel(severity), type=IncidentType(kind) if kind else None, text=why)

    def _act(self) -> Answer | None:
        action = self._ask(Asked.ACT, tuple(Action))
        return Act(action=Action(action), text=self._ask("What exactly?", ())) if action else None


def script() -> Iterator[Asked]:
    """Yield what is asked in turn; the last question again and again."""
    yield from (Asked.TAKE, Asked.SEE, Asked.CLASSIFY)
    while True:
        yield Asked.ACT
