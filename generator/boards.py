"""The dashboards of a system and their addresses. Separate from the drawing, because alerts and runbooks link to them too."""

from enum import StrEnum
from hashlib import sha256

from mlvitals.generator.spec.model import Spec

_LONGEST_UID = 40


class Board(StrEnum):
    """A dashboard; the value is the end of its file's name and of its address."""

    MAIN = ""
    DETAILS = "details"
    FEATURE = "feature"
    SLO = "slo"
    MONITORING = "monitoring"


def boards(spec: Spec) -> tuple[Board, ...]:
    """Return the dashboards of a system."""
    return tuple(board for board in Board if board is not Board.SLO or spec.slos)


def board_name(spec: Spec, board: Board) -> str:
    """Return the name of a dashboard's file, without its ending."""
    return f"{spec.slug}-{board}" if board else spec.slug


def board_uid(spec: Spec, board: Board) -> str:
    """Return the address of a dashboard, at most 40 characters: a longer name is cut and made unique by a hash."""
    name = board_name(spec, board)
    if len(name) <= _LONGEST_UID:
        return name
    end = f"-{sha256(name.encode()).hexdigest()[:8]}-{board}"
    return name[: _LONGEST_UID - len(end)] + end
