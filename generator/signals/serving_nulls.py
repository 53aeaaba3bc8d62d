"""Nulls as the serving application sees them: minutes after they start, long before a window of the log ends."""

from collections.abc import Callable, Iterator, Sequence

from mlvitals.generator.contract import Contract
from mlvitals.generator.signals.building import (
    FEATURE,
    FeatureThreshold,
    Ranking,
    by_feature,
    exceeds,
    feature_thresholds,
)
from mlvitals.generator.signals.signal import (
    THINNED,
    Alert,
    Incident,
    Input,
    Layer,
    Place,
    Record,
    Scenario,
    Signal,
    levels,
)
from mlvitals.generator.signals.text import Format, LabelOf, Value, text
from mlvitals.generator.spec.durations import seconds
from mlvitals.generator.spec.model import AlertPolicy, Spec


def serving_null_rate(spec: Spec, contract: Contract) -> Signal:
    """Return the signal of the share of predictions requested with a null feature."""
    window, policy = spec.telemetry.rate_window, spec.alerts.null_rate
    nulls, rows = contract.name("serving_feature_null_total"), contract.name("serving_feature_rows_total")
    family = contract.name("serving_feature_null")
    record = f"{FEATURE}:{family}:ratio_rate{window}"
    # A peak between two samples must not be lost.
    thinned = Record(f"{FEATURE}:{family}:max_ratio_rate{window}", f"max_over_time({record}[{THINNED}])", every=THINNED)
    ranking = Ranking(thinned)
    nullable = tuple(name for name, feature in spec.features.items() if feature.nullable)
    required = tuple(name for name, feature in spec.features.items() if not feature.nullable)
    return Signal(
        id="serving_null_rate",
        layer=Layer.DATA,
        title="Null rate at serving, ten worst",
        description="Share of recent predictions whose feature was null, NaN or missing, counted by the "
        "application itself. Normal: like the null rate of the windows, which follows it. A jump is a feature "
        "store that does not answer, or lost keys. The lines are the general thresholds; a feature with its own "
        "thresholds in the spec may lie above them.",
        unit="percentunit",
        queries=(ranking.query,),
        incident=Incident.FEATURE_DRIFT,
        width=12,
        place=Place.DETAIL,
        levels=levels(policy),
        empty="No predictions, or the application does not pass its features (observe(..., features=...)).",
        records=(
            Record(
                record,
                f"sum by ({FEATURE}) (rate({nulls}[{window}])) / on () group_left () (sum(rate({rows}[{window}])) > 0)",
            ),
            *ranking.records,
        ),
        alerts=(
            *_alerts(
                contract,
                record,
                policy,
                tuple(name for name in nullable if spec.features[name].thresholds.null_rate is not None),
                "MLServingNullRateHigh",
                "A nullable feature",
            ),
            *_alerts(
                contract,
                record,
                policy,
                tuple(name for name in nullable if spec.features[name].thresholds.null_rate is None),
                "MLServingNullRateHigh",
                "A nullable feature",
                usual=contract.name("feature_reference_null_rate"),
            ),
            *_alerts(
                contract,
                record,
                spec.alerts.required_null_rate,
                required,
                "MLServingRequiredFeatureNull",
                "A feature that must never be null",
            ),
        ),
    )


_USUAL_RATE = 0.1
"""The reference's null rate in a test."""


def _beyond(rate: str, usual: str) -> str:
    return f"{rate} - on ({FEATURE}) (max by ({FEATURE}) ({usual}) or 0 * {rate})" if usual else rate


def _alerts(
    contract: Contract,
    record: str,
    policy: AlertPolicy,
    names: Sequence[str],
    alert_name: str,
    subject: str,
    usual: str = "",
) -> Iterator[Alert]:
    """Yield alerts on the rate, or, given the metric of the usual one, on what exceeds it.

    An exporter that is down publishes no usual rate: it then counts as 0.
    """
    spec = contract.spec
    window, minimum = spec.telemetry.rate_window, spec.alerts.error_rate_minimum
    nulls, rows = contract.name("serving_feature_null_total"), contract.name("serving_feature_rows_total")

    def scenario_of(example: str) -> Callable[..., Scenario]:
        def scenario(value: float, predictions: float = 1000) -> Scenario:
            of_example = {FEATURE: example}
            usually = (Input(usual, of_example, _USUAL_RATE),) if usual else ()
            rate = value + _USUAL_RATE if usual else value
            inputs = (Input(nulls, of_example, slope=predictions * rate), Input(rows, {}, slope=predictions))
            return Scenario((*inputs, *usually), of_example)

        return scenario

    def alert(group: FeatureThreshold) -> Alert:
        scenario = scenario_of(group.names[0])
        return Alert(
            name=alert_name,
            severity=group.severity,
            expression=_beyond(by_feature(record, group.matcher), usual),
            threshold=group.value,
            gate=f"and on ({FEATURE}) (sum by ({FEATURE}) (increase({nulls}[{window}])) >= {minimum})",
            gated=lambda value: scenario(value, predictions=0.5 / (value * seconds(window))),
            summary=f"{subject} is null in the predictions being made.",
            description=text(
                "Feature ",
                LabelOf(FEATURE),
                f" of {spec.title} is null in ",
                Value(Format.PERCENT),
                f"{' more' if usual else ''} of the predictions of the last {window}"
                f"{' than of the training data' if usual else ''}, {exceeds(group, Format.PERCENT)}.",
            ),
            timing=policy,
            scenario=scenario,
            format=Format.PERCENT,
            url_labels=(FEATURE,),
        )

    return map(alert, feature_thresholds(spec, policy, lambda feature: feature.thresholds.null_rate, names))
