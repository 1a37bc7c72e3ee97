"""The API server refuses what the models refuse, and takes what they take.

A rule in CEL that costs too much, or a keyword that a structural schema does not know, is found out
by a real API server alone: it would refuse the whole CustomResourceDefinition.
"""

import json
import subprocess
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from foretide.operator.api.predictivescaler import PredictiveScalerSpec

EXAMPLES = Path(__file__).parents[2] / "examples"
METRIC = {"query": "up", "perReplica": 1}
BACKLOG = {"type": "Backlog", "query": "waiting", "perReplica": 4}
CPU = {"type": "Resource", "resource": "cpu"}
SALE = {"name": "sale", "start": "2026-11-27"}
HOLIDAYS = {"name": "holidays", "holidays": {"country": "DE"}}
SLO = {"query": "p99", "objective": "300m"}
SPEC = {
    "scaleTargetRef": {"kind": "Deployment", "name": "shop"},
    "maxReplicas": 20,
    "metrics": [METRIC],
}


def metrics(*found):
    return {"metrics": list(found)}


def curve(*points):
    load_curve = [{"replicas": replicas, "load": load} for replicas, load in points]
    return metrics({"query": "up", "loadCurve": load_curve})


GOOD = [
    {},
    {"actuation": "HPAFloor"},
    {"signals": {"events": False}},
    {"forecast": {"engine": "Prophet", "quantile": 0.99}},
    {"surge": {"maxFactor": 1.5}},
    {"costGuard": {"maxExtraReplicas": 0, "maxExtraPodHoursPerDay": 0.1}},
    {"slo": SLO},
    {"slo": {**SLO, "objective": 0}},
    curve((1, 3), (5, "12")),
    metrics({**BACKLOG, "drainWithin": "5m", "arrivalQuery": "arriving"}),
    metrics({**CPU, "targetUtilization": 1.5}),
    {"events": [{**SALE, "minReplicas": 20}, HOLIDAYS]},
]
BAD = [
    {"minReplicas": 30},
    {"actuation": "HPA"},
    {"signals": {"burst": True}},
    {"forecast": {"engine": "ARIMA"}},
    {"forecast": {"quantile": 0}},
    {"forecast": {"quantile": 1}},
    {"surge": {"maxFactor": 1}},
    {"costGuard": {"maxExtraReplicas": -1}},
    {"costGuard": {"maxExtraPodHoursPerDay": 0}},
    {"slo": {**SLO, "query": " "}},
    {"slo": {**SLO, "objective": -1}},
    {"slo": {"query": "p99"}},
    metrics({"query": "up"}),
    metrics({"perReplica": 1}),
    metrics({**METRIC, "loadCurve": [{"replicas": 1, "load": 3}]}),
    metrics({**METRIC, "targetUtilization": 1.5}),
    metrics({**METRIC, "container": "app"}),
    metrics(BACKLOG),
    metrics({**BACKLOG, "drainWithin": "5m", "arrivalQuery": " "}),
    metrics({"type": "Resource"}),
    curve((5, 3), (1, 1)),
    curve((5, 0)),
    {"events": [SALE, SALE]},
    {"events": [{**SALE, "minReplicas": 21}]},
    {"events": [{"name": "sale"}]},
    {"events": [{**SALE, "holidays": {"country": "DE"}}]},
    {"events": [{**HOLIDAYS, "kind": "Holiday"}]},
    {"events": [{**HOLIDAYS, "rrule": "FREQ=DAILY"}]},
    {"events": [{"name": "sale", "start": "2026-11-27T08:00"}]},
    {"events": [{**SALE, "end": "2026-11-28", "duration": "1h"}]},
    {"events": [{**SALE, "duration": "0s"}]},
    {"events": [{**SALE, "multiplier": 0}]},
    {"suddenDropGrace": "soon"},
]


@pytest.fixture
def takes(sandbox):
    """Whether the API server would take a document."""

    def ask(document):
        done = subprocess.run(
            sandbox.kubectl_command("apply", "--dry-run=server", "-f", "-"),
            input=json.dumps(document, default=str),
            capture_output=True,
            text=True,
        )
        return done.returncode == 0

    return ask


def document(spec):
    return {
        "apiVersion": "foretide.dev/v1alpha1",
        "kind": "PredictiveScaler",
        "metadata": {"name": "shop"},
        "spec": {**SPEC, **spec},
    }


@pytest.mark.parametrize("spec", GOOD, ids=json.dumps)
def test_what_the_model_takes_is_taken(takes, spec):
    PredictiveScalerSpec.model_validate({**SPEC, **spec})
    assert takes(document(spec))


@pytest.mark.parametrize("spec", BAD, ids=json.dumps)
def test_what_the_model_refuses_is_refused(takes, spec):
    with pytest.raises(ValidationError):
        PredictiveScalerSpec.model_validate({**SPEC, **spec})
    assert not takes(document(spec))


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("predictivescaler*")), ids=lambda it: it.name)
def test_the_examples_are_taken(takes, path):
    assert takes(yaml.safe_load(path.read_text(encoding="utf-8")))
