"""What a spec disables alerts nobody, draws no line, and still shows its figure."""

from msgspec.structs import fields, replace

from mlvitals.generator.signals import signals
from mlvitals.generator.spec.model import Alerts, FeatureThresholds, Levels, Spec


def disabled(spec: Spec, *policies: str) -> Spec:
    changed = {name: replace(getattr(spec.alerts, name), enabled=False) for name in policies}
    return replace(spec, alerts=replace(spec.alerts, **changed))


def test_a_disabled_policy_has_neither_alerts_nor_lines(streamrec: Spec):
    [before] = (signal for signal in signals(streamrec) if signal.id == "feature_drift")
    [after] = (signal for signal in signals(disabled(streamrec, "feature_psi")) if signal.id == "feature_drift")
    assert before.alerts
    assert before.levels
    assert (after.alerts, after.levels, after.queries) == ((), (), before.queries)


def test_a_features_own_levels_alert_nobody_either_where_the_policy_is_disabled(streamrec: Spec):
    own = FeatureThresholds(psi=Levels(warning=0.2))
    features = {name: replace(feature, thresholds=own) for name, feature in streamrec.features.items()}
    spec = disabled(replace(streamrec, features=features), "feature_psi")
    assert "MLFeatureDrift" not in {alert.name for signal in signals(spec) for alert in signal.alerts}


def test_with_everything_disabled_the_watchdog_alone_remains(streamrec: Spec):
    policies = [field.name for field in fields(Alerts) if hasattr(getattr(streamrec.alerts, field.name), "enabled")]
    nothing = replace(streamrec, alerts=replace(streamrec.alerts, variance_ratio=None))
    remaining = {alert.name for signal in signals(disabled(nothing, *policies)) for alert in signal.alerts}
    assert remaining == {"MLWatchdog"}
