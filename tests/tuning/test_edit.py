"""A spec is changed where it stands: comments and layout stay, and it reads back as what was meant."""

import pytest
import yaml

from mlvitals.generator.spec.document import parse
from mlvitals.tuning.edit import EditError, edited
from mlvitals.tuning.propose import Proposal

HEAD = "version: 1\nsystem: {name: shop}\nprediction_log: {path: log}\n"
PSI = ("features", "age", "thresholds", "psi", "warning")


def changed(text: str, *proposals: Proposal) -> str:
    return edited(text, proposals, "shop.yaml")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(
            "features: {age: {}}\n", "features: {age: {thresholds: {psi: {warning: 0.2}}}}  # why\n", id="empty"
        ),
        pytest.param(
            "features:\n  age: {type: float}\n",
            "features:\n  age: {type: float, thresholds: {psi: {warning: 0.2}}}  # why\n",
            id="flow",
        ),
        pytest.param(
            "features:\n  age:\n    type: float  # years\n\n# the end\n",
            "features:\n  age:\n    type: float  # years\n"
            "    thresholds:\n      psi:\n        warning: 0.2  # why\n\n# the end\n",
            id="block, before the comments that follow",
        ),
        pytest.param(
            "features:\n  age:\n    thresholds:\n      psi: {warning: 0.1, critical: 0.4}\n    type: float\n",
            "features:\n  age:\n    thresholds:\n      psi: {warning: 0.2, critical: 0.4}  # why\n    type: float\n",
            id="a value that is there",
        ),
        pytest.param(
            "features:\n  age:\n    thresholds:\n      psi:\n        warning: 0.1  # mine\n",
            "features:\n  age:\n    thresholds:\n      psi:\n        # why\n        warning: 0.2  # mine\n",
            id="a value with a comment",
        ),
        pytest.param(
            "features:\n  age: {\n    type: float,  # years\n  }\n",
            "features:\n  # why\n  age: {\n    type: float, thresholds: {psi: {warning: 0.2}}  # years\n  }\n",
            id="braces over lines",
        ),
        pytest.param(
            "features:\n    age:\n        type: float",
            "features:\n    age:\n        type: float\n        thresholds:\n          psi:\n            warning: 0.2  # why",
            id="no line break at the end",
        ),
    ],
)
def test_layout(before: str, after: str):
    assert changed(HEAD + before, Proposal(PSI, 0.2, "why")) == HEAD + after


def test_a_section_that_is_missing_is_added_at_the_end():
    text = HEAD + "features: {age: {}}\n"
    proposal = Proposal(("alerts", "score_psi", "warning"), 0.2, "why")
    assert changed(text, proposal) == text + "alerts:\n  score_psi:\n    warning: 0.2  # why\n"


def test_two_values_of_one_line_share_their_reason():
    text = HEAD + "features: {age: {thresholds: {psi: {warning: 0.1, critical: 0.2}}}}\n"
    both = [Proposal((*PSI[:-1], name), value, "why") for name, value in (("warning", 0.3), ("critical", 0.6))]
    assert changed(text, *both) == text.replace("0.1", "0.3").replace("0.2", "0.6").rstrip() + "  # why\n"


@pytest.mark.parametrize("name", ["#1", "a: b", "'", "ü", "null", "{x}", "on", "%\t"])
def test_hostile_names(name: str):
    text = HEAD + yaml.safe_dump({"features": {name: {"type": "float"}}}, allow_unicode=True)
    after = changed(text, Proposal(("features", name, "thresholds", "psi", "warning"), 0.2, "why"))
    assert parse(after.encode(), "shop.yaml").data["features"] == {
        name: {"type": "float", "thresholds": {"psi": {"warning": 0.2}}}
    }


def test_what_would_change_something_else_is_refused():
    text = HEAD + "features:\n  age: &same {type: float}\n  income: *same\n"
    with pytest.raises(EditError, match=r"set by hand: features\.age\.thresholds\.psi\.warning"):
        changed(text, Proposal(PSI, 0.2, "why"))
