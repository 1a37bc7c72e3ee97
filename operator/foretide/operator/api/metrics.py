"""One entry of `spec.metrics`: a measure of demand, and what a replica carries of it.

The types share one model, as a structural schema knows no alternatives; which field belongs to
which type is said twice, in `_fits_its_type` and in CEL (`METRIC_RULES`), with the same words.
"""

import math
from enum import StrEnum
from typing import Any, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic.alias_generators import to_camel

from foretide.forecasting.load_curve import LoadCurve

from .curve import MOST_POINTS, CurvePointSpec, to_curve
from .fields import ApiModel, Duration, Quantity, lasting


class MetricType(StrEnum):
    """Where demand comes from."""

    PROMETHEUS = "Prometheus"
    BACKLOG = "Backlog"
    RESOURCE = "Resource"


class ResourceName(StrEnum):
    """A resource whose use is demand."""

    CPU = "cpu"
    MEMORY = "memory"


_QUERY_LENGTH = 4096
_BOTH = "give perReplica or loadCurve, and not both"
_NEEDS_QUERY = "query is needed unless type is Resource"
_BACKLOG = "drainWithin is needed for type Backlog, and means nothing for another"
_ARRIVALS = "arrivalQuery belongs to type Backlog alone"
_RESOURCE = "resource is needed for type Resource, and means nothing for another"
_CONTAINER = "container belongs to type Resource alone"
_NO_CURVE = "loadCurve means nothing for type Resource: leave it out"
_OVER_ONE = "targetUtilization is 1 at most, unless type is Resource"


class MetricSpec(ApiModel):
    """One measure of demand and what a replica can carry of it."""

    type: MetricType = Field(
        default=MetricType.PROMETHEUS,
        description="Where demand comes from. Prometheus: a PromQL query that answers a rate or a level. Backlog: a PromQL query that answers how much work waits, to be done within drainWithin. Resource: the CPU or memory that the pods use, as in HPA.",
    )
    name: str = Field(
        default="",
        max_length=63,
        pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$",
        description="A name for status, Events and metrics, unlike those of the others. Defaults to demand, with its position where there are several.",
    )
    query: str | None = Field(
        default=None,
        min_length=1,
        max_length=_QUERY_LENGTH,
        description=(
            "PromQL that answers one number. Prometheus: the demand on the whole workload, in any unit, "
            'for example sum(rate(http_requests_total{app="shop"}[2m])). Backlog: how many items wait, '
            'for example sum(rabbitmq_queue_messages{queue="orders"}). Resource: the history of what all '
            "pods use together, in cores or bytes; CPU has a default by cAdvisor's "
            "container_cpu_usage_seconds_total, memory is only forecast with a query."
        ),
    )
    source: str = Field(
        default="default",
        min_length=1,
        max_length=63,
        description="Name of a Prometheus source that the administrator has declared in the operator's configuration.",
    )
    per_replica: Quantity | None = Field(
        default=None,
        description='The demand that one replica carries safely: 100, 500m, 2k, or "0.5" in quotes. Prometheus: in the unit of the query. Backlog: the items that it gets through in a second. Resource: cores or bytes; defaults to what the pods request.',
    )
    load_curve: list[CurvePointSpec] | None = Field(
        default=None,
        min_length=1,
        max_length=MOST_POINTS,
        description="Instead of perReplica, where twice the replicas do not carry twice the load: points of a measurement, sorted by replicas. Between them the curve is straight; after the last one a replica adds what the last ones added.",
    )
    target_utilization: float = Field(
        default=0.7,
        gt=0,
        le=10,
        description="Share of what a replica carries that is planned for while no forecast is trusted, as HPA would. A trusted forecast replaces this headroom. Resource: HPA's averageUtilization as a share of the request, which may be more than 1.",
    )
    stale_after: Duration = lasting(
        "2m",
        description="A sample older than this counts as an outage of the metric. At least two scrape intervals.",
    )
    drain_within: Duration | None = Field(
        default=None,
        description="Backlog: the time in which what waits is to be done, for example 5m. Less than leadTime cannot be kept when new replicas are needed for it.",
    )
    arrival_query: str | None = Field(
        default=None,
        min_length=1,
        max_length=_QUERY_LENGTH,
        description="Backlog: PromQL that answers how many items arrive in a second, for example sum(rate(orders_published_total[2m])). It is what is forecast: without it a backlog scales reactively.",
    )
    resource: ResourceName | None = Field(
        default=None,
        description="Resource: cpu or memory, as metrics.k8s.io serves it.",
    )
    container: str | None = Field(
        default=None,
        min_length=1,
        max_length=63,
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        description="Resource: the container whose use counts, for pods with sidecars. Defaults to all of them.",
    )

    @property
    def curve(self) -> LoadCurve | None:
        """Load to replicas; None where what the pods request decides."""
        if self.load_curve is not None:
            return to_curve(self.load_curve)
        return None if self.per_replica is None else LoadCurve.linear(self.per_replica)

    @field_validator("query", "arrival_query")
    @classmethod
    def _not_blank(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and not value.strip():
            raise ValueError(f"{to_camel(info.field_name or 'query')} must not be blank")
        return value

    @field_validator("per_replica")
    @classmethod
    def _positive(cls, value: float | None) -> float | None:
        if value is not None and not 0 < value < math.inf:
            raise ValueError("perReplica must be greater than 0, and finite")
        return value

    @field_validator("load_curve")
    @classmethod
    def _rises(cls, value: list[CurvePointSpec] | None) -> list[CurvePointSpec] | None:
        if value is not None:
            to_curve(value)
        return value

    @field_validator("stale_after")
    @classmethod
    def _not_instant(cls, value: float) -> float:
        if not 5 <= value <= 3_600:
            raise ValueError(f"staleAfter must be between 5 s and 3600 s, not {value:g} s")
        return value

    @field_validator("drain_within")
    @classmethod
    def _drains(cls, value: float | None) -> float | None:
        if value is not None and not 1 <= value <= 7 * 86_400:
            raise ValueError(f"drainWithin must be between 1 s and 604800 s, not {value:g} s")
        return value

    @model_validator(mode="after")
    def _fits_its_type(self) -> Self:
        for holds, message in _fitting(self):
            if not holds:
                raise ValueError(message)
        return self


def _fitting(metric: MetricSpec) -> list[tuple[bool, str]]:
    """What must hold for the type, each with the complaint where it does not."""
    backlog = metric.type is MetricType.BACKLOG
    resource = metric.type is MetricType.RESOURCE
    curve, linear = metric.load_curve is not None, metric.per_replica is not None
    return [
        (resource or metric.query is not None, _NEEDS_QUERY),
        (resource or curve != linear, _BOTH),
        (backlog == (metric.drain_within is not None), _BACKLOG),
        (backlog or metric.arrival_query is None, _ARRIVALS),
        (resource == (metric.resource is not None), _RESOURCE),
        (resource or metric.container is None, _CONTAINER),
        (not (resource and curve), _NO_CURVE),
        (resource or metric.target_utilization <= 1, _OVER_ONE),
    ]


def _rule(rule: str, message: str) -> dict[str, Any]:
    return {"rule": rule, "message": message}


# CEL for `spec.metrics[]`.
METRIC_RULES = [
    _rule("self.type == 'Resource' || has(self.query)", _NEEDS_QUERY),
    _rule("self.type == 'Resource' || has(self.perReplica) != has(self.loadCurve)", _BOTH),
    _rule("(self.type == 'Backlog') == has(self.drainWithin)", _BACKLOG),
    _rule("self.type == 'Backlog' || !has(self.arrivalQuery)", _ARRIVALS),
    _rule("(self.type == 'Resource') == has(self.resource)", _RESOURCE),
    _rule("self.type == 'Resource' || !has(self.container)", _CONTAINER),
    _rule("self.type != 'Resource' || !has(self.loadCurve)", _NO_CURVE),
    _rule("self.type == 'Resource' || self.targetUtilization <= 1.0", _OVER_ONE),
]

# CEL for a quantity that must be more than nothing.
QUANTITY_RULES = [
    _rule(
        "type(self) == int ? self > 0 : "
        "(isQuantity(self) && quantity(self).isGreaterThan(quantity('0')))",
        "must be a quantity greater than 0, such as 100, 0.5 or 500m",
    )
]

# CEL for `query` and `arrivalQuery`.
QUERY_RULES = [_rule("self.trim().size() > 0", "must not be blank")]
