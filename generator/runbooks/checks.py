"""The first steps for each alert: a query or command, the meaning of each answer, and the usual fix.

Texts are Markdown and the same for all systems. The first check of an alert is the alert's own expression.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Language = Literal["promql", "sql", "sh"]


@dataclass(frozen=True, slots=True)
class Answer:
    """A possible answer of a query or command, and its meaning."""

    seen: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Check:
    """One step of a diagnosis: an imperative sentence, what to run, and its possible answers."""

    action: str
    answers: tuple[Answer, ...]
    signal: str = ""
    """Id of the signal whose first query is run; a system without the signal leaves the check out."""
    language: Language = "promql"
    text: str = ""
    """The command or query that is run instead of a signal's query. SYSTEM, EXPORTER and TOP_BINS are replaced."""


@dataclass(frozen=True, slots=True)
class First:
    """The reading of an alert's own expression, and the usual fix."""

    action: str
    answers: tuple[Answer, ...]
    fix: str


def _first(action: str, fix: str, *answers: tuple[str, str]) -> First:
    return First(action, tuple(Answer(seen, meaning) for seen, meaning in answers), fix)


_DRIFT_ANSWERS = (
    ("One feature, or several of one source", "The pipeline of that source changed: go on with check 2."),
    ("Features of several independent sources", "The population changed: split by segment, compare with last week."),
)

FIRST: Mapping[str, First] = {
    # ------------------------------------------------------------ business
    "MLBusinessMetricDrop": _first(
        "List the KPIs that fell, and by how much.",
        "Fix the lower layer that alerts; if none does, roll back the newest release.",
        ("One KPI fell", "Its events may be lost: check the tracking of that KPI first."),
        ("All fell within the same hour", "An outage, a release or a holiday: check the system layer."),
        ("A slow fall over days", "The model or its data: go on with check 2."),
    ),
    "MLBusinessMetricLow": _first(
        "Read how far the KPI lies below its floor.",
        "Fix the lower layer that alerts; if none does, roll back the newest release.",
        ("0", "Its events are not counted: check the tracking."),
        ("Just below the floor", "Compare with the same hour of last week before you act."),
    ),
    "MLBusinessMetricAbsent": _first(
        "Count the KPIs without events while predictions are made.",
        "Restore the event counter in the application, or the job that writes the events.",
        ("1 or more", "The application stopped counting that event, or was deployed without it."),
        ("0", "Events have returned: watch for a gap in the KPI."),
    ),
    # ------------------------------------------------------------ model
    "MLScoreDrift": _first(
        "Read how far the scores moved.",
        "Treat the feature that drifted first, or roll the model back.",
        ("A step", "A deployment or a broken feature: compare with the deployment marks."),
        ("A slope", "The population moves: see which features follow."),
    ),
    "MLScoreUnmeasurable": _first(
        "Check that the scores cannot be measured, and why.",
        "Restore the score column in the prediction log, with its old name and type.",
        ("status `missing` or `type_mismatch`", "The log's schema changed with a release."),
        ("status `all_null`", "The model returns no score: roll back."),
    ),
    "MLScoreNullRateHigh": _first(
        "Read how many more scores are null than in the reference.",
        "Roll back the release that returns no score, or restore the log's writer.",
        ("Errors or timeouts rose as well", "Requests fail: continue in the system layer."),
        ("Only the scores are null", "The model or the log's writer changed: compare with the deployment marks."),
    ),
    "MLScoreOutOfRange": _first(
        "Read how many more scores lie outside the reference's range.",
        "Roll back the model or its post-processing.",
        ("One value, such as -1 or 0", "A default of the service: find the requests that get it."),
        ("Another scale", "Percentages or log-odds for probabilities: compare with the deployment marks."),
    ),
    "MLNewestScoreDrift": _first(
        "Read how far the newest scores moved.",
        "Treat the feature that drifted first, or roll the model back.",
        ("The score drift of the last window is high as well", "A change that lasts: continue with that alert."),
        ("Only this one is high", "A change within the last hour, or a window that straddles it."),
    ),
    "MLConceptDrift": _first(
        "Read how far the control charts are beyond their limits.",
        "Retrain on recent data; until then, recalibrate or fall back.",
        ("The moving average only", "A large and recent shift: look for a release or a data fault."),
        ("A cumulative sum as well", "A small shift that lasts: the relation itself changed."),
    ),
    "MLHarmfulDrift": _first(
        "Read how far the control charts are beyond their limits.",
        "Treat the drifting inputs as in feature drift; retrain only if their values are correct.",
        ("Inputs drifted before the gap grew", "The drift is the cause: go on with feature drift."),
        ("The gap grew first", "Concept drift: retrain."),
    ),
    "MLConceptUnwatched": _first(
        "Read why there is no baseline.",
        "Rebuild the reference with scores and outcomes; restore the outcomes if they are missing.",
        ("`no_outcomes`", "Too few predictions have an outcome: check the job that delivers them."),
        ("`refused`", "The baseline windows contradict each other: the report says how."),
        ("`stalled`", "Inputs drift in every window: fix them, or promote newer data, or `mlvitals concept accept`."),
    ),
    "MLLabelDrift": _first(
        "Read how far the mean outcome moved.",
        "Recalibrate if the outcomes are right; fix the labelling job if they are not.",
        ("The feedback rate fell as well", "Outcomes are missing, not different: fix their delivery first."),
        ("Only the mean moved", "The population or the labelling rule changed: ask its owner."),
    ),
    "MLPerformanceLoss": _first(
        "Read how much performance was lost.",
        "Treat drifting inputs first; otherwise retrain.",
        ("Inputs drift as well", "Go on with feature drift: the model sees data it was not trained on."),
        ("Inputs are unchanged", "Concept drift or wrong labels: check the gap."),
    ),
    "MLClassScoreDrift": _first(
        "List the classes whose predicted probability moved.",
        "Treat drifting inputs first; with unchanged inputs, compare the model's version with the reference's.",
        ("One class, or a few", "What distinguishes them changed in the inputs: go on with feature drift."),
        ("All classes", "Another model, or other inputs: go on with score drift."),
    ),
    "MLClassRecallLoss": _first(
        "List the classes that are recognised worse than in the reference.",
        "Treat drifting inputs first; otherwise label recent rows of that class and retrain.",
        ("One class", "See in the window's confusion matrix which class it is taken for: what separates them changed."),
        ("Most classes", "Not the class: continue with the loss of performance as a whole."),
        ("A class of which many more outcomes came", "New kinds of it, or a changed labelling rule: ask its owner."),
    ),
    "MLUnlistedClass": _first(
        "Read the share of outcomes, and of predictions, of classes that the spec does not list.",
        "List the class in prediction_log.outcome, build a reference that has it, and promote both.",
        ("Outcomes alone", "A new class, or labels that are spelt in another way: the window's report names them."),
        ("Predictions alone", "A model that knows other classes: the spec and the reference belong to an older one."),
    ),
    "MLSegmentScoreDrift": _first(
        "List the segments whose scores moved.",
        "Fix the source or client of that segment.",
        ("One segment", "A client, region or tenant changed: ask its owner."),
        ("Most segments", "Not the segment: continue with score drift."),
    ),
    "MLSegmentGap": _first(
        "List the segments whose outcomes the model misses.",
        "Fall back for the segment, or retrain with more of its data.",
        ("One segment", "The model is wrong for that part of the users: say so in the incident."),
        ("Most segments", "Not the segment: continue with concept drift."),
    ),
    # ------------------------------------------------------------ features
    "MLFeatureDrift": _first(
        "List the features beyond the threshold.",
        "Revert the change of the source; serve the feature's default until it has run.",
        *_DRIFT_ANSWERS,
    ),
    "MLFeatureDistance": _first(
        "List the features whose distance is beyond the threshold.", "Treat it as feature drift.", *_DRIFT_ANSWERS
    ),
    "MLManyFeaturesDrifting": _first(
        "Read which source the drifting features share.",
        "Revert the change of that source, or serve its last good output.",
        ("One source", "One broken pipeline: page its owner, treat it as one incident."),
        ("Several sources", "A shared upstream table, or a real change of the population."),
    ),
    "MLDriftWithBusinessImpact": _first(
        "Count the critically drifting features while a KPI falls.",
        "Stop the damage first: fall back or roll back, then look for the cause.",
        ("1 or more", "Users are affected now: open an incident and inform the product team."),
        ("No result", "The KPI or the features recovered: keep watching for an hour."),
    ),
    "MLNullRateHigh": _first(
        "List the features that are null too often.",
        "Run the failed upstream job again; serve the feature's default until it has run.",
        ("Features of one source", "The source's job failed or a join lost its keys."),
        ("Features of several sources", "The entity key itself changed: compare ids before and after."),
    ),
    "MLRequiredFeatureNull": _first(
        "List the required features with nulls.",
        "Serve the default value; fix the join or the job that lost the values.",
        ("A few rows", "One client or code path: group raw rows by endpoint."),
        ("Most rows", "The source or the feature store fails: check its availability."),
    ),
    "MLFeatureOutOfRange": _first(
        "List the features with invalid values.",
        "Revert the change of unit or encoding; clamp or drop the values until then.",
        ("A jump to a large share", "A changed unit, encoding or parser."),
        ("A small share that grows slowly", "Real values beyond the range of the training data: widen the range."),
    ),
    "MLFeatureUnmeasurable": _first(
        "List the features that cannot be measured, with their status.",
        "Restore the column with its old name and type, in the log and at serving.",
        ("`missing`", "The column is gone or renamed: look at the newest release of the logger."),
        ("`type_mismatch`", "The type changed, often number to text."),
        ("`all_null`", "The source delivers nothing: treat it as stale data."),
    ),
    "MLTrainingServingSkew": _first(
        "List the features whose served values differ from the offline ones.",
        "Revert the pipeline that changed; both must compute the same value.",
        ("Since a deployment", "The serving code or its defaults changed."),
        ("Since a pipeline run", "The offline computation changed: check its last commit."),
    ),
    "MLTrainingServingMismatch": _first(
        "List the features that differ, and in what share of the predictions.",
        "Fix the path that returns stale or default values.",
        ("A share that follows the load", "Timeouts: defaults are served when the feature store is slow."),
        ("A constant share", "One code path, client or cache computes another value."),
    ),
    "MLSkewUnmeasured": _first(
        "Read how many offline rows were found.",
        "Run the offline job again, or correct the path in the spec (`skew`).",
        ("0 rows", "The job did not run, or writes elsewhere."),
        ("Few rows", "The join loses keys: compare ids of both sides."),
    ),
    "MLFeatureMeanShift": _first("List the features whose mean moved.", "Treat it as feature drift.", *_DRIFT_ANSWERS),
    "MLFeatureMedianShift": _first(
        "List the features whose median moved.", "Treat it as feature drift.", *_DRIFT_ANSWERS
    ),
    "MLFeatureVariance": _first(
        "List the features whose spread changed.",
        "Treat it as feature drift.",
        ("Near 0", "The feature became constant: a default value is served."),
        ("Far above 2", "Two units are mixed: look at the largest values."),
    ),
    "MLFeatureExtreme": _first(
        "List the features with a value far outside their range.",
        "Nothing at once: report it to the owner of the source.",
        ("One window only", "A single bad row; the share of values out of range stays near 0."),
        ("Every window", "A sentinel such as -1 or 9999 is in use: declare it as null at the source."),
    ),
    "MLFeatureInfinite": _first(
        "List the features with infinite values.",
        "Guard the division or logarithm upstream; serve null until then.",
        ("Since a release", "A division by zero or an overflow that the release introduced."),
        ("For some entities only", "A denominator that is 0 for them."),
    ),
    "MLFeatureCardinality": _first(
        "List the features with too many or too few distinct values.",
        "Restore the spelling or the filter that changed.",
        ("Above 0", "Free text, ids or another spelling (case, whitespace) in a category."),
        ("Below 0", "A filter upstream, or a default value for many rows."),
    ),
    "MLFeatureNewCategory": _first(
        "List the features with categories that the model has never seen.",
        "Map the new values to known ones; retrain if they are real.",
        ("A known value in another spelling", "A change of encoding or case: fix the source."),
        ("Values that are really new", "A product or market was added: plan a retraining."),
    ),
    "MLFeatureCategoryVanished": _first(
        "List the features that lost a frequent category.",
        "Restore the part of the traffic or data that is missing.",
        ("One category", "A client, region or product stopped sending, or was renamed."),
        ("Several at once", "A join or filter upstream drops rows."),
    ),
    "MLLogNewColumn": _first(
        "Count the differences between log and spec.",
        "Add the column to the spec, as a feature or under `prediction_log.other_columns`.",
        ("`new`", "A release logs a column that the spec does not name: harmless until a model uses it."),
        ("`missing` as well", "A column was renamed: see MLFeatureUnmeasurable."),
    ),
    "MLLogRowsRepeated": _first(
        "Read the share of repeated rows.",
        "Fix the job that writes twice; statistics count each id once, so that the files need no repair.",
        (
            "Below 5%",
            "A delivery that is repeated until it is confirmed: raise `alerts.repeated_rows` if that is normal.",
        ),
        ("Half, or two thirds", "A job ran twice or three times, or a folder was copied into the log."),
        ("Nearly all", "`prediction_log.id` names a column that is no id, such as a request with several rows."),
    ),
    "MLServingNullRateHigh": _first(
        "List the features that are null in current predictions.",
        "Restore the feature store or its keys; serve defaults until then.",
        ("Since a few minutes", "The feature store does not answer: check its latency and errors."),
        ("Since a release", "The lookup uses another key."),
    ),
    "MLServingRequiredFeatureNull": _first(
        "List the required features that are null in current predictions.",
        "Restore the feature store or its keys; serve defaults until then.",
        ("Features of one source", "That source or its store is down."),
        ("All features", "The entity key is missing in the requests."),
    ),
    # ------------------------------------------------------------ sources
    "MLDataStale": _first(
        "List the sources older than their limit.",
        "Run the job again; point readers at its last good output if it fails.",
        ("One source", "Its job failed, was skipped or writes elsewhere."),
        ("Several sources", "A shared scheduler, bucket or credential."),
    ),
    "MLSourceAgeUnknown": _first(
        "Count the sources whose age cannot be read.",
        "Correct the path, query or credential that the exporter's log names.",
        ("1", "Its path, query or URL changed."),
        ("All", "The exporter lost its network or a credential."),
    ),
    "MLSourceInFuture": _first(
        "List the sources whose timestamp is in the future, in seconds.",
        "Write timestamps in UTC; correct the clock of the writer.",
        ("An exact number of hours", "Local time written as UTC."),
        ("Anything else", "The clock of the writing machine is wrong."),
    ),
    # ------------------------------------------------------------ serving
    "MLLatencyHigh": _first(
        "Read the 99th percentile.",
        "Roll the newest deployment back; add instances if traffic grew.",
        ("Traffic grew as well", "Capacity: add instances."),
        ("Traffic is as usual", "A slow stage or a deployment: go on with check 2."),
    ),
    "MLPredictionsUncounted": _first(
        "Check that the application is up and counts nothing.",
        "Restore the telemetry in the application: latency and errors are invisible.",
        ("Since a deployment", "The instrumentation was removed or renamed."),
        ("Since a restart", "The metrics port serves another process."),
    ),
    "MLErrorRateHigh": _first(
        "Read the share of failed predictions.",
        "Roll the newest deployment back, or restore the dependency that fails.",
        ("Since a deployment", "The release: roll back."),
        ("With one `error_type`", "Invalid input is a caller; timeouts are a dependency."),
    ),
    "MLTrafficFall": _first(
        "Compare the predictions of this hour with the same hour a week before.",
        "Restore the caller or the route that no longer reaches the application.",
        ("Near 1", "Hardly anybody asks: check the load balancer, the callers and their releases."),
        ("Near 0.5", "One of several callers is missing: list the endpoints that lost traffic."),
        ("A holiday then or now", "Nothing is broken: silence it for the day."),
    ),
    "MLReplicasMissing": _first(
        "Count the instances that answer.",
        "Restart the missing instances, or correct serving.replicas if fewer are meant to run.",
        ("0", "The application is down: see MLServingDown."),
        ("Above 0", "The others carry the load: watch latency, and read why the missing ones do not start."),
    ),
    "MLServingDown": _first(
        "Count the instances that answer.",
        "Restart or roll back the application; send traffic to the fallback.",
        ("0", "The application is down, or Prometheus cannot reach it: ask it from another host."),
        ("Above 0", "Some instances are back: watch latency while they take the load."),
    ),
    "MLGpuSaturated": _first(
        "List the saturated GPUs.",
        "Add instances, reduce the batch size or shed low-priority traffic.",
        ("One GPU", "The load is not spread: check the balancing."),
        ("All GPUs", "Capacity is exhausted."),
    ),
    "MLErrorBudgetUnknown": _first(
        "List the objectives that nothing was counted for.",
        "Restore what the objective counts: the exporter, the telemetry or the source.",
        ("One objective", "Its indicator is no longer published."),
        ("All objectives", "Prometheus lost the application or the exporter."),
    ),
    "MLErrorBudgetBurn": _first(
        "Read how fast the error budget is being spent.",
        "Fix what breaks the objective; stop deployments until the budget recovers.",
        ("Far above the threshold", "An outage: hours of budget are left. Look for its cause first."),
        ("Just above it", "A lasting small fault: days are left. Plan the fix for today."),
    ),
    # ------------------------------------------------------------ monitoring
    "MLFeedbackRateFall": _first(
        "Read how far the feedback rate is below the expected one.",
        "Run the job that delivers outcomes again.",
        ("A step", "The delivery job failed or ids changed their form."),
        ("A slope", "Users react later or less often: compare the delay."),
    ),
    "MLFeedbackDelay": _first(
        "Read how late outcomes arrive.",
        "Run the outcome pipeline more often, or raise `max_delay` in the spec.",
        ("Near the maximum delay", "Outcomes will soon be rejected as late."),
        ("Falling again", "A backlog is being delivered."),
    ),
    "MLFeedbackRejected": _first(
        "List why outcomes are rejected.",
        "Fix the writer of the outcomes: ids, clock or duplicates.",
        ("`early`", "Two clocks disagree."),
        ("`orphan`", "Ids are not those of the predictions."),
        ("`duplicate`", "The writer repeats deliveries: remove them by id."),
    ),
    "MLRulesFailing": _first(
        "Read the error of the failing group on Prometheus's page of rules (/rules).",
        "Restart the processes with one version of the spec, or correct the rules file; then the rules recover by themselves.",
        ("Many-to-many matching", "Two processes publish contradicting labels: a rolling change that did not finish."),
        ("Any other error", "The rules file is not the one of this spec: compile and reload it."),
    ),
    "MLFeedbackUnreadable": _first(
        "Count the unreadable files.",
        "Restore or rewrite the files that `mlvitals drift` names.",
        ("Outcome files", "The delivery job was interrupted: run it again."),
        ("Prediction files", "See MLLogFilesUnreadable."),
    ),
    "MLEventsLogUnreadable": _first(
        "Count the unreadable files of the events log.",
        "Rewrite or remove the files that the exporter's log names; KPIs miss their events until then.",
        ("1 or 2", "A writer was killed while writing: let it write to a temporary name and rename."),
        ("All", "The format, the path or a permission changed."),
    ),
    "MLExporterDown": _first(
        "Check if Prometheus reaches the exporter.",
        "Restart the exporter: it measures the windows that it missed.",
        ("0", "The exporter is down or unreachable: read its log."),
        ("1", "It is back: see that the last measurement catches up."),
    ),
    "MLResultsStale": _first(
        "Read how old the newest results are.",
        "Fix what the exporter's log names; it then catches up by itself.",
        ("Growing", "Runs fail, or hang: see checks 2 and 3."),
        ("Falling", "It is catching up: silence this alert for an hour."),
    ),
    "MLRunFailed": _first(
        "Count the failed measurements.",
        "Fix what the message names: log path, credential, database, reference.",
        ("1", "A passing fault: the next run measures the window again."),
        ("Several", "A lasting one: measure by hand and read the message."),
    ),
    "MLWindowTooSmall": _first(
        "Read the share of features with too few rows.",
        "Lengthen `windows.length`, or restore the traffic or the logging.",
        ("Since a release", "Predictions are no longer logged, or elsewhere."),
        ("At night or at weekends", "Traffic is too low for the window: lengthen it."),
    ),
    "MLLogFilesUnreadable": _first(
        "Count the unreadable files of the last window.",
        "Rewrite or remove the files that the exporter's log names.",
        ("1 or 2", "A writer was killed while writing: let it write to a temporary name and rename."),
        ("All", "The format, the path or a permission changed."),
    ),
    "MLIncidentsUnreadable": _first(
        "Count the files of incidents that cannot be read.",
        "Run `mlvitals incident list`: it names each file with line and reason. Keep the entries of both sides of a merge.",
        ("1", "A merge left its conflict, or somebody edited the file by hand."),
        ("All", "The folder at `incidents.path` is not the one that you expect, or its permissions changed."),
    ),
    "MLWatchdog": _first(
        "Check that this alert fires.",
        "Restart what is down: Prometheus, Alertmanager, or the dead man's switch.",
        ("1", "Prometheus evaluates rules: the break is behind it, at Alertmanager or the receiver."),
        ("No result", "Prometheus does not evaluate the rules: check `/rules` and its log."),
    ),
}
"""The first check of every alert, by its name."""
