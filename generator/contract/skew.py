"""Metric families of training-serving skew."""

from collections.abc import Iterator
from enum import StrEnum

from mlvitals.generator.contract.family import Family, gauge
from mlvitals.generator.contract.statistics import SKEW_MEASURES
from mlvitals.generator.spec.model import SkewJoin, Spec

SKEW_ROWS = 100
"""Rows of a window from which it can be compared with offline rows at all."""


class SkewStatus(StrEnum):
    """The status of comparing a feature's values at serving with those recomputed offline."""

    OK = "ok"
    INVESTIGATE = "investigate"
    ALERT = "alert"
    INSUFFICIENT_DATA = "insufficient_data"
    MISSING_IN_SERVING = "missing_in_serving"
    TYPE_MISMATCH = "type_mismatch"
    NOT_RECOMPUTED = "not_recomputed"


def skew_families(spec: Spec) -> Iterator[Family]:
    """Yield the families of training-serving skew, only of the statistics by which features are compared."""
    if not spec.skew.path:
        return
    feature = "feature_name"
    measures = sorted({described.skew for described in spec.features.values()})
    yield gauge(
        "skew_status",
        "1 for the status of the feature, serving compared with offline, 0 for the others.",
        feature,
        "status",
    )
    yield gauge("skew_offline_rows", "Offline rows that the predictions of the last window were compared with.")
    for name in measures:
        yield gauge(f"skew_{name}", SKEW_MEASURES[name].help, feature)
    for name in measures:
        yield gauge(f"skew_{name}_critical_value", "Skew that noise alone exceeds once in 1000 windows.", feature)
    if spec.skew_join is not SkewJoin.WINDOW:
        yield gauge(
            "skew_mismatch_ratio",
            "Share of matched predictions whose value differs from the one recomputed offline, 0 to 1.",
            feature,
        )
