"""Which empty answers are good news."""

import pytest

from mlvitals.verification.calm import Asking, is_calm


def calm(expression: str) -> bool:
    """As a server tells that has data of everything except `gone`."""
    records = {"gone:wrong": ["x > 3"], "gone:conditions": ["gone > 3"], "gone:figure": ["x"]}
    return is_calm(expression, Asking(lambda part: "gone" not in part, records))


@pytest.mark.parametrize(
    "expression",
    [
        "x > 3",
        "1 < x",
        "time() - x > 60",
        "a / b > 0.01 and on () a > 100",
        "a unless b",
        "a unless gone",
        "sum by (feature_name) (status == 1)",
        "topk(3, max by (f) (s) == 1)",
        "max_over_time((a > 1)[5m:1m])",
        'absent(up{job="a"})',
        "absent_over_time(x[5m])",
        '(x > 1) or absent(up{job="a"})',
        'ALERTS{alertstate="firing"}',
        'count(ALERTS{alertstate="firing"})',
        "gone:wrong",
        "count by (feature_source) (gone:wrong)",
        "count(gone:wrong) > 5 and on () a > 3",
    ],
)
def test_a_condition_that_does_not_hold_is_calm_where_what_it_reads_is_there(expression):
    assert calm(expression)


@pytest.mark.parametrize(
    "expression",
    [
        "gone > 3",
        "gone / a > 0.01",
        "gone unless b",
        "sum(gone > 1)",
        "absent(gone)",
        "absent_over_time(gone[5m])",
        "(gone > 1) or absent(gone)",
        "count(gone:conditions)",
        "count(gone:figure) > 5",
    ],
)
def test_a_condition_on_what_is_not_there_is_not_calm(expression):
    assert not calm(expression)


@pytest.mark.parametrize("expression", ["x", "(x)", "a / b", "rate(x[5m])", "histogram_quantile(0.9, rate(x[5m]))"])
def test_a_figure_that_is_not_there_is_never_calm(expression):
    assert not calm(expression)


def test_bool_comparisons_drop_nothing():
    assert not calm("x > bool 3")
