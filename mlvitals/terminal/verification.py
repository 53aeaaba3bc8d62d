"""The result of `mlvitals verify` on the terminal."""

from typing import TYPE_CHECKING

from mlvitals.generator.spec.durations import duration

if TYPE_CHECKING:
    from mlvitals.verification.verify import Verification


def verification_text(done: "Verification") -> str:
    """Format one paragraph per problem and a summary line."""
    paragraphs = [
        f"{finding.place}: {finding.problem}: {finding.detail}"
        f" (range {duration(finding.range_seconds)}, {1000 * finding.seconds:.0f} ms)\n    {finding.expression}"
        for finding in done.findings
    ]
    summary = (
        f"{done.queries} queries, {len(done.findings)} problems; {done.calm} are empty because all is well; the "
        f"slowest took {1000 * done.slowest_seconds:.0f} ms"
    )
    return "\n".join((*paragraphs, summary))
