"""What belongs together is one incident."""

from mlvitals.generator.rules.alerts import alert_rules
from mlvitals.generator.rules.promtool_tests import beyond
from mlvitals.generator.signals import signals
from mlvitals.generator.signals.signal import Alert
from mlvitals.generator.signals.text import Listed, Sample, Situation
from mlvitals.generator.spec.model import Spec


def alerts(spec: Spec, name: str) -> list[Alert]:
    return [rule.alert for rule in alert_rules(spec, signals(spec)) if rule.alert.name == name]


def test_five_features_of_one_source_are_one_incident_that_lists_them(streamrec):
    (alert,) = alerts(streamrec, "MLManyFeaturesDrifting")
    scenario = alert.scenario(beyond(alert))
    samples = tuple(Sample(item.metric, item.labels, item.value) for item in scenario.inputs)
    said = alert.description.rendered(Situation(5, scenario.labels, samples))
    assert said == (
        "5 features of source user_batch_features of StreamRec are drifting critically at once; 5 or more are one incident: "
        "account_age_days, country, days_since_last_interaction, preferred_language, user_age_years."
    )


def test_where_no_source_has_so_many_features_there_is_no_such_alert(tiny_spec, flights):
    assert not alerts(tiny_spec, "MLManyFeaturesDrifting")
    assert not alerts(flights, "MLManyFeaturesDrifting")


def test_drift_that_users_feel_names_the_figure_that_falls(streamrec):
    (alert,) = alerts(streamrec, "MLDriftWithBusinessImpact")
    scenario = alert.scenario(beyond(alert))
    samples = tuple(Sample(item.metric, item.labels, item.value) for item in scenario.inputs)
    said = alert.description.rendered(Situation(1, scenario.labels, samples))
    assert said == (
        "1 features of StreamRec are drifting critically: days_since_last_interaction. "
        "Click-through rate is 20% lower than 7d ago."
    )


def test_a_long_list_ends_with_and_more():
    samples = tuple(Sample("m", {"name": f"f{number}"}, 1) for number in range(5))
    assert Listed("m", (), "name", most=3).rendered(Situation(5, {}, samples)) == "f0, f1, f2 and more"


def test_a_system_without_figures_has_no_alert_on_them(tiny_spec):
    assert not alerts(tiny_spec, "MLDriftWithBusinessImpact")
    assert not alerts(tiny_spec, "MLBusinessMetricAbsent")
