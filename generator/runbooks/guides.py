"""What is known about each incident type, whatever the system: the words of its runbook."""

from dataclasses import dataclass

from mlvitals.generator.signals.signal import Incident


@dataclass(frozen=True, slots=True)
class Mitigation:
    """A way to stop the damage, when it is the right one, and how long it takes to show."""

    action: str
    when: str
    takes: str


@dataclass(frozen=True, slots=True)
class RootCause:
    """A category of root causes of ML incidents: what speaks for it, and how to make sure."""

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
    mitigations: tuple[Mitigation, ...]
    root_causes: tuple[str, ...]
    page_at_once: str
    """When to escalate without waiting."""
    in_windows: bool
    """Its figures change with the measured windows, not with every scrape."""
    in_sources: bool = False
    """Its figures change with the runs of the pipelines."""
    asks_bins: bool = False
    """The results database says which bins moved."""


ROOT_CAUSES = (
    RootCause(
        "Data pipeline change",
        "A step at one moment; one source; units, encodings, nulls or ranges that never occurred before.",
        "Compare code and schema of the source before and after the step; look at raw rows of the bin that grew.",
    ),
    RootCause(
        "Distribution shift",
        "A slope over days, or a campaign, season or market; several independent sources agree; values are valid.",
        "Split by segment; compare with the same weeks of last year; validation on recent data is still good.",
    ),
    RootCause(
        "Concept drift",
        "Features and scores are as before, but outcomes are not: the gap of predicted and observed grows.",
        "Read the calibration of mature predictions; a model trained on recent data does better on them.",
    ),
    RootCause(
        "Training-serving skew",
        "Served values differ from those recomputed offline, often since a deployment.",
        "Compute the feature both ways for one logged prediction, and find where they part.",
    ),
    RootCause(
        "Label leakage",
        "Offline figures were far better than any in production, from the first day on.",
        "Look for features that are known only after the outcome; train without the suspicious one.",
    ),
    RootCause(
        "Feedback loop",
        "What the model favours grows in its own training data; diversity or coverage falls slowly.",
        "Compare with traffic that the model does not steer: a random or held-out share.",
    ),
    RootCause(
        "Stale model",
        "The model is older than its objective allows; figures worsen a little every day.",
        "Read the model's age and the last training run; compare with a model trained today.",
    ),
)
"""The categories in which a root cause is looked for, and by which post-mortems are counted."""

_FEATURE_DRIFT = Guide(
    title="Feature drift",
    meaning=(
        "A feature no longer looks like the data the model was trained on: its distribution moved, it is null or out of "
        "range too often, or it cannot be measured at all. The model still answers, and answers from inputs it never "
        "learned."
    ),
    impact=(
        "Predictions are worse for every request that carries the feature. Nothing fails: no error, no slow request.",
        "How many requests are affected: the current share of the top bin, in the alert's text and in the query below.",
        "Whether users notice: compare the business panels with the week before. If they fall too, page.",
    ),
    diagnosis=(
        "Read the alert: the bin that moved, its share before and now, and the source of the feature.",
        "One feature or many? Many features of one source are one broken pipeline, not many drifts.",
        "Was it sudden? A step at a minute is a deployment or a pipeline change; a slope over days is the population.",
        "A top bin with an open end, such as `> 365`, that grew from nothing is a changed unit or encoding: seconds for "
        "days, a timestamp for an age. Look at raw rows of that bin.",
        "Compare with the same window of yesterday: measure it with `--start` and `--end`.",
        "Serving differs from offline? That is never the population. The window's report (`--json`, under `skew`) names "
        "the predictions that differ most: compute the feature of one of them both ways and find where they part.",
    ),
    mitigations=(
        Mitigation(
            "Revert the pipeline change that moved the feature",
            "The step coincides with a change of its source.",
            "One run of the pipeline, then a window",
        ),
        Mitigation(
            "Fall back to the feature's default or last good value",
            "The feature is wrong and the fix takes longer than an hour.",
            "Minutes, then a window",
        ),
        Mitigation(
            "Roll the model back",
            "The drift began with a new model version, whose preprocessing differs.",
            "Minutes",
        ),
        Mitigation(
            "Retrain on recent data, then promote a new reference",
            "The population really changed and the values are right. Never while the data is broken.",
            "Hours to days",
        ),
        Mitigation(
            "Raise the feature's threshold in the spec",
            "The shift is known and harmless; write the reason beside the threshold.",
            "Minutes",
        ),
    ),
    root_causes=(
        "Data pipeline change: compare the code and the schema of the source before and after the step.",
        "Training-serving skew: compute the feature offline for a few logged rows and compare.",
        "Distribution shift: is it seen in several independent sources, and does it follow a campaign, a season, a market?",
        "A reference that is older than the model: see which version is in force.",
    ),
    page_at_once="a business figure falls as well, five or more features drift together, or the source belongs to another team.",
    in_windows=True,
    asks_bins=True,
)

_STALE_DATA = Guide(
    title="Stale data",
    meaning=(
        "A feature source has not been updated for longer than it may, or its age is not known. Features are computed "
        "from old data although every request succeeds."
    ),
    impact=(
        "Every feature of the source describes the past; fast moving ones, such as popularity, go wrong first.",
        "Drift follows: old data looks less and less like the present.",
        "An unknown age is as bad as a high one: assume that the source is stale until shown otherwise.",
    ),
    diagnosis=(
        "One source or several? Several that stopped together share a scheduler, a bucket or a credential.",
        "Did the job run? Look at its last run, its duration, and whether it wrote an empty result.",
        "Did the job write somewhere else? Compare the path or the query in the spec with what the job writes.",
        "An unknown age: the exporter's log names the path, query or URL that it could not read.",
    ),
    mitigations=(
        Mitigation(
            "Run the job again",
            "It failed or was skipped, and its inputs are there.",
            "One run of the job",
        ),
        Mitigation(
            "Point the readers at the last good output",
            "The job wrote something broken or empty.",
            "Minutes",
        ),
        Mitigation(
            "Serve the defaults of the source's features",
            "The data is beyond twice its maximum age and harms answers.",
            "Minutes",
        ),
        Mitigation(
            "Raise the source's max_age in the spec",
            "The job's schedule was changed on purpose.",
            "Minutes",
        ),
    ),
    root_causes=(
        "An upstream table that came late or empty, a schema change, an expired credential, a full disk.",
        "A job that grew until it no longer fits its schedule.",
        "Clocks and zones: a timestamp in local time is hours off.",
    ),
    page_at_once="the source belongs to another team, or its data is older than twice the limit and has no fallback.",
    in_windows=False,
    in_sources=True,
)

_PREDICTION_DRIFT = Guide(
    title="Prediction drift",
    meaning=(
        "The scores that the model answers are distributed differently from those at validation. The cause is a change "
        "of its inputs or of the model itself."
    ),
    impact=(
        "Whatever reads the score against a fixed cut-off now passes more, or fewer, cases.",
        "Rankings change less than scores: check the business panels before deciding how bad it is.",
    ),
    diagnosis=(
        "Was a model deployed? Compare the time with the deployment marks on the dashboard.",
        "Do features drift as well? Then this is their consequence: use the runbook of feature drift first.",
        "No feature drifts and nothing was deployed: look at the score histogram for a band that appeared or vanished, "
        "such as a default score answered on errors.",
        "Is the traffic the usual mix of endpoints and clients?",
        "Are outcomes known? A gap between predictions and outcomes that opens is concept drift; outcomes that became rarer "
        "or more frequent while the gap stays closed are label drift. Check the feedback rate before you believe either.",
    ),
    mitigations=(
        Mitigation(
            "Roll the model back",
            "The change began with a deployment.",
            "Minutes",
        ),
        Mitigation(
            "Treat the drifting feature",
            "A feature drifted first.",
            "As its runbook says",
        ),
        Mitigation(
            "Shift traffic to the previous version",
            "Two versions serve and only one of them drifts.",
            "Minutes",
        ),
        Mitigation(
            "Recalibrate, then promote a new reference",
            "The share of positive outcomes really changed.",
            "Hours",
        ),
    ),
    root_causes=(
        "Stale model, wrong artifact, or preprocessing that differs from training.",
        "Covariate shift (inputs), label shift (outcomes) or concept drift (their relation): outcomes tell which.",
        "A feedback loop: the model's own choices changed the data it now scores.",
    ),
    page_at_once="a business figure falls as well, or the score decides something that cannot be undone.",
    in_windows=True,
    asks_bins=True,
)

_HIGH_LATENCY = Guide(
    title="High latency, errors or outage",
    meaning="The serving application answers too slowly, fails too often, or cannot be reached.",
    impact=(
        "Users wait or get the fallback; callers that time out retry and add load.",
        "While the application is down no predictions are logged: the drift windows get thin as well.",
    ),
    diagnosis=(
        "Which stage grew? The stages' p99 say whether features, inference or reranking is slow.",
        "Did traffic grow at the same minute? Then it is capacity. Did a deployment? Then it is the version.",
        "Errors: group them by `error_type`. Invalid input points at a caller, timeouts at a dependency.",
        "Memory that climbs steadily is a leak; a processor or GPU at its limit is saturation.",
    ),
    mitigations=(
        Mitigation(
            "Roll the deployment back",
            "Latency or errors began with it.",
            "Minutes",
        ),
        Mitigation(
            "Add instances",
            "Traffic or saturation grew, and the dependency behind is healthy.",
            "Minutes",
        ),
        Mitigation(
            "Serve cached features or skip a stage",
            "One stage or its store is slow, and answers without it are acceptable.",
            "Minutes",
        ),
        Mitigation(
            "Shed or delay low-priority traffic",
            "Capacity cannot grow quickly enough.",
            "Minutes",
        ),
        Mitigation(
            "Restart instances one by one",
            "Memory leaks; buys time only.",
            "Minutes an instance",
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
        "A figure that the system exists for fell against the same time before. The cause may lie in the model, in its "
        "data, or outside of both."
    ),
    impact=(
        "This is the damage itself, not a sign of it: estimate what a day at this level costs.",
        "Tell product early; they know of campaigns, releases and holidays.",
    ),
    diagnosis=(
        "Are events still counted? A numerator that stopped is broken tracking, not unhappy users.",
        "Do alerts of lower layers fire? Start with the lowest: data, then model, then system.",
        "All clients, regions and endpoints, or one? One points at a release there.",
        "Compare the beginning of the drop with deployments, pipeline changes and the calendar.",
    ),
    mitigations=(
        Mitigation(
            "Follow the runbook of the lower layer",
            "A drift, freshness or latency alert fires as well.",
            "As that runbook says",
        ),
        Mitigation(
            "Roll the model back",
            "The drop began with a new version.",
            "Minutes",
        ),
        Mitigation(
            "Shift traffic to a simple fallback",
            "The cause is unknown, and the fallback is known to do better than this.",
            "Minutes",
        ),
        Mitigation(
            "Repair the tracking",
            "Events are lost, users are not.",
            "A release of the client or the service",
        ),
    ),
    root_causes=(
        "Concept drift: the same inputs lead to other outcomes than before.",
        "Label leakage found late: good offline figures that never held in production.",
        "A change of the product around the model, a holiday, a competitor.",
    ),
    page_at_once="no lower layer explains the drop, or it costs more than the team may decide alone.",
    in_windows=False,
)

_MONITORING = Guide(
    title="Monitoring itself",
    meaning=(
        "What watches the system is broken or blind. Until it is repaired, the silence of the other alerts means "
        "nothing."
    ),
    impact=(
        "Drift goes unseen: the figures on the dashboard are old or missing.",
        "A watchdog that stopped means that no alert at all arrives.",
    ),
    diagnosis=(
        "Is the exporter alive? Ask its `/healthz` and `/readyz`, then read its log: it names what it could not read.",
        "Does Prometheus reach it? Look at its targets page for the error of the last scrape.",
        "Runs fail: measure the window by hand with the command below and read the message.",
        "Windows too small: are predictions still being logged, and where the spec says?",
        "Outcomes missing, late or of no use: that is a logging failure before it is anything else. Did the job that brings "
        "them run, do their ids look like those of the predictions, and do both clocks agree? The window's report "
        "(`--json`, under `outcomes`) counts early, late, duplicate, orphaned and invalid ones and names unreadable files.",
        "Watchdog gone: check Prometheus, then Alertmanager, then the dead man's receiver, in this order.",
    ),
    mitigations=(
        Mitigation(
            "Restart the exporter",
            "It hangs or cannot be reached. It measures the windows it missed.",
            "Minutes; missed windows are measured at once",
        ),
        Mitigation(
            "Repair the log or its path in the spec",
            "Files are unreadable or missing.",
            "Minutes to hours",
        ),
        Mitigation(
            "Lengthen windows.length",
            "Traffic is too low for the window on ordinary days.",
            "Minutes, then one window of the new length",
        ),
        Mitigation(
            "Watch the drift by hand each hour",
            "The repair takes longer than a few windows.",
            "Five minutes an hour",
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
