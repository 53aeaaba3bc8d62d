"""One timeline from many sources: any order gives the same one, what is told twice stands once, times are never negative."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from incident_samples import START, at

from mlvitals.incidents.timeline.events import EventKind, EventSource, TimelineEvent, alert_subject, merge
from mlvitals.incidents.timeline.times import DEFINITIONS, FaultStart, Mean, length, mean_times, times_of

MOMENTS = st.integers(0, 400).map(lambda seconds: START + timedelta(seconds=seconds))
EVENTS = st.builds(
    TimelineEvent,
    at=MOMENTS,
    kind=st.sampled_from(list(EventKind)),
    source=st.sampled_from(list(EventSource)),
    subject=st.sampled_from(["", "a", "b"]),
    text=st.sampled_from(["x", "longer", "y"]),
    actor=st.sampled_from(["", "amara"]),
)


def event(
    minutes: float, kind: EventKind, source: EventSource = EventSource.PROMETHEUS, subject: str = "a", **more
) -> TimelineEvent:
    return TimelineEvent(
        **({"at": at(minutes), "kind": kind, "source": source, "subject": subject, "text": "told"} | more)
    )


def starts(minutes: float, *, give: float = 0) -> FaultStart:
    return FaultStart(at=at(minutes), earliest=at(minutes - give), latest=at(minutes + give), reason="")


# ---------------------------------------------------------------- merging


@given(st.lists(EVENTS, max_size=25), st.randoms())
def test_any_order_of_events_gives_one_timeline(events, random):
    shuffled = list(events)
    random.shuffle(shuffled)
    assert merge(shuffled) == merge(events)


@given(st.lists(EVENTS, max_size=25))
def test_a_timeline_is_sorted_and_tells_every_source_of_every_event(events):
    timeline = merge(events)
    assert [entry.at for entry in timeline] == sorted(entry.at for entry in timeline)
    told = {(entry.kind, entry.subject, source) for entry in timeline for source in entry.sources}
    assert told == {(each.kind, each.subject, each.source) for each in events}


@given(st.lists(EVENTS, max_size=15))
def test_what_is_collected_twice_stands_once(events):
    assert merge([*events, *events]) == merge(events)


def test_what_two_sources_report_within_two_minutes_is_one_entry():
    (entry,) = merge(
        [
            event(20, EventKind.FIRING, EventSource.PROMETHEUS, text="short"),
            event(20.5, EventKind.FIRING, EventSource.ALERTMANAGER, text="says more"),
        ]
    )
    assert (entry.at, entry.text) == (at(20), "says more")
    assert entry.sources == (EventSource.PROMETHEUS, EventSource.ALERTMANAGER)


def test_clocks_that_differ_by_more_give_two_entries():
    told = [event(20, EventKind.FIRING), event(23, EventKind.FIRING, EventSource.ALERTMANAGER)]
    assert len(merge(told)) == 2


def test_an_alert_that_flaps_fires_as_often_as_it_did():
    times = (20, 21, 22)
    seen_twice = [
        event(minutes, EventKind.FIRING, source)
        for minutes in times
        for source in (EventSource.PROMETHEUS, EventSource.ALERTMANAGER)
    ]
    assert [(entry.at, len(entry.sources)) for entry in merge(seen_twice)] == [(at(minutes), 2) for minutes in times]


def test_two_notes_of_one_moment_are_two_entries():
    notes = [event(1, EventKind.NOTE, EventSource.RECORD, "", text=text) for text in ("one", "two")]
    assert len(merge(notes)) == 2


def test_an_alert_has_one_name_whoever_reports_it():
    labels = {"alertname": "MLFeatureDrift", "severity": "critical", "feature_name": "age"}
    seen = labels | {"alertstate": "firing", "__name__": "ALERTS", "instance": "x"}
    assert alert_subject(labels) == alert_subject(seen) == "MLFeatureDrift critical age"


# ---------------------------------------------------------------- times


@given(
    st.lists(EVENTS, max_size=25),
    st.none()
    | st.tuples(MOMENTS, MOMENTS, MOMENTS)
    .map(sorted)
    .map(lambda three: FaultStart(earliest=three[0], at=three[1], latest=three[2], reason="")),
)
def test_times_are_never_negative_and_unknown_ones_say_why(events, start):
    times = times_of(merge(events), start)
    assert times.spans.keys() == DEFINITIONS.keys()
    for span in times.spans.values():
        if span.seconds is None:
            assert span.reason
        else:
            assert 0 <= span.shortest <= span.seconds <= span.longest


def test_the_times_of_an_incident_over_four_days():
    timeline = merge(
        [
            event(30, EventKind.NOTIFIED, EventSource.ALERTMANAGER),
            event(37, EventKind.ASSIGNED, EventSource.RECORD, ""),
            event(60, EventKind.MITIGATED, EventSource.RECORD, "", text="first try"),
            event(4 * 1440, EventKind.MITIGATED, EventSource.RECORD, "", text="what worked"),
            event(4 * 1440 + 60, EventKind.RESOLVED, EventSource.RECORD, ""),
        ]
    )
    spans = times_of(timeline, starts(0, give=5)).spans
    assert {name: span.seconds / 60 for name, span in spans.items()} == {
        "detect": 30,
        "acknowledge": 7,
        "mitigate": 4 * 1440,
        "resolve": 4 * 1440 + 60,
    }
    assert (spans["detect"].shortest, spans["detect"].longest) == (25 * 60, 35 * 60)


def test_a_notification_before_the_fault_belongs_to_something_else():
    timeline = merge([event(-60, EventKind.NOTIFIED), event(10, EventKind.NOTIFIED)])
    assert times_of(timeline, starts(0)).detected == at(10)


def test_what_was_reopened_is_not_resolved():
    told = [
        event(10, EventKind.RESOLVED, EventSource.RECORD, ""),
        event(20, EventKind.REOPENED, EventSource.RECORD, ""),
    ]
    assert times_of(merge(told), starts(0)).resolved is None
    again = [*told, event(30, EventKind.RESOLVED, EventSource.RECORD, "")]
    assert times_of(merge(again), starts(0)).resolved == at(30)


def test_without_a_start_only_what_needs_none_is_known():
    told = [
        event(10, EventKind.OPENED, EventSource.RECORD, ""),
        event(12, EventKind.ACKNOWLEDGED, EventSource.PAGERDUTY, ""),
    ]
    spans = times_of(merge(told), None).spans
    assert spans["acknowledge"].seconds == 120
    assert spans["detect"].reason == "the start of the fault is unknown"


def test_a_mean_is_taken_over_the_incidents_of_which_the_time_is_known():
    def noticed(minutes: float):
        return times_of(merge([event(minutes, EventKind.NOTIFIED)]), starts(0))

    means = mean_times([noticed(10), noticed(30), times_of((), None)])
    assert means["detect"] == Mean(seconds=1200, known=2)
    assert means["resolve"] == Mean(seconds=None, known=0)


def test_a_length_is_written_in_its_two_largest_units():
    assert [length(seconds) for seconds in (0.4, 59.6, 4620, 90_061)] == ["0 s", "1 min 0 s", "1 h 17 min", "1 d 1 h"]
