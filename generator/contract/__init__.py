"""The metrics contract: every metric family of a monitored system, and who publishes it.

Dashboards, rules, tests and runbooks may read only families listed here, and the exporter and the serving
instrumentation may publish only families listed here; `tests/end_to_end/test_contract.py` checks both directions.
Each section has a module with its families and with the states and labels that they have.
"""

from dataclasses import replace
from functools import cached_property
from itertools import chain

from mlvitals.generator.contract.concept import CUSUM_SIDES, ConceptStatus, DriftKind, concept_families
from mlvitals.generator.contract.events import event_counter, event_families, events_log_families
from mlvitals.generator.contract.exporter import (
    CHANGES_SHOWN,
    EXPORTER_FAMILIES,
    MOST_TOO_SMALL,
    PROMETHEUS_FAMILIES,
    window_families,
)
from mlvitals.generator.contract.family import Family, MetricType, Producer
from mlvitals.generator.contract.features import (
    PERCENTILES,
    TOP_BINS_SQL,
    UNMEASURABLE,
    SchemaDifferenceKind,
    Status,
    feature_families,
)
from mlvitals.generator.contract.freshness import freshness_families
from mlvitals.generator.contract.incidents import INCIDENTS_SHOWN, STAGES, STATES, incident_families
from mlvitals.generator.contract.outcomes import (
    CLASSES_SHOWN,
    PERFORMANCE_FIGURES,
    PerformanceFigure,
    Rejection,
    outcome_families,
)
from mlvitals.generator.contract.segments import SEGMENT_LABELS, segment_families
from mlvitals.generator.contract.serving import (
    LATENCY_BUCKETS,
    OPEN_LABELS,
    PROCESS_FAMILIES,
    SCORE_BUCKETS,
    TOTAL_STAGE,
    TelemetryFailure,
    latency_buckets,
    serving_families,
)
from mlvitals.generator.contract.skew import SKEW_ROWS, SkewStatus, skew_families
from mlvitals.generator.contract.statistics import STATISTICS, Statistic
from mlvitals.generator.spec.model import Spec

__all__ = (
    "CHANGES_SHOWN",
    "CLASSES_SHOWN",
    "CUSUM_SIDES",
    "INCIDENTS_SHOWN",
    "LATENCY_BUCKETS",
    "MOST_TOO_SMALL",
    "OPEN_LABELS",
    "PERCENTILES",
    "PERFORMANCE_FIGURES",
    "SCORE_BUCKETS",
    "SEGMENT_LABELS",
    "SKEW_ROWS",
    "STAGES",
    "STATES",
    "STATISTICS",
    "TOP_BINS_SQL",
    "TOTAL_STAGE",
    "UNMEASURABLE",
    "ConceptStatus",
    "Contract",
    "DriftKind",
    "Family",
    "MetricType",
    "PerformanceFigure",
    "Producer",
    "Rejection",
    "SchemaDifferenceKind",
    "SkewStatus",
    "Statistic",
    "Status",
    "TelemetryFailure",
    "latency_buckets",
)


class Contract:
    """The families of one system. Attributes name each family's full metric name where expressions need it."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.namespace = spec.system.name

    def name(self, short: str) -> str:
        """Return the full name of a family or series: ``name("drift_psi")`` is ``streamrec_drift_psi``."""
        return f"{self.namespace}_{short}"

    def event(self, event: str) -> str:
        """Return the name of the counter of a business event."""
        return self.name(event_counter(self.spec.business, event))

    @property
    def deploy_allowed(self) -> str:
        """The recorded series that a CI job queries for a deployment: 1 if the error budgets allow it, 0 if not, or absent."""
        return f"system:{self.name('deploy_allowed')}:min"

    @cached_property
    def families(self) -> tuple[Family, ...]:
        """Every family, in order of producer."""
        spec = self.spec
        own = chain(
            serving_families(spec),
            event_families(spec),
            feature_families(spec),
            freshness_families(spec),
            skew_families(spec),
            concept_families(spec),
            outcome_families(spec),
            segment_families(spec),
            events_log_families(spec),
            incident_families(spec),
            window_families(spec),
            EXPORTER_FAMILIES,
        )
        process = PROCESS_FAMILIES if spec.serving.enabled else ()
        prefixed = (replace(family, name=self.name(family.name)) for family in own)
        return (*prefixed, *process, *PROMETHEUS_FAMILIES)

    @cached_property
    def by_name(self) -> dict[str, Family]:
        """Families by name."""
        return {family.name: family for family in self.families}

    @cached_property
    def by_series(self) -> dict[str, Family]:
        """Families by the names of their stored samples."""
        return {series: family for family in self.families for series in family.series_names}

    @cached_property
    def of_windows(self) -> frozenset[str]:
        """The names of the gauges that change once per window: between two windows they say nothing new."""
        spec = self.spec
        measured = chain(
            feature_families(spec),
            skew_families(spec),
            concept_families(spec),
            outcome_families(spec),
            segment_families(spec),
            events_log_families(spec),
            window_families(spec),
        )
        return frozenset(self.name(family.name) for family in measured if family.type is MetricType.GAUGE)

    def of(self, *producers: Producer) -> tuple[Family, ...]:
        """Return the families that the producers publish."""
        return tuple(family for family in self.families if family.producer in producers)
