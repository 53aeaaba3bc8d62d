"""TODO"""

from collections.abc import Iterable

from mlvitals.exporters.parts import Sample, critical_value_of, single_sample, value_of
from mlvitals.exporters.sections.skew.report import FeatureSkew, SkewReport
from mlvitals.exporters.wording import printable, share
from mlvitals.generator.contract import Contract, SkewStatus


def skew_samples(contract: Contract, skew: SkewReport) -> dict[str, Iterable[Sample]]:
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


def compared(skew: SkewReport) -> str:
    """What skew was measured on: ``4,423 predictions, 4,423 offline rows``."""
    return f"{skew.serving_rows:,} predictions, {skew.offline_rows:,} offline rows"


def skew_findings(skew: SkewReport) -> list[str]:
    """A line for each feature that differs between serving and offline, or could not be compared."""
    agreeing = {SkewStatus.OK, SkewStatus.NOT_RECOMPUTED}
    return [_skew(name, feature) for name, feature in skew.features.items() if feature.status not in agreeing]


def _skew(name: str, feature: FeatureSkew) -> str:
    parts = [feature.status.value.replace("_", " ")]
    if feature.mismatch_ratio is not None:
        parts.append(f"{share(feature.mismatch_ratio)} of the values differ")
    if feature.distance is not None:
        parts.append(f"{feature.measure.upper()} {feature.distance.value:.3f}")
    if feature.reason:
        parts.append(printable(feature.reason))
    return f"{printable(name)}: {', '.join(parts)}"
