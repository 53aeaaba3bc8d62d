"""Rules on the criteria of incidents: what they name exists, and a graver severity asks for at least as much."""

import pytest

from mlvitals.generator.spec.diagnostics import SpecError
from mlvitals.generator.spec.load import parse_spec

SMALL = """\
version: 1
system: {name: shop}
prediction_log: {path: log}
features: {amount: {}}
business: {events: {sales: {unit: dollars}, clicks: {}}, kpis: {ctr: {numerator: clicks, denominator: clicks}}}
"""


def errors(text: str) -> list[str]:
    """Every problem of a spec, as ``line:column message``."""
    with pytest.raises(SpecError) as caught:
        parse_spec(SMALL + text)
    return [f"{item.position.line}:{item.position.column} {item.text}" for item in caught.value.diagnostics]


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        (
            "incidents: {sev1: {lost_per_hour: {sale: 500}}}",
            '6:36 incidents.sev1.lost_per_hour.sale "sale" is nothing that business.events counts; did you mean "sales"?',
        ),
        (
            "incidents: {sev1: {kpi_loss: {sales: 0.1}}}",
            '6:31 incidents.sev1.kpi_loss.sales "sales" is nothing that business.kpis counts',
        ),
        (
            "incidents: {sev1: {affected_ratio: 0.05}}",
            "6:36 incidents.sev1.affected_ratio 0.05 is below sev2's 0.1",
        ),
        (
            "incidents: {sev1: {lost_per_hour: {sales: 5}}, sev2: {lost_per_hour: {sales: 50}}}",
            "6:43 incidents.sev1.lost_per_hour.sales 5 is below sev2's 50",
        ),
        (
            "incidents: {sev1: {budget_spent: 0.5}}",
            "6:34 incidents.sev1.budget_spent has no effect without an objective in slos",
        ),
        (
            "incidents: {targets: {acknowledge: 2h, mitigate: 1h}}",
            "6:36 incidents.targets.acknowledge 2h is later than mitigate 1h",
        ),
    ],
)
def test_a_breach_is_reported_at_the_value_to_blame(section, expected):
    assert errors(section) == [expected]


def test_a_part_of_a_severity_keeps_the_rest_of_its_defaults():
    spec = parse_spec(SMALL + "incidents: {sev2: {kpi_loss: {ctr: 0.05}}}")
    assert (spec.incidents.sev2.affected_ratio, spec.incidents.sev2.kpi_loss) == (0.10, {"ctr": 0.05})


@pytest.mark.parametrize("loss", ["0", "-1", ".inf"])
def test_a_loss_is_a_finite_number_above_0(loss):
    assert errors(f"incidents: {{sev1: {{lost_per_hour: {{sales: {loss}}}}}}}")
