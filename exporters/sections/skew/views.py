"""Training-serving skew as gauges and as lines for people."""

from collections.abc import Iterable, Iterator

from mlvitals.exporters.parts import Line, Sample, Samples, critical_value_of, single_sample, value_of
from mlvitals.exporters.sections.skew.report import FeatureSkew, SkewReport
from mlvitals.exporters.wording import printable, share
from mlvitals.generator.contract import Contract, SkewStatus
from mlvitals.generator.spec.model import Severity


def gauges(contract: Contract, skew: SkewReport) -> Samples:
    """Return the samples of the features that the spec still has: a stored report may be older than the spec."""
    features = {name: skew.features[name] for name in contract.spec.features if name in skew.features}
    samples: dict[str, Iterable[Sample]] = {
        "skew_offline_rows": single_sample(skew.offline_rows),
        "skew_mismatch_ratio": [((name,), feature.mismatch_ratio) for name, feature in features.items()],
        "skew_status": [
            ((name, status), float(feature.status is status))
            for name, feature in features.items()
            for status in SkewStatus
        ],
    }
    for measure in {feature.measure for feature in features.values()}:
        found = {name: feature.distance for name, feature in features.items() if feature.measure == measure}
        samples[f"skew_{measure}"] = [((name,), value_of(distance)) for name, distance in found.items()]
        samples[f"skew_{measure}_critical_value"] = [
            ((name,), critical_value_of(distance)) for name, distance in found.items()
        ]
    return samples


def lines(skew: SkewReport) -> list[Line]:
    """Return how much was compared, and a line for each feature that differs or could not be compared."""
    agreeing = {SkewStatus.OK, SkewStatus.NOT_RECOMPUTED}
    return [
        Line(f"{skew.serving_rows:,} predictions, {skew.offline_rows:,} offline rows"),
        *(
            Line(_line(name, feature), Severity.WARNING)
            for name, feature in skew.features.items()
            if feature.status not in agreeing
        ),
    ]


def _line(name: str, feature: FeatureSkew) -> str:
    parts = [feature.status.value.replace("_", " ")]
    if feature.mismatch_ratio is not None:
        parts.append(f"{share(feature.mismatch_ratio)} of the values differ")
    if feature.distance is not None:
        parts.append(f"{feature.measure.upper()} {feature.distance.value:.3f}")
    if feature.reason:
        parts.append(printable(feature.reason))
    return f"{printable(name)}: {', '.join(parts)}"


_COMPARED = frozenset({SkewStatus.OK, SkewStatus.INVESTIGATE, SkewStatus.ALERT, SkewStatus.NOT_RECOMPUTED})
"""States in which a feature was compared, or is not to be."""


def unmeasured(skew: SkewReport) -> Iterator[str]:
    """Yield that nothing could be compared, or how many features could not."""
    missed = sum(feature.status not in _COMPARED for feature in skew.features.values())
    if not skew.offline_rows or missed == len(skew.features):
        yield "training-serving skew not measured"
    elif missed:
        yield f"training-serving skew not measured in {missed} of {len(skew.features)} features"
