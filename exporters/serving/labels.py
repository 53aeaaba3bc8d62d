"""The values of a label with series of their own: those that the spec names, and a few more; the others share one."""

from __future__ import annotations

from collections.abc import Callable, Iterable

OTHER = "other"
"""Stands for every value that has no series of its own."""
UNNAMED = 20
"""Values of a label that the spec does not name and that have series of their own all the same."""
ANNOUNCED = 100
"""The same, where the application says beforehand that a value will come, as it does of its models."""
LONGEST = 200
"""Characters of a value that the spec does not name."""


class LabelValues:
    """The values of one label that have series of their own. What the application is asked cannot add to them for ever.

    Args:
        named: the values that the spec names.
        in_use: the values that any process of the application has series of.
        overflow: counts a value that shares the series of `OTHER`.

    """

    def __init__(self, named: Iterable[str], in_use: Callable[[], Iterable[str]], overflow: Callable[[], None]) -> None:
        self._named = frozenset((*named, OTHER))
        self._in_use = in_use
        self._overflow = overflow
        self._unnamed: set[str] = set()

    def admit(self, value: object, room: int = UNNAMED) -> str:
        """Return the value, as text that can be published, or `OTHER` where there is no room for it."""
        text = str(value).encode(errors="replace").decode()
        if text in self._named or text in self._unnamed or self._has_room_for(text, room):
            return text
        self._overflow()
        return OTHER

    def _has_room_for(self, text: str, room: int) -> bool:
        if len(self._unnamed) >= room or len(text) > LONGEST:
            return False
        self._unnamed.update(value for value in self._in_use() if value not in self._named)
        if text not in self._unnamed and len(self._unnamed) < room:
            self._unnamed.add(text)
        return text in self._unnamed
