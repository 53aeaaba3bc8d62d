"""docs/report.md describes the JSON form that machines read."""

import json
import re
from pathlib import Path

import msgspec
import pytest

from exporters.report import Bin, FeatureReport, FileProblem, Measure, Window, WindowReport
from generator.contract import Status

DOCUMENT = (Path(__file__).resolve().parent.parent.parent / "docs" / "report.md").read_text()
FORMS = (WindowReport, Window, FeatureReport, Measure, Bin, FileProblem)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_every_field_is_described(form: type[msgspec.Struct]):
    assert not [field.encode_name for field in msgspec.structs.fields(form) if f"`{field.encode_name}`" not in DOCUMENT]


def test_every_status_is_described():
    assert not [status for status in Status if f"| `{status.value}` |" not in DOCUMENT]


def test_the_example_is_a_report():
    [example] = re.findall(r"```json\n(.*?)```", DOCUMENT, re.DOTALL)
    report = WindowReport.from_json(example)
    known = {field.encode_name for field in msgspec.structs.fields(FeatureReport)}
    assert set(json.loads(example)["features"]["days_since_last_interaction"]) == known
    assert report.is_at_least(report.features["days_since_last_interaction"].psi.severity)
