"""Differences between serving and offline, by the policies that the generated rules alert by."""

from collections.abc import Iterator
from functools import partial

from mlvitals.exporters.parts import Finding, FindingKind, found, severity_in
from mlvitals.exporters.sections.skew.report import SkewReport
from mlvitals.exporters.statistics.judging import level_limits, severity_of
from mlvitals.generator.spec.model import SkewJoin, Spec

_found = partial(found, "skew")


def findings(spec: Spec, report: SkewReport) -> Iterator[Finding]:
    """Yield what is wrong with the features that the spec still has: a stored report may be older than the spec."""
    if not spec.skew.path:
        return
    limits = level_limits(spec.alerts.skew_mismatch, None)
    for name in spec.features:
        feature = report.features.get(name)
        if feature is None:
            continue
        yield from _found(FindingKind.SKEW, severity_in(feature.distance), name)
        if spec.skew_join is not SkewJoin.WINDOW:
            yield from _found(FindingKind.SKEW_MISMATCH, severity_of(feature.mismatch_ratio or 0.0, limits), name)
