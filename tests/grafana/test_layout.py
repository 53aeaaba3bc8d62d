"""The flow of panels into lines."""

from hypothesis import given
from hypothesis import strategies as st

from mlvitals.generator.grafana.layout import COLUMNS, Box, Size, flow

SIZES = st.lists(st.builds(Size, width=st.integers(1, COLUMNS), height=st.integers(1, 12)), max_size=12)


def test_sizes_that_fit_share_a_line():
    assert list(flow([Size(8, 7), Size(16, 7)], top=3)) == [Box(0, 3, 8, 7), Box(8, 3, 16, 7)]


def test_a_size_that_does_not_fit_begins_the_next_line():
    assert list(flow([Size(16, 7), Size(12, 5)])) == [Box(0, 0, 24, 7), Box(0, 7, 24, 5)]


def test_a_line_that_is_not_full_is_stretched_in_proportion():
    assert list(flow([Size(4, 5), Size(8, 5)])) == [Box(0, 0, 8, 5), Box(8, 0, 16, 5)]


def test_all_of_a_line_are_as_high_as_its_tallest():
    assert [box.height for box in flow([Size(12, 5), Size(12, 9)])] == [9, 9]


@given(SIZES)
def test_every_cell_down_to_the_bottom_is_covered_exactly_once(sizes):
    boxes = list(flow(sizes))
    cells = [(x, y) for box in boxes for x in range(box.x, box.x + box.width) for y in range(box.y, box.y + box.height)]
    bottom = max((box.y + box.height for box in boxes), default=0)
    assert len(cells) == len(set(cells)) == COLUMNS * bottom
    assert len(boxes) == len(sizes)
