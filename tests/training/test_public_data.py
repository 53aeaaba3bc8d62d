"""`mlvitals init` on data sets that packages ship: every column as a person says."""

from pathlib import Path

import pytest
from public_data import names, score, truth_of, write

from mlvitals.exporters.training.first_look import first_look
from mlvitals.generator.spec.first_spec import first_spec


def test_there_are_ten_data_sets_at_least():
    assert len(names()) >= 10


@pytest.mark.parametrize("name", names())
def test_every_column_is_what_a_person_says(name: str, tmp_path: Path):
    columns, form, rows = first_look([str(write(name, tmp_path))], tmp_path)
    truth = truth_of(name)["columns"]
    assert {column.name for column in columns} - {""} == truth.keys()
    found = score(first_spec("public", columns, form, rows), truth)
    assert (found.wrong, found.missed) == ((), ())
