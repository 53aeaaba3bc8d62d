"""Windows that are measured late, after newer ones: what those say of concept drift rests on every window before them."""

from collections.abc import Iterable

from exporters.drift_history import PastWindow, drift_history, past_window, with_drift_type
from exporters.outcome_facts import facts_of
from exporters.report import WindowReport
from generator.spec.model import Spec


def judged_again(
    spec: Spec, late: WindowReport, past: Iterable[PastWindow], later: Iterable[WindowReport]
) -> list[WindowReport]:
    """Reports of windows after one that was measured late, as they are with it; those that stay the same are left out.

    Args:
        spec: the system's spec.
        late: the window that was measured late, judged.
        past: windows that are kept, as `drift_history` takes them.
        later: the reports of windows that ended after it and were judged without it, by their end.
    """
    known = {one.window: one for one in (*past, past_window(late))}
    changed = []
    for report in later:
        history = drift_history(
            spec, report, sorted(known.values(), key=lambda one: (one.window.end, one.window.start))
        )
        again = with_drift_type(spec, report, facts_of(report.outcomes), history)
        known[again.window] = past_window(again)
        if again != report:
            changed.append(again)
    return changed
