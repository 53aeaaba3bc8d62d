"""The general part of each runbook: texts on each incident type that are the same for all systems."""

from dataclasses import dataclass

from mlvitals.generator.runbooks.checks import Answer, Check
from mlvitals.generator.signals.signal import Incident


@dataclass(frozen=True, slots=True)
class Mitigation:
    """A mitigation, when to use it, how long it takes to show, and its risk."""

    action: str
    when: str
    takes: str
    risk: str


@dataclass(frozen=True, slots=True)
class RootCause:
    """A category of root causes of ML incidents: its evidence, and how to verify it."""

    name: str
    signs: str
    check: str


@dataclass(frozen=True, slots=True)
class Guide:
    """An incident type. Every text is Markdown."""

    title: str
    meaning: str
    impact: tuple[str, ...]
    diagnosis: tuple[str, ...]
    checks: tuple[Check, ...]
    """The checks after the alert's own expression; a page shows the first two that the system can answer."""
    mitigations: tuple[Mitigation, ...]
    root_causes: tuple[str, ...]
    page_at_once: str
    """The condition for escalating immediately."""
    in_windows: bool
    """True if its metrics change with the measured windows, not with every scrape."""
    in_sources: bool = False
    """True if its metrics change with the runs of the pipelines."""
    asks_bins: bool = False
    """True if the results database shows which bins changed."""


ROOT_CAUSES = (
    RootCause(
        "Data pipeline change",
        "A sudden step; a single source; units, encodings, nulls or ranges never seen before.",
        "Compare the source's code and schema before and after the step; look at raw rows of the bin that grew.",
    ),
    RootCause(
        "Distribution shift",
        "A slope over days, or a campaign, season or market; several independent sources agree; values are valid.",
        "Split by segment; compare with the same weeks of last year; check that validation on recent data is still "
        "good.",
    ),
    RootCause(
        "Concept drift",
        "Features and scores are unchanged, but outcomes are not: the gap between predicted and observed grows.",
        "Check the calibration of mature predictions; a model trained on recent data performs better on them.",
    ),
    RootCause(
        "Training-serving skew",
        "Served values differ from those recomputed offline, often since a deployment.",
        "Compute the feature both ways for one logged prediction and find where the two diverge.",
    ),
    RootCause(
        "Label leakage",
        "Offline metrics were far better than any in production, from the first day.",
        "Look for features that are known only after the outcome; train without the suspicious ones.",
    ),
    RootCause(
        "Feedback loop",
        "Items that the model favours become more frequent in its own training data; diversity or coverage falls "
        "slowly.",
        "Compare with traffic that the model does not influence: a random or held-out share.",
    ),
    RootCause(
        "Stale model",
        "The model is older than its objective allows; metrics worsen a little every day.",
        "Check the model's age and the last training run; compare with a model trained today.",
    ),
)
"""The categories of root causes, by which post-mortems are counted."""

_BY_HAND = Check(
    "Measure the same window of yesterday.",
    (
        Answer("The same finding", "It did not start today: open the last 30 days."),
        Answer("Nothing found", "A step since yesterday: look for a deployment or a pipeline change."),
    ),
    language="sh",
    text="mlvitals drift SPEC --start TIME --end TIME",
)

_FEATURE_DRIFT = Guide(
    title="Feature drift",
    meaning=(
        "A feature no longer looks like the data the model was trained on: its distribution changed, it is null or "
        "out of range too often, or it cannot be measured at all. The model still answers, but from inputs it was "
        "never trained on."
    ),
    impact=(
        "Predictions are worse for every request that carries the feature. Nothing fails: no error, no slow request.",
        "To see how many requests are affected, look at the current share of the top bin, in the alert's text and "
        "in the query below.",
        "To see if users are affected, compare the business panels with the week before. If they fall too, page.",
    ),
    diagnosis=(
        "Read the alert: the bin that changed most, its share before and now, and the source of the feature.",
        "One feature or many? Many features of one source are one broken pipeline, not many drifts.",
        "Was it sudden? A step within a minute is a deployment or a pipeline change; a slope over days is the "
        "population.",
        "A top bin with an open end, such as `> 365`, that grew from nothing is a changed unit or encoding: "
        "seconds instead of days, a timestamp instead of an age. Look at raw rows of that bin.",
        "Compare with the same window yesterday: measure it with `--start` and `--end`.",
        "Does serving differ from offline? That is never the population. The window's report (`--json`, under "
        "`skew`) names the predictions that differ most: compute the feature of one of them both ways and find "
        "where the two diverge.",
    ),
    checks=(
        Check(
            "List the bins that moved most, in the results database.",
            (
                Answer(
                    "A bin with an open end grew from nothing", "A changed unit or encoding: look at raw rows of it."
                ),
                Answer("Many bins moved a little", "The population, or a filter: compare with the week before."),
            ),
            language="sql",
            text="TOP_BINS",
        ),
        Check(
            "Count the critically drifting features of each source.",
            (
                Answer("One source has them all", "Its pipeline is broken: ask its owner what changed."),
                Answer("Several sources, or no result", "Look for a shared upstream table, a season or a campaign."),
            ),
            signal="drifting_sources",
        ),
        _BY_HAND,
    ),
    mitigations=(
        Mitigation(
            "Revert the pipeline change that caused the drift",
            "The step coincides with a change to the feature's source.",
            "One run of the pipeline, then a window",
            "Low: the old values return",
        ),
        Mitigation(
            "Fall back to the feature's default or last good value",
            "The feature is wrong and the fix takes longer than an hour.",
            "Minutes, then a window",
            "Medium: predictions lose what the feature says",
        ),
        Mitigation(
            "Roll the model back",
            "The drift started with a new model version whose preprocessing differs.",
            "Minutes",
            "Low, if the old version fits the current schema",
        ),
        Mitigation(
            "Retrain on recent data, then promote a new reference",
            "The population really changed and the values are correct. Never while the data is broken.",
            "Hours to days",
            "High while data is broken: the fault becomes part of the model",
        ),
        Mitigation(
            "Raise the feature's threshold in the spec",
            "The shift is known and harmless; write the reason next to the threshold.",
            "Minutes",
            "High: the next real drift may stay below it",
        ),
    ),
    root_causes=(
        "Data pipeline change: compare the code and the schema of the source before and after the step.",
        "Training-serving skew: compute the feature offline for a few logged rows and compare.",
        "Distribution shift: does it show in several independent sources, and does it follow a campaign, a season "
        "or a market?",
        "A reference that is older than the model: check which version is active.",
    ),
    page_at_once="a KPI falls as well, five or more features drift together, or the source belongs to another team.",
    in_windows=True,
    asks_bins=True,
)

_STALE_DATA = Guide(
    title="Stale data",
    meaning=(
        "A feature source has not been updated within its limit, or its age is unknown. Features are computed from "
        "old data although every request succeeds."
    ),
    impact=(
        "Every feature of the source describes the past; fast-moving ones, such as popularity, go wrong first.",
        "Drift follows: old data looks less and less like the present.",
        "An unknown age is as bad as a high one: assume that the source is stale until proven otherwise.",
    ),
    diagnosis=(
        "One source or several? Several that stopped together share a scheduler, a bucket or a credential.",
        "Did the job run? Look at its last run, its duration, and whether it wrote an empty result.",
        "Did the job write somewhere else? Compare the path or the query in the spec with the job's output.",
        "Is the age unknown? The exporter's log names the path, query or URL that it could not read.",
    ),
    checks=(
        Check(
            "Compare the age of all sources with their limits.",
            (
                Answer("One is above 1", "Its job: look at the last run, its duration and its output."),
                Answer("Several are above 1", "What they share: a scheduler, a bucket, a credential."),
            ),
            signal="freshness",
        ),
        Check(
            "List the features that drift already.",
            (
                Answer("Features of the stale source", "Users get wrong predictions now: mitigate before you search."),
                Answer("None of them", "There is time: fix the job."),
            ),
            signal="top_bins",
        ),
        Check(
            "Read the ages that the exporter publishes.",
            (
                Answer(
                    "A source without a timestamp", "It cannot be read: the exporter's log names path, query or URL."
                ),
                Answer("A timestamp that moves", "The job runs again: the alert ends by itself."),
            ),
            language="sh",
            text="curl -s http://EXPORTER/metrics | grep data_freshness",
        ),
    ),
    mitigations=(
        Mitigation(
            "Run the job again",
            "It failed or was skipped, and its inputs are available.",
            "One run of the job",
            "Low, if the job may run twice",
        ),
        Mitigation(
            "Point the readers at the last good output",
            "The job wrote something broken or empty.",
            "Minutes",
            "Low: the data is old, but consistent",
        ),
        Mitigation(
            "Serve the defaults of the source's features",
            "The data is older than twice its maximum age and harms predictions.",
            "Minutes",
            "Medium: predictions lose what the features say",
        ),
        Mitigation(
            "Raise the source's max_age in the spec",
            "The job's schedule was changed on purpose.",
            "Minutes",
            "High: real delays are noticed later",
        ),
    ),
    root_causes=(
        "An upstream table that arrived late or empty, a schema change, an expired credential, a full disk.",
        "A job that grew until it no longer fits its schedule.",
        "Clocks and time zones: a timestamp in local time is hours off.",
    ),
    page_at_once="the source belongs to another team, or its data is older than twice the limit and has no fallback.",
    in_windows=False,
    in_sources=True,
)

_PREDICTION_DRIFT = Guide(
    title="Prediction drift",
    meaning=(
        "The distribution of the model's scores differs from that at validation. The cause is a change in its "
        "inputs or in the model itself."
    ),
    impact=(
        "Anything that compares the score with a fixed cut-off now passes more, or fewer, cases.",
        "Rankings change less than scores: check the business panels before deciding how bad it is.",
    ),
    diagnosis=(
        "Was a model deployed? Compare the time with the deployment marks on the dashboard.",
        "Do features drift as well? Then this is a consequence: use the runbook for feature drift first.",
        "If no feature drifts and nothing was deployed, look at the score histogram for a band that appeared or "
        "disappeared, such as a default score returned on errors.",
        "Is the traffic the usual mix of endpoints and clients?",
        "Are outcomes known? A widening gap between predictions and outcomes is concept drift; outcomes that "
        "became rarer or more frequent while the gap is unchanged are label drift. Check the feedback rate before "
        "you trust either.",
    ),
    checks=(
        Check(
            "List the features that moved most.",
            (
                Answer(
                    "One is above its threshold",
                    "The scores follow it: go on with [feature drift](../feature-drift.md).",
                ),
                Answer("None is", "The model or its outcomes: go on with check 3."),
            ),
            signal="top_bins",
        ),
        Check(
            "Read the age and version of the model in service.",
            (
                Answer("A new version since the change", "Roll it back."),
                Answer("The same version for weeks", "Its world changed: check outcomes, then retrain."),
            ),
            signal="model",
        ),
        _BY_HAND,
    ),
    mitigations=(
        Mitigation(
            "Roll the model back",
            "The change started with a deployment.",
            "Minutes",
            "Low, if the old version fits the current schema",
        ),
        Mitigation(
            "Treat the drifting feature",
            "A feature drifted first.",
            "See its runbook",
            "See its runbook",
        ),
        Mitigation(
            "Shift traffic to the previous version",
            "Two versions serve and only one of them drifts.",
            "Minutes",
            "Low: watch the load of the other version",
        ),
        Mitigation(
            "Recalibrate, then promote a new reference",
            "The share of positive outcomes really changed.",
            "Hours",
            "Medium: wrong if outcomes are incomplete",
        ),
    ),
    root_causes=(
        "Stale model, wrong artifact, or preprocessing that differs from training.",
        "Covariate shift (inputs), label shift (outcomes) or concept drift (their relation): outcomes show which.",
        "A feedback loop: the model's own choices changed the data that it now scores.",
    ),
    page_at_once="a KPI falls as well, or the score decides something that cannot be undone.",
    in_windows=True,
    asks_bins=True,
)

_HIGH_LATENCY = Guide(
    title="High latency, errors or outage",
    meaning="The serving application answers too slowly, fails too often, or cannot be reached.",
    impact=(
        "Users wait or get the fallback; callers that time out retry and add load.",
        "While the application is down, no predictions are logged, so drift windows have few rows as well.",
    ),
    diagnosis=(
        "Which stage became slower? The p99 of each stage shows if features, inference or reranking is slow.",
        "Did traffic grow at the same time? Then it is capacity. Was there a deployment? Then it is the version.",
        "Errors: group them by `error_type`. Invalid input points at a caller, timeouts at a dependency.",
        "Memory that climbs steadily is a leak; a CPU or GPU at its limit is saturation.",
    ),
    checks=(
        Check(
            "Find the slow stage.",
            (
                Answer("One stage grew", "Its store or model is slow: check that dependency."),
                Answer("All stages grew", "The machine is saturated, or traffic grew."),
            ),
            signal="stage_latency",
        ),
        Check(
            "Compare traffic with the hour before.",
            (
                Answer("It grew", "Capacity: add instances or shed load."),
                Answer("It fell to 0", "Callers cannot reach the application, or gave up."),
                Answer("It is unchanged", "A deployment or a dependency."),
            ),
            signal="throughput",
        ),
        _BY_HAND,
    ),
    mitigations=(
        Mitigation(
            "Roll the deployment back",
            "Latency or errors started with it.",
            "Minutes",
            "Low, if the schema did not change",
        ),
        Mitigation(
            "Add instances",
            "Traffic or saturation grew, and the dependencies are healthy.",
            "Minutes",
            "Low: costs money; may overload a dependency",
        ),
        Mitigation(
            "Serve cached features or skip a stage",
            "One stage or its store is slow, and answers without it are acceptable.",
            "Minutes",
            "Medium: answers are worse",
        ),
        Mitigation(
            "Shed or delay low-priority traffic",
            "Capacity cannot grow quickly enough.",
            "Minutes",
            "Medium: some callers get no answer",
        ),
        Mitigation(
            "Restart instances one by one",
            "Memory leaks; buys time only.",
            "Minutes per instance",
            "Medium: less capacity meanwhile",
        ),
    ),
    root_causes=(
        "A larger model or a longer candidate list, a cold cache, a slow feature store, noisy neighbours.",
        "A retry storm: look at the callers' retry policy.",
    ),
    page_at_once="the application is down, or a deployment cannot be rolled back.",
    in_windows=False,
)

_BUSINESS_METRIC_DROP = Guide(
    title="Business metric drop",
    meaning=(
        "A KPI of the system fell compared with the same time in the past. The cause may be in the model, in its "
        "data, or outside both."
    ),
    impact=(
        "This is the damage itself, not a symptom: estimate what a day at this level costs.",
        "Inform the product team early; they know about campaigns, releases and holidays.",
    ),
    diagnosis=(
        "Are events still being counted? A numerator that stopped is broken tracking, not unhappy users.",
        "Are alerts of lower layers firing? Start with the lowest: data, then model, then system.",
        "Are all clients, regions and endpoints affected, or one? One points to a release there.",
        "Compare the start of the drop with deployments, pipeline changes and the calendar.",
    ),
    checks=(
        Check(
            "List the features that moved most.",
            (
                Answer("One is above its threshold", "Go on with [feature drift](../feature-drift.md)."),
                Answer("None is", "Not the inputs: go on with check 3."),
            ),
            signal="top_bins",
        ),
        Check(
            "Read the share of failed predictions.",
            (
                Answer("Above its threshold", "Users get no or fallback answers: fix the serving application first."),
                Answer("As usual", "The model or something outside it: compare with releases and the calendar."),
            ),
            signal="error_rate",
        ),
        _BY_HAND,
    ),
    mitigations=(
        Mitigation(
            "Follow the runbook of the lower layer",
            "A drift, freshness or latency alert fires as well.",
            "See that runbook",
            "See that runbook",
        ),
        Mitigation(
            "Roll the model back",
            "The drop started with a new version.",
            "Minutes",
            "Low, if the old version fits the current schema",
        ),
        Mitigation(
            "Shift traffic to a simple fallback",
            "The cause is unknown, and the fallback is known to perform better than this.",
            "Minutes",
            "Medium: worse answers for all users",
        ),
        Mitigation(
            "Fix the tracking",
            "Events are lost, but users are not.",
            "A release of the client or the service",
            "Low: lost events stay lost",
        ),
    ),
    root_causes=(
        "Concept drift: the same inputs now lead to different outcomes.",
        "Label leakage found late: good offline metrics that never held in production.",
        "A change to the product around the model, a holiday, a competitor.",
    ),
    page_at_once="no lower layer explains the drop, or it costs more than the team may decide on alone.",
    in_windows=False,
)

_MONITORING = Guide(
    title="Monitoring itself",
    meaning=(
        "The monitoring of the system is broken or blind. Until it is fixed, the silence of the other alerts means "
        "nothing."
    ),
    impact=(
        "Drift goes undetected: the values on the dashboard are out of date or missing.",
        "If the watchdog stopped, no alert arrives at all.",
    ),
    diagnosis=(
        "Is the exporter alive? Query its `/healthz` and `/readyz`, then read its log, which names what it could "
        "not read.",
        "Can Prometheus reach the exporter? Look at Prometheus's targets page for the error of the last scrape.",
        "Are measurements failing? Measure the window by hand with the command below and read the message.",
        "Are windows too small? Check that predictions are still being logged, and to the place named in the spec.",
        "Are outcomes missing, late or rejected? Treat this as a logging failure first: did the job that delivers "
        "them run, do their ids look like those of the predictions, and do both clocks agree? The window's report "
        "(`--json`, under `outcomes`) counts early, late, duplicate, orphaned and invalid outcomes and names "
        "unreadable files.",
        "Has the watchdog stopped? Check Prometheus, then Alertmanager, then the receiver of the dead man's "
        "switch, in this order.",
    ),
    checks=(
        Check(
            "Ask the exporter itself.",
            (
                Answer("It answers", "It lives: read `/readyz` for what it waits for."),
                Answer("No answer", "It is down or unreachable: restart it and read its log."),
            ),
            language="sh",
            text="curl http://EXPORTER/healthz",
        ),
        Check(
            "Measure the last window by hand.",
            (
                Answer("It works", "The log is readable: the fault is in the exporter or its database."),
                Answer("An error", "It names what cannot be read: fix that."),
            ),
            language="sh",
            text="mlvitals drift SPEC",
        ),
    ),
    mitigations=(
        Mitigation(
            "Restart the exporter",
            "It hangs or cannot be reached. It measures the windows that it missed.",
            "Minutes; missed windows are measured immediately",
            "Low: nothing is lost",
        ),
        Mitigation(
            "Fix the log or its path in the spec",
            "Files are unreadable or missing.",
            "Minutes to hours",
            "Low",
        ),
        Mitigation(
            "Increase windows.length",
            "Traffic is too low for the window length on ordinary days.",
            "Minutes, then one window of the new length",
            "Medium: drift is noticed later",
        ),
        Mitigation(
            "Check for drift by hand every hour",
            "The fix takes longer than a few windows.",
            "Five minutes per hour",
            "Low: takes somebody's attention",
        ),
    ),
    root_causes=(
        "A changed schema or path of the prediction log, an expired credential, a full disk, too little memory.",
        "A reference that was removed, or that belongs to another spec.",
    ),
    page_at_once="the watchdog is silent, or the monitoring stays blind for more than two windows.",
    in_windows=True,
)

GUIDES = {
    Incident.FEATURE_DRIFT: _FEATURE_DRIFT,
    Incident.STALE_DATA: _STALE_DATA,
    Incident.PREDICTION_DRIFT: _PREDICTION_DRIFT,
    Incident.HIGH_LATENCY: _HIGH_LATENCY,
    Incident.BUSINESS_METRIC_DROP: _BUSINESS_METRIC_DROP,
    Incident.MONITORING: _MONITORING,
}
