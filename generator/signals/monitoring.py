"""The monitoring of the monitoring: a drift alert that stays silent must mean that nothing drifts."""

from collections.abc import Iterator
from functools import partial

import msgspec

from mlvitals.generator.contract import MOST_TOO_SMALL, Contract, Status
from mlvitals.generator.promql import matching, one_of, selector
from mlvitals.generator.signals.building import unreadable
from mlvitals.generator.signals.signal import (
    THINNED,
    Alert,
    Incident,
    Input,
    Layer,
    Level,
    Query,
    Record,
    Scenario,
    Signal,
    View,
)
from mlvitals.generator.signals.system import up_alert
from mlvitals.generator.signals.text import Format, Value, text, threshold
from mlvitals.generator.spec.durations import duration, seconds
from mlvitals.generator.spec.model import Severity, Spec

_panel = partial(Signal, layer=Layer.MONITORING, incident=Incident.MONITORING, unit="short", width=4, height=6)


def monitoring_signals(spec: Spec) -> Iterator[Signal]:
    """Yield the signals of the monitoring itself."""
    contract = Contract(spec)
    yield _exporter(spec)
    yield _last_success(spec, contract)
    yield _runs(spec, contract)
    yield _duration(spec, contract)
    yield _window(spec, contract)
    yield _thin_windows(spec, contract)
    yield _unreadable_files(spec, contract)
    yield _reference(contract)
    yield _watchdog(spec)
    yield _rules(spec)
    yield _published(spec)
    yield _scrapes(spec)
    if spec.serving.enabled:
        yield _telemetry(spec, contract)


def _exporter(spec: Spec) -> Signal:
    up = selector("up", job=spec.exporter_job)
    down = partial(
        up_alert,
        spec,
        name="MLExporterDown",
        job=spec.exporter_job,
        summary="The exporter cannot be reached: drift is not being monitored.",
        what="the exporter",
    )
    # It catches up with the windows it missed: only from the first missing one on is anybody worse off.
    missing = duration(max(seconds(spec.step) + seconds(spec.windows.grace), seconds(spec.alerts.monitoring.for_)))
    pages = msgspec.structs.replace(spec.alerts.monitoring, for_=missing)
    return _panel(
        id="exporter",
        title="Exporter up",
        description="1 if Prometheus reaches the exporter. Normal: 1. While the exporter is down, no drift alert "
        "can fire.",
        queries=(Query(f"max({up}) or vector(0)", "Up", instant=True),),
        view=View.STAT,
        levels=(Level(Severity.CRITICAL, 1),),
        below=True,
        alerts=(down(severity=Severity.WARNING), down(severity=Severity.CRITICAL, timing=pages)),
    )


def stale_after(spec: Spec) -> float:
    """Return the seconds without a successful measurement after which results are stale: two missed windows."""
    return 2 * seconds(spec.step) + seconds(spec.windows.grace)


def _last_success(spec: Spec, contract: Contract) -> Signal:
    success = contract.name("exporter_last_success_timestamp_seconds")
    run = contract.name("exporter_last_run_timestamp_seconds")
    limit = stale_after(spec)
    alert = Alert(
        name="MLResultsStale",
        severity=Severity.CRITICAL,
        expression=f"time() - max({success})",
        threshold=limit,
        summary="No window has been measured for too long: the drift results shown are out of date.",
        description=text(
            f"The last successful measurement of {spec.title} was ",
            Value(Format.DURATION),
            f" ago, longer than the limit of {threshold(limit, Format.DURATION)}.",
        ),
        timing=spec.alerts.monitoring,
        scenario=lambda value: Scenario((Input(success, {}, -value, slope=1),)),
        format=Format.DURATION,
        resolution=0.01,
    )
    return _panel(
        id="last_success",
        title="Time since the last measurement",
        description="Time since the last attempt and since the last success. Normal: below one step of the window. "
        "If the two differ, measurements are failing.",
        unit="s",
        queries=(
            Query(f"time() - max({success})", "Last success"),
            Query(f"time() - max({run})", "Last attempt", dimmed=True),
        ),
        width=6,
        levels=(Level(Severity.CRITICAL, limit),),
        alerts=(alert,),
    )


def _runs(spec: Spec, contract: Contract) -> Signal:
    runs, failures = contract.name("exporter_runs_total"), contract.name("exporter_run_failures_total")
    window = duration(max(2 * seconds(spec.step), seconds(spec.telemetry.rate_window)))
    alert = Alert(
        name="MLRunFailed",
        severity=Severity.WARNING,
        expression=f"max(increase({failures}[{window}]))",
        threshold=0,
        resolution=1,
        summary="The exporter failed to measure a window.",
        description=text(
            f"The exporter of {spec.title} failed ",
            Value(Format.NUMBER),
            f" times within {window}; its log gives the reason. The results shown are those of the last window "
            "measured successfully.",
        ),
        timing=spec.alerts.monitoring,
        scenario=lambda value: Scenario((Input(failures, {}, slope=value / seconds(window)),)),
    )
    return _panel(
        id="runs",
        title="Measurements attempted and failed",
        description="Windows that the exporter tried to measure, and those that failed. Normal: one per step, none "
        "failed.",
        queries=(
            Query(f"max(increase({runs}[{window}]))", "Tried"),
            Query(f"max(increase({failures}[{window}]))", "Failed"),
        ),
        width=6,
        alerts=(alert,),
    )


def _duration(spec: Spec, contract: Contract) -> Signal:
    return _panel(
        id="run_duration",
        title="Measurement duration",
        description=f"Duration of the last measurement. Normal: far below the step of {spec.step}.",
        unit="s",
        queries=(Query(f"max({contract.name('exporter_run_duration_seconds')})", "Duration"),),
    )


def _window(spec: Spec, contract: Contract) -> Signal:
    start, end = contract.name("window_start_timestamp_seconds"), contract.name("window_end_timestamp_seconds")
    return _panel(
        id="window",
        title="Last window",
        description="Time since the last measured window ended, and how long it is (according to the spec, "
        f"{spec.window_length}).",
        unit="s",
        queries=(
            Query(f"time() - max({end})", "Time since its end", instant=True),
            Query(f"max({end} - {start})", "Length", instant=True),
        ),
        view=View.STAT,
    )


def _thin_windows(spec: Spec, contract: Contract) -> Signal:
    metric = contract.name("feature_status")
    thin = selector(metric, status=Status.INSUFFICIENT_DATA.value)
    expression = f"sum({thin}) / count({thin})"
    record = Record(f"system:{contract.name('features_too_small')}:ratio", expression, every=THINNED)
    example = next(iter(spec.features))
    scores = selector(contract.name("prediction_score_status"), status=Status.INSUFFICIENT_DATA.value)
    of_scores = Alert(
        name="MLWindowTooSmall",
        severity=Severity.WARNING,
        expression=f"max({scores})",
        threshold=0,
        resolution=1,
        summary="The window has too few scores to measure.",
        description=text(
            f"The last window of {spec.title} has too few scores to compare: increase {spec.windows_key}, or find out why "
            "scores are not logged, or null."
        ),
        timing=spec.alerts.monitoring,
        scenario=lambda value: Scenario(
            (Input(contract.name("prediction_score_status"), {"status": Status.INSUFFICIENT_DATA.value}, value),)
        ),
    )
    alert = Alert(
        name="MLWindowTooSmall",
        severity=Severity.WARNING,
        expression=expression,
        threshold=MOST_TOO_SMALL,
        summary="The window has too few rows to measure most features.",
        description=text(
            "For ",
            Value(Format.PERCENT),
            f" of the features of {spec.title} the last window is too small: increase {spec.windows_key}, or find out "
            "why predictions are not logged.",
        ),
        timing=spec.alerts.monitoring,
        scenario=lambda value: Scenario(
            (
                *(
                    Input(
                        metric, {"feature_name": example, "status": Status.INSUFFICIENT_DATA.value, "copy": copy}, share
                    )
                    for copy, share in (("1", value), ("2", value))
                ),
            )
        ),
        format=Format.PERCENT,
    )
    return _panel(
        id="thin_windows",
        title="Features with too few rows",
        description="Share of features for which the last window had too few rows. Normal: 0.",
        unit="percentunit",
        maximum=1,
        queries=(Query(record.name, "Too few rows"),),
        records=(record,),
        view=View.STEPS,
        levels=(Level(Severity.WARNING, MOST_TOO_SMALL),),
        alerts=(alert, *((of_scores,) if spec.score_type is not None else ())),
    )


def _unreadable_files(spec: Spec, contract: Contract) -> Signal:
    metric = contract.name("log_files_unreadable")
    alert = unreadable(
        metric,
        "MLLogFilesUnreadable",
        spec.alerts.monitoring,
        "Some files of the prediction log cannot be read; the rest of the window was measured.",
        Value(Format.NUMBER),
        f" files of the last window of {spec.title} could not be read; the exporter's log names them.",
    )
    return _panel(
        id="unreadable_files",
        title="Unreadable log files",
        description="Files of the last window that could not be read. Normal: 0. The exporter's log names each "
        "file and the reason.",
        decimals=0,
        queries=(Query(f"max({metric})", "Files", instant=True),),
        view=View.STAT,
        levels=(Level(Severity.WARNING, 1),),
        alerts=(alert,),
    )


def _reference(contract: Contract) -> Signal:
    info, created = contract.name("reference_info"), contract.name("reference_created_timestamp_seconds")
    return _panel(
        id="reference",
        title="Active reference and its age",
        description="The version of the reference and the time since it was built. It should be as old as the "
        "model being served, and no older.",
        unit="s",
        decimals=0,
        queries=(
            Query(
                f"max by (reference_version) ({info}) * on () group_left () (time() - max({created}))",
                "{{reference_version}}",
                instant=True,
            ),
        ),
        view=View.STAT,
    )


def _watchdog(spec: Spec) -> Signal:
    alert = Alert(
        name="MLWatchdog",
        severity=Severity.NONE,
        expression="vector(1)",
        comparison="==",
        threshold=1,
        summary="This alert always fires; if it stops arriving, alerting is broken.",
        description=text(f"Alerting of {spec.title} works. Route this alert to a dead man's switch."),
        timing=msgspec.structs.replace(spec.alerts.monitoring, enabled=True, for_="0s"),  # it fires immediately
        scenario=lambda _: Scenario(()),
        fires_without_data=True,
        policy="monitoring",
    )
    firing = selector("ALERTS", alertstate="firing", system=spec.system.name)
    return _panel(
        id="watchdog",
        title="Firing alerts, including the watchdog",
        description="Firing alerts of this system by severity. The watchdog (severity none) always fires: if it is "
        "missing, rules are not being evaluated.",
        decimals=0,
        queries=(Query(f"count by (severity) ({firing})", "{{severity}}"),),
        alerts=(alert,),
    )


def _rules(spec: Spec) -> Signal:
    # Prometheus names a group by its file, which is anywhere, and its name. Another environment's may begin alike.
    kinds = f"({'|'.join(Layer)})-(recording|alerts)"
    of_system = f'rule_group=~".*;{spec.slug}-{kinds}(-[0-9][0-9a-z]*){{0,2}}"'
    failures = matching("prometheus_rule_evaluation_failures_total", of_system)
    window = spec.telemetry.rate_window
    example = f"/etc/rules.yml;{spec.slug}-{Layer.DATA}-alerts"
    alert = Alert(
        name="MLRulesFailing",
        severity=Severity.CRITICAL,
        expression=f"sum(increase({failures}[{window}]))",
        threshold=0,
        resolution=1,
        summary="Rules cannot be evaluated: what they would alert on goes undetected.",
        description=text(
            Value(Format.NUMBER),
            f" evaluations of rules of {spec.title} failed within {window}. Prometheus's page of rules shows which, and the "
            "error: usually series that several processes publish with contradicting labels.",
        ),
        timing=spec.alerts.monitoring,
        scenario=lambda value: Scenario(
            (
                Input(
                    "prometheus_rule_evaluation_failures_total",
                    {"rule_group": example, "instance": "localhost:9090", "job": "prometheus"},
                    slope=value / seconds(window),
                ),
            )
        ),
    )
    return _panel(
        id="rules_failing",
        title="Failed rule evaluations",
        description="Evaluations of this system's rules that failed. Normal: 0. Anything else is an alert that cannot "
        "fire. Prometheus must scrape itself, as the generated configuration has it.",
        decimals=0,
        queries=(Query(f"sum(increase({failures}[{window}]))", "Failed"),),
        levels=(Level(Severity.CRITICAL, 1),),
        alerts=(alert,),
    )


def _jobs(spec: Spec) -> str:
    """Return a matcher for the scrape jobs of the system."""
    return one_of("job", ((spec.serving_job,) if spec.serving.enabled else ()) + (spec.exporter_job,))


def _published(spec: Spec) -> Signal:
    return _panel(
        id="published",
        title="Series published",
        description="Series that each target exposed at its last scrape: the load of the monitoring on Prometheus. "
        "Normal: flat; it grows with features, their bins and model versions. An endless climb is a label with "
        "unbounded values.",
        queries=(Query(f"sum by (job) ({matching('scrape_samples_scraped', _jobs(spec))})", "{{job}}"),),
        width=_width_of_targets(spec),
        height=7,
    )


def _scrapes(spec: Spec) -> Signal:
    return _panel(
        id="scrapes",
        title="Scrape duration",
        description="Duration of the last scrape of each target. Normal: far below the scrape interval. A scrape "
        "that takes longer loses samples.",
        unit="s",
        queries=(Query(f"max by (job) ({matching('scrape_duration_seconds', _jobs(spec))})", "{{job}}"),),
        width=_width_of_targets(spec),
        height=7,
    )


def _width_of_targets(spec: Spec) -> int:
    """The width of each panel of what is scraped; the application's own telemetry is the third, where there is one."""
    return 8 if spec.serving.enabled else 12


def _telemetry(spec: Spec, contract: Contract) -> Signal:
    overflow, failures = (
        contract.name("serving_label_overflow_total"),
        contract.name("serving_telemetry_failures_total"),
    )
    window = spec.telemetry.rate_window
    return _panel(
        id="telemetry",
        title="Telemetry that was cut",
        description="Values that the application's telemetry counts as other, by label, and what it could not store or read "
        "in the folder of its workers. Normal: 0. A label: name the value in the spec, or find out who invents such values. "
        "Store or read: the disk of the folder is full, or its files are damaged.",
        queries=(
            Query(f"sum by (label_name) (increase({overflow}[{window}]))", "{{label_name}} as other"),
            Query(f"sum by (operation) (increase({failures}[{window}]))", "cannot {{operation}}"),
        ),
        width=_width_of_targets(spec),
        height=7,
    )
