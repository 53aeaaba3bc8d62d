"""Rules between sections, which no schema can state: references, orders, clashes and combinations."""

import re
from collections import Counter
from collections.abc import Collection, Iterator
from datetime import datetime
from itertools import chain, pairwise

from mlvitals.generator.contract import STATISTICS, TOTAL_STAGE, Contract
from mlvitals.generator.errors import without_secrets
from mlvitals.generator.estimate import family_series
from mlvitals.generator.spec.class_rules import check_classes
from mlvitals.generator.spec.diagnostics import KeyPath, Problem, did_you_mean, dotted, quoted
from mlvitals.generator.spec.durations import milliseconds
from mlvitals.generator.spec.event_rules import check_events
from mlvitals.generator.spec.incident_rules import check_incidents
from mlvitals.generator.spec.model import (
    RESULTS_IN,
    AlertPolicy,
    Levels,
    LogFormat,
    Outcome,
    OutcomeKind,
    PredictionLog,
    SkewJoin,
    SloKind,
    Source,
    Spec,
)
from mlvitals.generator.spec.people import NOBODY, PEOPLE_RULES
from mlvitals.generator.spec.preset_rules import check_preset
from mlvitals.generator.spec.slo_rules import check_slos
from mlvitals.generator.spec.walk import duration_fields, sections, texts

SMALLEST_ROTATION = 3
SCRAPES_PER_RATE = 4
"""The number of scrapes that a rate must span, so that a missed one does not leave it empty."""

_SEVERITIES = ("info", "warning", "critical")
_CENTURY = "36500d"
_OF_ALERTS = frozenset(
    ("alertname", "alertstate", "severity", "system", "layer", "team", "incident", "policy", "variant", "slo", "kpi",
     "measure", "compared_with", "le", "quantile", "job", "instance", "datasource", "logs")
)  # fmt: skip
_ANNOTATIONS = frozenset(
    ("summary", "description", "runbook_url", "dashboard_url", "threshold", "cooldown", "environment")
)
_MAY_BE_ZERO = {"for", "keep_firing_for", "grace", "after", "tolerance", "delay", "group_wait"}
_MAY_REPEAT = {"rotation"}
_MAX_PORT = 65535
_DEAREST = 3
"""Number of families named if there are too many series."""
# In an http URL an @ may also be in the path; elsewhere SQLAlchemy reads everything up to it as the password.
_URL_WITH_PASSWORD = re.compile(
    r"(https?://[^:/@\s]*:[^/?#@]*@|(?!https?:)[\w+.-]+://[^:/@\s]*:[^@]*@|.*[?&]password=)", re.DOTALL
)
_ADDRESS = re.compile(r"https?://")
_SECRET_KEY = re.compile(r"(^|_)(password|token|secret|secrets|key|credentials|webhook_url)$")
"""Keys of Alertmanager's own configuration whose values are secrets; each has a twin that names a file."""


def check(spec: Spec) -> tuple[Problem, ...]:
    """Return every violation of a rule between sections. Reads only the spec and the available time zones."""
    return tuple(chain.from_iterable(rule(spec) for rule in _RULES))


# ---------------------------------------------------------------- references


def _references(spec: Spec) -> Iterator[Problem]:
    for name, feature in spec.features.items():
        if feature.source is not None:
            yield from _dangling(("features", name, "source"), feature.source, spec.sources, ("sources",))
    for name, kpi in spec.business.kpis.items():
        for side, event in (("numerator", kpi.numerator), ("denominator", kpi.denominator)):
            yield from _dangling(("business", "kpis", name, side), event, spec.business.events, ("business", "events"))
    for role in (*_SEVERITIES, "watchdog"):
        receiver = getattr(spec.routing, role)
        if receiver not in {None, NOBODY}:
            yield from _dangling(("routing", role), receiver, spec.routing.receivers, ("routing", "receivers"))
    for level, escalation in enumerate(spec.escalation):
        for index, contact in enumerate(escalation.contacts):
            yield from _dangling(("escalation", level, "contacts", index), contact, spec.responders, ("responders",))
    for index, responder in enumerate(spec.on_call.rotation):
        yield from _dangling(("on_call", "rotation", index), responder, spec.responders, ("responders",))


def _serving(spec: Spec) -> Iterator[Problem]:
    """Check that business events have a process that counts them, and that each process has a Prometheus job of its own."""
    enabled = ("serving", "enabled")
    if not spec.serving.enabled:
        for name in (event for event in spec.business.events if event not in spec.business.logged):
            message = "is counted by the serving application, which serving.enabled: false turns off"
            yield Problem((("business", "events", name), enabled), message, "consistency")
    elif spec.serving_job == spec.exporter_job:
        message = f"is {quoted(spec.serving_job)}, the Prometheus job of the serving application"
        yield Problem((("exporter", "job"), ("serving", "job")), message, "duplicate", "give each a job of its own")


def _identity(spec: Spec) -> Iterator[Problem]:
    """Check that the labels and annotations of the identity are none that series or alerts have already."""
    identity = spec.identity
    taken = {label for family in Contract(spec).families for label in family.labels} | _OF_ALERTS
    for section in ("labels", "alert_labels"):
        for name in getattr(identity, section):
            if name in taken or name.startswith(("sloth_", "__")):
                message = "is a label that series or alerts of mlvitals have already"
                yield _taken(("identity", section, name), message)
    for name in identity.alert_labels.keys() & identity.labels.keys():
        message = "is one of identity.labels, which every alert carries already"
        yield Problem(
            (("identity", "alert_labels", name), ("identity", "labels", name)),
            message, "duplicate", "keep only one of them", at_key=True,
        )  # fmt: skip
    for name in identity.alert_annotations.keys() & _ANNOTATIONS:
        yield _taken(("identity", "alert_annotations", name), "is an annotation that every alert has already")


def _taken(path: KeyPath, message: str) -> Problem:
    return Problem((path,), message, "reserved-name", "call it something else", at_key=True)


def _dangling(path: KeyPath, name: str, known: Collection[str], section: KeyPath) -> Iterator[Problem]:
    if name not in known:
        message = f"is {quoted(name)}, which {dotted(section)} does not define"
        yield Problem((path, (*section, name)), message, "dangling-reference", did_you_mean(name, known))


def _stages(spec: Spec) -> Iterator[Problem]:
    stages = ("serving", "stages")
    for index, stage in enumerate(spec.serving.stages):
        if stage == TOTAL_STAGE:
            message = f"is {quoted(TOTAL_STAGE)}, the whole request, which is always measured"
            yield Problem(((*stages, index),), message, "reserved-name", "remove it, or call the stage something else")
    known = {*spec.serving.stages, TOTAL_STAGE}
    for name, slo in spec.slos.items():
        path = ("slos", name, "stage")
        if slo.stage is not None and slo.kind is not SloKind.LATENCY:
            kind = ("slos", name, "kind")
            yield Problem((path, kind), "has an effect only if kind is latency", "consistency")
        elif slo.stage is not None and slo.stage not in known:
            message = f"is {quoted(slo.stage)}, which {dotted(stages)} does not list"
            yield Problem((path, stages), message, "dangling-reference", did_you_mean(slo.stage, known))


# ---------------------------------------------------------------- orders


def _levels(spec: Spec) -> Iterator[Problem]:
    for path, section in sections(spec):
        if isinstance(section, AlertPolicy | Levels):
            levels = [(severity, getattr(section, severity)) for severity in _SEVERITIES]
            given = [(severity, level) for severity, level in levels if level is not None]
            for (low, lower), (high, higher) in pairwise(given):
                if lower > higher:
                    message = f"{lower} is above {high} {higher}"
                    yield Problem(((*path, low), (*path, high)), message, "order")


def _ranges(spec: Spec) -> Iterator[Problem]:
    for path, section in sections(spec):
        ratio = getattr(section, "variance_ratio", None)
        if ratio is not None and ratio[0] >= ratio[1]:
            where = (*path, "variance_ratio")
            yield Problem((where,), f"is [lowest, highest], but {ratio[0]} is not below {ratio[1]}", "order")
    for name, feature in spec.features.items():
        low, high = feature.minimum, feature.maximum
        if low is not None and high is not None and low >= high:
            path = ("features", name)
            message = f"{low} is not below maximum {high}"
            yield Problem(((*path, "minimum"), (*path, "maximum")), message, "order")


def _windows(spec: Spec) -> Iterator[Problem]:
    windows = spec.windows
    for kind, others in (("calendar", ("length", "step", "rows")), ("rows", ("step",))):
        given = [name for name in others if getattr(windows, name) is not None]
        if getattr(windows, kind) is not None and given:
            message = f"cannot be combined with windows.{kind}, which says by itself where a window ends"
            where = (("windows", given[0]), ("windows", kind))
            yield Problem(where, message, "consistency", f"leave out {' and '.join(given)}")
    if windows.calendar is None and windows.time_zone != "UTC":
        message = "is used only with windows.calendar: other windows are the same in every zone"
        yield Problem((("windows", "time_zone"),), message, "consistency", "leave it out, or set calendar: day")
    length, step = milliseconds(spec.window_length), milliseconds(spec.step)
    paths: tuple[KeyPath, ...] = (("windows", "step"), ("windows", "length"))
    if step > length:
        message = f"{spec.step} is longer than windows.length {spec.window_length}: rows would be skipped"
        yield Problem(paths, message, "order")
    elif step and length % step:
        message = f"{spec.step} does not divide windows.length {spec.window_length}"
        yield Problem(paths, message, "consistency")
    warning, page = spec.concept.false_warning_every, spec.concept.false_page_every
    if milliseconds(page) < milliseconds(warning):
        message = f"{page} is shorter than concept.false_warning_every {warning}: pages are to be the rarer ones"
        yield Problem((("concept", "false_page_every"), ("concept", "false_warning_every")), message, "order")


def _telemetry(spec: Spec) -> Iterator[Problem]:
    telemetry, retention = spec.telemetry, spec.telemetry.retention
    if milliseconds(telemetry.rate_window) < SCRAPES_PER_RATE * milliseconds(telemetry.scrape_interval):
        message = f"{telemetry.rate_window} is shorter than {SCRAPES_PER_RATE} scrapes of {telemetry.scrape_interval}"
        yield Problem((("telemetry", "rate_window"), ("telemetry", "scrape_interval")), message, "consistency")
    tiers = (("hot", retention.hot), ("warm", retention.warm), ("cold", retention.cold))
    for (near, shorter), (far, longer) in pairwise(tiers):
        if milliseconds(shorter) > milliseconds(longer):
            path = ("telemetry", "retention")
            message = f"{shorter} is longer than {far} {longer}"
            yield Problem(((*path, near), (*path, far)), message, "order")


def _series_budget(spec: Spec) -> Iterator[Problem]:
    """Check the series budget, so that a spec with too many series fails before it causes costs."""
    budget, families = spec.telemetry.series_budget, family_series(spec)
    total = sum(family.series for family in families)
    if total > budget:
        most = ", ".join(f"{family.family} {family.series:,} ({family.counted})" for family in families[:_DEAREST])
        message = f"is {budget:,}, and up to {total:,} series would be exported; the largest families: {most}"
        hint = "reduce features, top_bins or endpoints, or raise the budget"
        paths: tuple[KeyPath, ...] = (("telemetry", "series_budget"), ("features",))
        yield Problem(paths, message, "series-budget", hint)


def _escalation(spec: Spec) -> Iterator[Problem]:
    for index, (before, level) in enumerate(pairwise(spec.escalation), start=1):
        if milliseconds(level.after) <= milliseconds(before.after):
            path, previous = ("escalation", index, "after"), ("escalation", index - 1, "after")
            message = f"{level.after} is not later than the {before.after} of the previous level"
            yield Problem((path, previous), message, "order")


def _lengths(spec: Spec) -> Iterator[Problem]:
    for path, section in sections(spec):
        for field in duration_fields(type(section)):
            written, where = getattr(section, field.name), (*path, field.encode_name)
            if written is None:
                continue
            if not milliseconds(written) and field.encode_name not in _MAY_BE_ZERO:
                yield Problem((where,), "must be longer than zero", "range")
            elif milliseconds(written) > milliseconds(_CENTURY):
                yield Problem((where,), "is longer than a century", "range")


# ---------------------------------------------------------------- data


def _sources(spec: Spec) -> Iterator[Problem]:
    for name, source in spec.sources.items():
        yield from _source(("sources", name), source)


def _source(path: KeyPath, source: Source) -> Iterator[Problem]:
    """Check that a source has at most one way to determine its age: files, a database or a URL."""
    ways = [way for way in ("path", "database", "url") if getattr(source, way) is not None]
    if len(ways) > 1:
        message = f"is one of several ways to determine the age of the source: {', '.join(ways)}"
        yield Problem(tuple((*path, way) for way in reversed(ways)), message, "consistency", "keep only one of them")
    for key, needed in (
        ("column", "path"),
        ("query", "database"),
        ("password_file", "database"),
        ("field", "url"),
        ("database", "query"),
        ("url", "field"),
    ):
        if getattr(source, key) is not None and getattr(source, needed) is None:
            message = f"has no effect without {needed}"
            yield Problem(((*path, key), (*path, needed)), message, "consistency")


def _results_database(spec: Spec) -> Iterator[Problem]:
    kind = re.split(r"[+:]", spec.results.url, maxsplit=1)[0]
    if kind not in RESULTS_IN:
        hint = "write sqlite:///results.db or postgresql+psycopg://USER@HOST/DATABASE"
        yield Problem((("results", "url"),), "is neither SQLite nor PostgreSQL", "unsupported", hint)


def _secrets(spec: Spec) -> Iterator[Problem]:
    """Check that no text of the spec holds a password in a URL, and no receiver a secret that belongs into a file."""
    for path, text in texts(spec):
        if _URL_WITH_PASSWORD.match(text):
            hint = "remove it; use a password_file, a credentials file or the environment"
            yield Problem((path,), "contains a password, and specs are committed", "secret", hint)
        elif path[:2] == ("routing", "receivers"):
            yield from _secret_of_receiver(path, text)


def _secret_of_receiver(path: KeyPath, text: str) -> Iterator[Problem]:
    """Check a text of a receiver; one that is passed through is written in Alertmanager's own words."""
    key = next(str(part) for part in reversed(path) if isinstance(part, str))
    if _ADDRESS.match(text) and without_secrets(text) != text:
        hint = f"write the whole address to a file, and the file's path to {key}_file"
        yield Problem((path,), "contains a secret, and specs are committed", "secret", hint)
    elif "other" in path[3:4] and _SECRET_KEY.search(key):
        hint = f"write it to a file, and the file's path to {key}_file"
        yield Problem((path,), "is a secret, and specs are committed", "secret", hint)


def _columns(spec: Spec) -> Iterator[Problem]:
    """Check that the log's time column has no second role, and that a prediction is not its own outcome."""
    log = spec.prediction_log
    time: KeyPath = ("prediction_log", "timestamp")
    for role in ("id", "entity", "group", "score", "model_version", "endpoint"):
        if getattr(log, role) == log.timestamp:
            path = ("prediction_log", role)
            message = f"is {quoted(log.timestamp)}, the log's timestamp column"
            yield Problem((path, time), message, "column-clash")
    for name in spec.features:
        if spec.column(name) == log.timestamp:
            message = f"is {quoted(log.timestamp)}, the log's timestamp column"
            yield Problem((("features", name, "column"), ("features", name), time), message, "column-clash")
    if log.outcome and not log.outcome.path:
        for role, column in (("timestamp", log.timestamp), ("score", log.score)):
            if log.outcome.column == column:
                paths: tuple[KeyPath, ...] = (("prediction_log", "outcome", "column"), ("prediction_log", role))
                message = f"is {quoted(column)}, the log's {role} column"
                yield Problem(paths, message, "column-clash")


def _log(spec: Spec) -> Iterator[Problem]:
    log, outcome = spec.prediction_log, spec.prediction_log.outcome
    if log.format is LogFormat.SQL and log.table is None:
        paths: tuple[KeyPath, ...] = (("prediction_log", "format"), ("prediction_log", "table"))
        yield Problem(paths, "sql needs prediction_log.table", "consistency")
    if log.password_file is not None and log.format is not LogFormat.SQL:
        paths = (("prediction_log", "password_file"), ("prediction_log", "format"))
        yield Problem(paths, "has no effect without format: sql", "consistency")
    if outcome is None:
        return
    where = ("prediction_log", "outcome")
    if outcome.path and log.id is None:
        message = "holds outcomes that are joined by id, which needs prediction_log.id"
        yield Problem(((*where, "path"), ("prediction_log", "id")), message, "consistency")
    if outcome.kind is OutcomeKind.BINARY and log.score is None and outcome.prediction is None:
        message = "binary compares outcomes with the score, which needs prediction_log.score"
        yield Problem(((*where, "kind"), where, ("prediction_log", "score")), message, "consistency")
    yield from _outcome(log, outcome, where)


def _outcome(log: PredictionLog, outcome: Outcome, where: KeyPath) -> Iterator[Problem]:
    """Check the settings that an outcome's kind and location require."""
    if outcome.kind is OutcomeKind.RANKING and outcome.list is None:
        message = "ranking compares the rows of one list, which needs prediction_log.outcome.list"
        yield Problem(((*where, "kind"), where), message, "consistency")
    yield from check_classes(outcome, where)
    if outcome.path and (outcome.format or log.format) is LogFormat.SQL and outcome.table is None:
        message = "is a database, which needs prediction_log.outcome.table"
        yield Problem(((*where, "path"), (*where, "table")), message, "consistency")
    needs = {"format": "path", "table": "path", "password_file": "path", "id": "path", "catalogue": "item"}
    for key, needed in needs.items():
        if getattr(outcome, key) is not None and getattr(outcome, needed) is None:
            message = f"has no effect without {needed}"
            yield Problem(((*where, key), where), message, "consistency")


def _skew(spec: Spec) -> Iterator[Problem]:
    log, skew = spec.prediction_log, spec.skew
    join: KeyPath = ("skew", "join")
    if skew.join is SkewJoin.ID and log.id is None:
        yield Problem((join, ("prediction_log", "id")), "is id, which needs prediction_log.id", "consistency")
    if skew.join is SkewJoin.ENTITY and log.entity is None:
        yield Problem(
            (join, ("prediction_log", "entity")), "is entity, which needs prediction_log.entity", "consistency"
        )
    if skew.path is not None and skew.format is LogFormat.SQL:
        yield Problem((("skew", "format"),), "sql is not supported here; write the rows to files", "consistency")
    for name, feature in spec.features.items():
        suitable = [other.name for other in STATISTICS if other.skew and other.suits(feature.type)]
        if feature.skew not in suitable:
            message = f"{feature.skew} compares numbers, but this feature is {feature.type}"
            yield Problem((("features", name, "skew"),), message, "consistency", f"use {' or '.join(suitable)}")


def _event_names(spec: Spec) -> Iterator[Problem]:
    contract = Contract(spec)
    uses = Counter(name for family in contract.families for name in {family.name, *family.series_names})
    for event in spec.business.events:
        taken = [name for name in (contract.event(event), contract.name(event)) if uses[name] > 1]
        if taken:
            path = ("business", "events", event)
            message = f"would become the metric {taken[0]}, which already exists"
            yield Problem((path,), message, "reserved-name", "choose another name", at_key=True)


def _repetitions(spec: Spec) -> Iterator[Problem]:
    for path, section in sections(spec):
        for name in section.__struct_fields__:
            values = getattr(section, name)
            if isinstance(values, tuple) and name not in _MAY_REPEAT:
                for index, value in enumerate(values):
                    if isinstance(value, str) and value in values[:index]:
                        where = (*path, name, index)
                        first = (*path, name, values.index(value))
                        yield Problem((where, first), f"lists {quoted(value)} twice", "duplicate")


def _ports(spec: Spec) -> Iterator[Problem]:
    addresses: dict[KeyPath, str] = {("exporter", "listen"): spec.exporter.listen}
    for section, targets in (("serving", spec.serving.targets), ("exporter", spec.exporter.targets)):
        addresses.update({(section, "targets", index): target for index, target in enumerate(targets)})
    for path, address in addresses.items():
        if int(address.rpartition(":")[2]) > _MAX_PORT:
            yield Problem((path,), f"has a port above {_MAX_PORT}", "range")


# ---------------------------------------------------------------- people


def _people(spec: Spec) -> Iterator[Problem]:
    rotation = set(spec.on_call.rotation)
    if 0 < len(rotation) < SMALLEST_ROTATION:
        message = f"needs at least {SMALLEST_ROTATION} responders, so that nobody burns out; it has {len(rotation)}"
        yield Problem((("on_call", "rotation"),), message, "range")
    for name, receiver in spec.routing.receivers.items():
        if not any(getattr(receiver, integration) for integration in receiver.__struct_fields__):
            path = ("routing", "receivers", name)
            hint = "give it slack, pagerduty or webhook"
            yield Problem((path,), "reaches nobody", "consistency", hint)


def _times(spec: Spec) -> Iterator[Problem]:
    start = ("on_call", "start")
    if _moment(spec.on_call.start) is None:
        yield _no_such_day(start)
    for index, maintenance in enumerate(spec.routing.maintenance):
        path = ("routing", "maintenance", index)
        first, last = _moment(maintenance.start), _moment(maintenance.end)
        for key, moment in (("start", first), ("end", last)):
            if moment is None:
                yield _no_such_day((*path, key))
        if first and last and last <= first:
            message = f"{maintenance.end} is not after its start {maintenance.start}"
            yield Problem(((*path, "end"), (*path, "start")), message, "order")
    for index, hours in enumerate(spec.routing.quiet_hours):
        if hours.start in {hours.end, "24:00"}:
            path = ("routing", "quiet_hours", index)
            message = f"{hours.start} leaves no time before the end {hours.end}"
            yield Problem(((*path, "start"), (*path, "end")), message, "order")


def _moment(written: str) -> datetime | None:
    try:
        return datetime.fromisoformat(written)
    except ValueError:
        return None


def _no_such_day(path: KeyPath) -> Problem:
    return Problem((path,), "is a day or time that does not exist", "range")


def _timezones(spec: Spec) -> Iterator[Problem]:
    named: dict[KeyPath, str] = {
        ("on_call", "timezone"): spec.on_call.timezone,
        ("windows", "time_zone"): spec.windows.time_zone,
    }
    for index, hours in enumerate(spec.routing.quiet_hours):
        named["routing", "quiet_hours", index, "timezone"] = hours.timezone
    for path, name in named.items():
        if name != "UTC":
            yield from _timezone(path, name)


def _timezone(path: KeyPath, name: str) -> Iterator[Problem]:
    import zoneinfo  # noqa: PLC0415  (reads files; most specs say UTC)

    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        hint = did_you_mean(name, zoneinfo.available_timezones())
        yield Problem((path,), f"is {quoted(name)}, which is not a time zone", "timezone", hint)


_RULES = (
    _references,
    _serving,
    _identity,
    _stages,
    check_slos,
    check_preset,
    _levels,
    _ranges,
    _windows,
    _telemetry,
    _series_budget,
    _escalation,
    _lengths,
    _sources,
    _results_database,
    _secrets,
    _columns,
    _log,
    _skew,
    check_events,
    _event_names,
    _repetitions,
    _ports,
    _people,
    *PEOPLE_RULES,
    check_incidents,
    _times,
    _timezones,
)
