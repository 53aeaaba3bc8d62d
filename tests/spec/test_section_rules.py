"""Rules between sections: one breach each, at the value to blame."""

import pytest

from mlvitals.generator.spec.diagnostics import SpecError
from mlvitals.generator.spec.load import parse_spec
from mlvitals.generator.spec.rules import check

SMALL = """\
version: 1
system: {name: shop}
prediction_log: {path: log, score: score, id: id}
features: {amount: {}}
"""


def errors(text: str) -> list[str]:
    """Every problem of a spec, as ``line:column message``."""
    with pytest.raises(SpecError) as caught:
        parse_spec(text)
    return [f"{item.position.line}:{item.position.column} {item.text}" for item in caught.value.diagnostics]


def is_sound(text: str) -> bool:
    return not check(parse_spec(text))


def with_feature(settings: str) -> str:
    return SMALL.replace("amount: {}", f"amount: {{{settings}}}")


def with_log(settings: str) -> str:
    return SMALL.replace("{path: log, score: score, id: id}", f"{{path: log, {settings}}}")


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        (
            "sources: {batch: {max_age: 5m}}\nslos: {a: {kind: latency, objective: 0.9, stage: inferenc}}",
            '6:50 slos.a.stage is "inferenc", which serving.stages does not list; did you mean "inference"?',
        ),
        (
            "business: {events: {click: {}}, kpis: {k: {numerator: click, denominator: clicks}}}",
            '5:75 business.kpis.k.denominator is "clicks", which business.events does not define; did you mean "click"?',
        ),
        (
            "business: {events: {click: {}}, kpis: {k: {numerator: buy, denominator: click}}}",
            '5:55 business.kpis.k.numerator is "buy", which business.events does not define',
        ),
        ("routing: {info: chat}", '5:17 routing.info is "chat", which routing.receivers does not define'),
        ("routing: {warning: chat}", '5:20 routing.warning is "chat", which routing.receivers does not define'),
        ("routing: {critical: pager}", '5:21 routing.critical is "pager", which routing.receivers does not define'),
        ("routing: {watchdog: dms}", '5:21 routing.watchdog is "dms", which routing.receivers does not define'),
        (
            "escalation: [{role: r, after: 0s, via: [sms], contacts: [ann]}]",
            '5:58 escalation[0].contacts[0] is "ann", which responders does not define',
        ),
        (
            "responders: {ann: {email: a@b}, bob: {email: b@b}}\non_call: {rotation: [ann, bob, cid]}",
            '6:32 on_call.rotation[2] is "cid", which responders does not define',
        ),
    ],
)
def test_a_name_that_nothing_defines_is_dangling(section: str, expected: str):
    assert expected in errors(SMALL + section)


def test_a_feature_of_an_unknown_source_is_dangling():
    assert errors(with_feature("source: btach") + "sources: {batch: {max_age: 5m}}") == [
        '4:29 features.amount.source is "btach", which sources does not define; did you mean "batch"?'
    ]


def test_an_objective_on_the_whole_request_may_say_total():
    assert is_sound(SMALL + "slos: {a: {kind: latency, objective: 0.99, threshold: 0.1, stage: total}}")


def test_only_latency_objectives_have_a_stage():
    assert errors(SMALL + "slos: {a: {kind: drift, objective: 0.99, threshold: 0.2, stage: inference}}") == [
        "5:65 slos.a.stage has an effect only if kind is latency"
    ]


def test_no_stage_is_called_total():
    assert errors(SMALL + "serving: {stages: [inference, total]}") == [
        '5:31 serving.stages[1] is "total", the whole request, which is always measured; '
        "remove it, or call the stage something else"
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("alerts: {error_rate: {warning: 0.1}}", "5:32 alerts.error_rate.warning 0.1 is above critical 0.005"),
        ("alerts: {error_rate: {critical: 0.0001}}", "5:33 alerts.error_rate.warning 0.001 is above critical 0.0001"),
        ("alerts: {error_rate: {info: 0.002}}", "5:29 alerts.error_rate.info 0.002 is above warning 0.001"),
        (
            "alerts: {error_rate: {info: 0.02, warning: null}}",
            "5:29 alerts.error_rate.info 0.02 is above critical 0.005",
        ),
        (
            "business: {events: {a: {}, b: {}}, kpis: {k: {numerator: a, denominator: b, drop: {warning: 0.2}}}}",
            "5:93 business.kpis.k.drop.warning 0.2 is above critical 0.1",
        ),
    ],
)
def test_a_level_beyond_the_next_worse_one_is_refused(text: str, expected: str):
    assert errors(SMALL + text) == [expected]


def test_the_levels_of_one_feature_are_in_order_too():
    assert errors(with_feature("thresholds: {ks: {warning: 0.3, critical: 0.2}}")) == [
        "4:48 features.amount.thresholds.ks.warning 0.3 is above critical 0.2"
    ]


def test_levels_may_be_equal():
    assert is_sound(SMALL + "alerts: {feature_psi: {warning: 0.25}}")


def test_the_lowest_sound_variance_ratio_is_below_the_highest():
    expected = "variance_ratio is [lowest, highest], but 2.0 is not below 0.5"
    assert errors(SMALL + "alerts: {variance_ratio: [2, 0.5]}") == [f"5:26 alerts.{expected}"]
    assert errors(with_feature("thresholds: {variance_ratio: [2, 0.5]}")) == [
        f"4:50 features.amount.thresholds.{expected}"
    ]


def test_the_minimum_of_a_feature_is_below_its_maximum():
    assert errors(with_feature("minimum: 5, maximum: 5")) == [
        "4:30 features.amount.minimum 5.0 is not below maximum 5.0"
    ]


def test_a_step_is_no_longer_than_its_window():
    assert errors(SMALL + "windows: {step: 2h}") == [
        "5:17 windows.step 2h is longer than windows.length 1h: rows would be skipped"
    ]


def test_a_window_is_a_whole_number_of_steps():
    assert errors(SMALL + "windows: {length: 24h, step: 7h}") == [
        "5:30 windows.step 7h does not divide windows.length 24h"
    ]


def test_durations_are_compared_by_their_length():
    assert is_sound(SMALL + "windows: {length: 1d, step: 24h}")


def test_a_rate_spans_four_scrapes():
    assert errors(SMALL + "telemetry: {scrape_interval: 2m}") == [
        "5:30 telemetry.rate_window 5m is shorter than 4 scrapes of 2m"
    ]
    assert is_sound(SMALL + "telemetry: {scrape_interval: 75s}")


def test_colder_tiers_keep_longer():
    assert errors(SMALL + "telemetry: {retention: {warm: 2y}}".replace("2y", "104w")) == [
        "5:31 telemetry.retention.warm 104w is longer than cold 365d"
    ]


@pytest.mark.parametrize(
    "ways", ["path: p", "path: p, column: c", "database: 'sqlite:///x', query: q", "url: http://x, field: f", ""]
)
def test_the_age_of_a_source_is_known_in_one_way_or_none(ways: str):
    assert is_sound(SMALL + f"sources: {{s: {{max_age: 5m, {ways}}}}}")


@pytest.mark.parametrize(
    ("ways", "expected"),
    [
        ("column: c", "5:36 sources.s.column has no effect without path"),
        ("query: q", "5:35 sources.s.query has no effect without database"),
        ("database: d", "5:38 sources.s.database has no effect without query"),
        ("field: f", "5:35 sources.s.field has no effect without url"),
        ("url: http://x", "5:33 sources.s.url has no effect without field"),
        ("password_file: f", "5:43 sources.s.password_file has no effect without database"),
        (
            "path: p, url: http://x, field: f",
            "5:42 sources.s.url is one of several ways to determine the age of the source: path, url; keep only one of them",
        ),
    ],
)
def test_a_way_to_know_an_age_is_complete_and_the_only_one(ways: str, expected: str):
    assert errors(SMALL + f"sources: {{s: {{max_age: 5m, {ways}}}}}") == [expected]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (SMALL.replace("path: log", "path: 'postgresql://me:s3cret@db/log'"), "prediction_log.path"),
        (SMALL + "results: {url: 'postgresql+psycopg://me:s3/cret@db/results'}", "results.url"),
        (SMALL + "results: {url: 'postgresql://db/results?user=me&password=s3cret'}", "results.url"),
        (SMALL + "reference: {store: 'mlflow+http://me:s3cret@tracking'}", "reference.store"),
        (SMALL + "links: {grafana: 'https://me:s3cret@grafana'}", "links.grafana"),
        (SMALL + "sources: {s: {max_age: 5m, database: 'mysql://:s3cret@db', query: q}}", "sources.s.database"),
    ],
)
def test_a_password_in_a_url_is_refused(text: str, path: str):
    (error,) = errors(text)
    assert f"{path} contains a password, and specs are committed" in error


@pytest.mark.parametrize("url", ["https://grafana:3000/d/a@b", "http://me@grafana", "https://x/a:b@c"])
def test_a_url_without_password_is_no_secret(url: str):
    assert is_sound(SMALL + f"links: {{grafana: '{url}'}}")


@pytest.mark.parametrize("url", ["results.db", "postgres://me@db/drift", "mysql+pymysql://me@db/drift"])
def test_results_are_kept_in_sqlite_or_postgresql(url: str):
    (error,) = errors(f"{SMALL}results: {{url: '{url}'}}")
    assert "results.url is neither SQLite nor PostgreSQL; write sqlite:///results.db" in error


def test_a_password_is_not_shown():
    with pytest.raises(SpecError) as caught:
        parse_spec(SMALL + "links: {grafana: 'ftp://me:s3cret@x'}\nresults: {url: 'postgresql://me:s3cret@x'}")
    assert "s3cret" not in str(caught.value)


def test_no_feature_is_read_from_the_timestamp_column():
    message = 'is "timestamp", the log\'s timestamp column'
    assert errors(with_feature("column: timestamp")) == [f"4:29 features.amount.column {message}"]
    assert errors(SMALL.replace("amount: {}", "timestamp:\n    {}")) == [
        f"5:5 features.timestamp.column {message}",
    ]


def test_two_features_may_share_a_column():
    assert is_sound(SMALL.replace("amount: {}", "a: {column: x}, b: {column: x}"))


@pytest.mark.parametrize("role", ["id", "entity", "score", "model_version", "endpoint"])
def test_the_timestamp_column_is_nothing_else(role: str):
    assert errors(with_log(f"{role}: timestamp")) == [
        f'3:{31 + len(role)} prediction_log.{role} is "timestamp", the log\'s timestamp column'
    ]


def test_a_prediction_is_not_its_own_outcome():
    assert errors(with_log("score: s, outcome: {column: s}")) == [
        '3:57 prediction_log.outcome.column is "s", the log\'s score column'
    ]


def test_outcomes_elsewhere_need_an_id_to_be_joined_by():
    assert errors(with_log("score: s, outcome: {column: y, path: outcomes}")) == [
        "3:66 prediction_log.outcome.path holds outcomes that are joined by id, which needs prediction_log.id"
    ]


def test_a_ranking_needs_the_lists_that_it_ranks():
    [problem] = errors(with_log("score: s, outcome: {column: y, kind: ranking}"))
    assert "ranking compares the rows of one list, which needs prediction_log.outcome.list" in problem
    assert is_sound(with_log("score: s, outcome: {column: y, kind: ranking, list: shown}"))


def test_outcomes_in_a_database_need_its_table():
    [problem] = errors(with_log("id: i, score: s, outcome: {column: y, path: 'sqlite:///o.db', format: sql}"))
    assert "is a database, which needs prediction_log.outcome.table" in problem


@pytest.mark.parametrize("key", ["format: csv", "table: t", "password_file: p", "id: i"])
def test_how_outcomes_elsewhere_are_read_means_nothing_where_they_are_in_the_log(key):
    [problem] = errors(with_log(f"score: s, outcome: {{column: y, {key}}}"))
    assert problem.endswith("has no effect without path")


def test_a_binary_outcome_needs_a_score():
    assert errors(with_log("outcome: {column: y}")) == [
        "3:38 prediction_log.outcome.kind binary compares outcomes with the score, which needs prediction_log.score"
    ]
    assert is_sound(with_log("outcome: {column: y, prediction: p}"))
    assert is_sound(with_log("outcome: {column: y, kind: continuous}"))


CLASSES = "outcome: {column: y, kind: multiclass, "


@pytest.mark.parametrize(
    "settings",
    [
        "probabilities: {cat: p, dog: q}}",
        "prediction: guess, classes: [cat, dog]}",
        "prediction: guess, probabilities: {cat: p, dog: q}}",
        "prediction: guess, classes: [dog, cat], probabilities: {cat: p, dog: q}}",
    ],
)
def test_classes_are_known_by_their_probabilities_or_by_their_names(settings):
    assert is_sound(with_log(CLASSES + settings))


@pytest.mark.parametrize(
    ("settings", "place", "said"),
    [
        ("classes: [a, b]}", "3:56", "needs prediction or probabilities; name the column of the predicted class"),
        ("prediction: p}", "3:56", "multiclass needs the names of all classes; list them as classes"),
        ("probabilities: {cat: p}}", "3:83", 'names one class, "cat", and there is nothing to confuse it with'),
        (
            "classes: [cat, dog], probabilities: {cat: p, dgo: q}}",
            "3:113",
            '"dgo", which classes does not list; did you mean "dog"?',
        ),
        ("classes: [a, b, c], probabilities: {a: p, b: q}}", "3:103", 'has no column for the class "c"'),
        ("probabilities: {cat: p, dog: p}}", "3:97", 'is "p", which prediction_log.outcome.probabilities.cat is too'),
        ("prediction: y, classes: [cat, dog]}", "3:80", 'is "y", which prediction_log.outcome.column is too'),
    ],
)
def test_what_is_wrong_with_classes_is_said_at_its_place(settings, place, said):
    problems = errors(with_log(CLASSES + settings))
    assert [problem for problem in problems if problem.startswith(f"{place} ") and said in problem], problems


def test_more_classes_than_anyone_reads_are_refused():
    names = ", ".join(f"c{number}" for number in range(101))
    [problem] = errors(with_log(f"{CLASSES}prediction: p, classes: [{names}]}}"))
    assert "names 101 classes; at most 100 are measured; map rare classes to one" in problem


@pytest.mark.parametrize("key", ["classes: [a, b]", "probabilities: {a: p, b: q}"])
def test_classes_mean_nothing_to_other_kinds(key):
    [problem] = errors(with_log(f"score: s, outcome: {{column: y, {key}}}"))
    assert problem.endswith("has an effect only if kind is multiclass, and it is binary")


def test_a_log_in_a_database_needs_a_table():
    assert errors(with_log("format: sql")) == ["3:37 prediction_log.format sql needs prediction_log.table"]


def test_a_password_of_a_log_that_is_no_database_has_no_meaning():
    assert errors(with_log("password_file: p")) == [
        "3:44 prediction_log.password_file has no effect without format: sql"
    ]
    assert is_sound(with_log("format: sql, table: t, password_file: p"))


def test_an_event_whose_metric_there_is_already_is_refused():
    assert errors(SMALL + "business: {events: {predictions: {}}}") == [
        "5:21 business.events.predictions would become the metric shop_predictions_total, which already exists; "
        "choose another name"
    ]


def test_two_events_that_would_be_one_metric_are_refused():
    text = SMALL + "business:\n  events:\n    watch: {unit: seconds}\n    watch_seconds: {}\n"
    assert [error.split(" ")[:2] for error in errors(text)] == [
        ["7:5", "business.events.watch"],
        ["8:5", "business.events.watch_seconds"],
    ]


def test_escalation_reaches_later_levels_later():
    called = "via: [phone], contacts: [ann]"
    text = (
        SMALL
        + "responders: {ann: {email: a@b, phone: +1-555-0100}}\n"
        + f"escalation: [{{role: a, after: 0m, {called}}}, {{role: b, after: 5m, {called}}},\n"
        + f"  {{role: c, after: 300s, {called}}}]"
    )
    assert errors(text) == ["7:20 escalation[2].after 300s is not later than the 5m of the previous level"]


def test_a_rotation_has_three_responders():
    text = SMALL + "responders: {a: {email: a@x}, b: {email: b@x}}\non_call: {rotation: [a, b, a]}"
    assert errors(text) == ["6:21 on_call.rotation needs at least 3 responders, so that nobody burns out; it has 2"]


def test_a_receiver_reaches_someone():
    assert errors(SMALL + "routing: {warning: team, receivers: {team: {}}}") == [
        "5:44 routing.receivers.team reaches nobody; give it slack, pagerduty or webhook"
    ]


def test_maintenance_ends_after_its_start():
    text = SMALL + "routing: {maintenance: [{start: 2026-03-03T08:00Z, end: 2026-03-03T08:00Z, reason: r}]}"
    assert errors(text) == [
        "5:57 routing.maintenance[0].end 2026-03-03T08:00Z is not after its start 2026-03-03T08:00Z"
    ]


def test_a_day_that_does_not_exist_is_refused():
    text = SMALL + "routing: {maintenance: [{start: 2026-02-30T08:00Z, end: 2026-03-03T08:00Z, reason: r}]}"
    assert errors(text) == ["5:33 routing.maintenance[0].start is a day or time that does not exist"]


def test_quiet_hours_last():
    text = SMALL + "routing: {quiet_hours: [{days: [sat], start: 22:00, end: 22:00}]}"
    assert errors(text) == ["5:46 routing.quiet_hours[0].start 22:00 leaves no time before the end 22:00"]


@pytest.mark.parametrize("zone", ["Europe/Nowhere", "../etc/passwd", "Europe", "/etc/localtime", "a\\u0000b"])
def test_a_time_zone_exists(zone: str):
    (error,) = errors(SMALL + f'on_call: {{timezone: "{zone}"}}')
    assert error.startswith(f'5:21 on_call.timezone is "{zone}", which is not a time zone')


def test_a_mistyped_time_zone_suggests_the_nearest():
    (error,) = errors(SMALL + "on_call: {timezone: Europe/Berln}")
    assert error.endswith('did you mean "Europe/Berlin"?')


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("windows: {length: 0s}", "windows.length"),
        ("windows: {step: 0s}", "windows.step"),
        ("telemetry: {scrape_interval: 0ms}", "telemetry.scrape_interval"),
        ("telemetry: {evaluation_interval: 0s}", "telemetry.evaluation_interval"),
        ("sources: {s: {max_age: 0h}}", "sources.s.max_age"),
        ("alerts: {feature_psi: {cooldown: {critical: 0s}}}", "alerts.feature_psi.cooldown.critical"),
    ],
)
def test_a_length_of_zero_is_refused_where_it_makes_no_sense(text: str, path: str):
    assert any(error.endswith(f"{path} must be longer than zero") for error in errors(SMALL + text))


def test_a_wait_may_be_zero():
    assert is_sound(SMALL + "windows: {grace: 0s}\nalerts: {feature_psi: {for: 0s, keep_firing_for: 0s}}")


def test_a_length_beyond_a_century_is_refused():
    assert errors(SMALL + "sources: {s: {max_age: 99999w}}") == ["5:24 sources.s.max_age is longer than a century"]


def test_a_list_names_nothing_twice():
    assert errors(SMALL + "serving: {endpoints: [/a, /b, /a]}") == ['5:31 serving.endpoints[2] lists "/a" twice']


def test_a_port_exists():
    assert errors(SMALL + "exporter: {listen: 'x:70000'}") == ["5:20 exporter.listen has a port above 65535"]


def test_a_default_is_not_blamed_where_a_written_value_can_be():
    assert errors(SMALL + "telemetry: {retention: {cold: 30d}}") == [
        "5:31 telemetry.retention.warm 90d is longer than cold 30d"
    ]


def test_business_events_without_a_serving_application_are_refused():
    assert errors(SMALL + "serving: {enabled: false}\nbusiness: {events: {clicks: {}}}\n") == [
        "6:29 business.events.clicks is counted by the serving application, which serving.enabled: false turns off"
    ]


def test_two_processes_with_the_same_prometheus_job_are_refused():
    (error,) = errors(SMALL + "serving: {job: shop}\nexporter: {job: shop}\n")
    assert error.startswith('6:17 exporter.job is "shop", the Prometheus job of the serving application')


def test_the_skew_of_a_category_is_not_measured_by_ks():
    assert errors(with_feature("type: categorical, skew: ks")) == [
        "4:46 features.amount.skew ks compares numbers, but this feature is categorical; use psi or js"
    ]


@pytest.mark.parametrize(("join", "log"), [("id", "score: score"), ("entity", "score: score, id: id")])
def test_rows_are_joined_by_a_column_that_the_log_names(join: str, log: str):
    text = with_log(log) + f"skew: {{path: offline, join: {join}}}"
    assert errors(text) == [f"5:29 skew.join is {join}, which needs prediction_log.{join}"]


def test_offline_features_are_read_from_files():
    assert errors(SMALL + "skew: {path: offline, format: sql}") == [
        "5:31 skew.format sql is not supported here; write the rows to files"
    ]


@pytest.mark.parametrize(
    ("log", "join"), [("id: id, entity: user", "entity"), ("id: id", "id"), ("score: score", "window")]
)
def test_skew_joins_by_the_most_telling_column_of_the_log(log: str, join: str):
    assert parse_spec(with_log(log)).skew_join == join
