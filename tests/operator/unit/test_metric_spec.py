"""One entry of spec.metrics: which fields belong to which type."""

import pytest
from pydantic import ValidationError

from foretide.operator.api.crds import structural
from foretide.operator.api.curve import CURVE_RULES
from foretide.operator.api.metrics import METRIC_RULES, MetricSpec, MetricType
from foretide.operator.settings import explain

PROMETHEUS = {"query": "sum(rate(requests[2m]))", "perReplica": 100}
BACKLOG = {"type": "Backlog", "query": "queue", "perReplica": 4, "drainWithin": "5m"}
RESOURCE = {"type": "Resource", "resource": "cpu"}
POINTS = [{"replicas": 1, "load": 100}, {"replicas": 10, "load": "0.8k"}]


def refusal(**fields):
    with pytest.raises(ValidationError) as raised:
        MetricSpec.model_validate(fields)
    return explain(raised.value)


def test_a_query_and_a_safe_load_are_enough():
    metric = MetricSpec.model_validate(PROMETHEUS)
    assert metric.type is MetricType.PROMETHEUS
    assert metric.curve is not None
    assert metric.curve.replicas_for(250) == 3


def test_a_curve_may_stand_for_the_safe_load():
    metric = MetricSpec.model_validate({"query": "x", "loadCurve": POINTS})
    assert metric.curve is not None
    assert metric.curve.points == ((1, 100.0), (10, 800.0))


def test_a_backlog_has_a_time_to_drain_it_in():
    metric = MetricSpec.model_validate({**BACKLOG, "arrivalQuery": "arrivals"})
    assert (metric.drain_within, metric.arrival_query) == (300.0, "arrivals")


def test_a_resource_needs_no_more_than_its_name():
    metric = MetricSpec.model_validate({**RESOURCE, "targetUtilization": 1.5})
    assert (metric.resource, metric.curve, metric.query) == ("cpu", None, None)
    assert MetricSpec.model_validate({**RESOURCE, "perReplica": "800m"}).curve is not None


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"perReplica": 1}, "query is needed"),
        ({"query": "x"}, "give perReplica or loadCurve"),
        ({**PROMETHEUS, "loadCurve": POINTS}, "and not both"),
        ({**PROMETHEUS, "drainWithin": "5m"}, "drainWithin is needed for type Backlog, and means"),
        ({"type": "Backlog", "query": "x", "perReplica": 1}, "drainWithin is needed"),
        ({**PROMETHEUS, "arrivalQuery": "x"}, "arrivalQuery belongs to type Backlog"),
        ({**PROMETHEUS, "resource": "cpu"}, "resource is needed for type Resource, and means"),
        ({"type": "Resource"}, "resource is needed"),
        ({**RESOURCE, "loadCurve": POINTS}, "loadCurve means nothing for type Resource"),
        ({**PROMETHEUS, "container": "app"}, "container belongs to type Resource"),
        ({**PROMETHEUS, "targetUtilization": 1.5}, "targetUtilization is 1 at most"),
        ({**RESOURCE, "targetUtilization": 11}, "targetUtilization"),
        ({**RESOURCE, "resource": "disk"}, "resource"),
        ({**RESOURCE, "perReplica": 0}, "perReplica must be greater than 0"),
        ({**PROMETHEUS, "query": "  "}, "query must not be blank"),
        ({**BACKLOG, "arrivalQuery": " "}, "arrivalQuery must not be blank"),
        ({**BACKLOG, "drainWithin": "0s"}, "drainWithin must be between"),
        ({**PROMETHEUS, "staleAfter": "1s"}, "staleAfter must be between"),
        ({"query": "x", "loadCurve": []}, "loadCurve"),
        ({"query": "x", "loadCurve": POINTS[::-1]}, "sort it"),
        ({"query": "x", "loadCurve": [{"replicas": 1, "load": 0}]}, "load must be greater than 0"),
        ({"query": "x", "loadCurve": POINTS * 11}, "loadCurve"),
    ],
)
def test_what_does_not_fit_together_is_refused_with_what_to_do(fields, complaint):
    assert complaint in refusal(**fields)


def test_the_rules_in_cel_name_fields_that_exist():
    schema = structural(MetricSpec)
    named = {
        name.split(")")[0]
        for rule in METRIC_RULES
        for name in rule["rule"].replace("has(self.", "self.").split("self.")[1:]
        for name in [name.split(" ")[0]]
    }
    assert named <= schema["properties"].keys()
    assert schema["properties"]["loadCurve"]["maxItems"] == 20
    assert all(rule["message"] for rule in [*METRIC_RULES, *CURVE_RULES])
