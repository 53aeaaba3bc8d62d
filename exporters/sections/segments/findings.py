"""Findings on segments, by the policies that the generated rules alert by."""

from collections.abc import Iterator, Mapping
from functools import partial

from mlvitals.exporters.parts import Finding, FindingKind, found, severity_in
from mlvitals.exporters.sections.segments.report import SegmentsReport
from mlvitals.generator.spec.model import Spec

_found = partial(found, "segments")


def findings(spec: Spec, segments: Mapping[str, SegmentsReport]) -> Iterator[Finding]:
    """Yield what is wrong with the segments whose column the spec still names."""
    for column in spec.prediction_log.segments:
        for segment in segments[column].values if column in segments else ():
            subject = f"{column}={segment.value}"
            yield from _found(FindingKind.SEGMENT_PSI, severity_in(segment.score_psi), subject)
            yield from _found(FindingKind.SEGMENT_GAP, severity_in(segment.gap_shift), subject)
