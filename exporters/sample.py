"""A figure as it is published."""

from typing import TypeAlias

Sample: TypeAlias = tuple[tuple[str, ...], float | None]
"""Label values in the order of the family's labels, and the value; None where it is undefined."""
