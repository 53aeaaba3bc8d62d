"""What panels read over weeks: at 1000 features a series of each, sampled at every scrape, would take too long."""

import re

import pytest

from mlvitals.generator.contract import SEGMENT_LABELS, Contract
from mlvitals.generator.grafana import dashboards
from mlvitals.generator.signals import signals

MANY = {"feature_name", *SEGMENT_LABELS}


@pytest.fixture(scope="module")
def ranges(streamrec):
    """The queries over the shown range, by dashboard; what is read at its end alone does not count."""
    return {
        board: [
            target["expr"] for panel in shown["panels"] for target in panel.get("targets", []) if not target["instant"]
        ]
        for board, shown in dashboards(streamrec, signals(streamrec)).items()
    }


@pytest.fixture(scope="module")
def raw(streamrec):
    """The series that are sampled at every scrape, one for each feature or segment."""
    by_series = Contract(streamrec).by_series
    return {name for name, family in by_series.items() if MANY & set(family.labels)}


def after(query: str, raw: set[str]) -> list[str]:
    """What follows each of the series in a query."""
    return [query[found.end() :] for found in re.finditer(r"[A-Za-z_:][\w:]*", query) if found[0] in raw]


def test_over_the_range_no_panel_reads_every_features_series_of_every_scrape(ranges, raw):
    everywhere = [query for board, queries in ranges.items() if board != "feature" for query in queries]
    assert not [query for query in everywhere if after(query, raw)]


def test_a_features_own_page_reads_that_feature_alone(ranges, raw):
    chosen = "{feature_name=~`${feature_name:regex}`"
    rests = [rest for query in ranges["feature"] for rest in after(query, raw)]
    assert rests
    assert not [rest for rest in rests if not rest.startswith((chosen, "[1h] @ end()"))]
