"""The door to metrics.k8s.io, with a cluster that answers what it is told."""

import re
from datetime import datetime
from urllib.parse import parse_qs, urlsplit

import pytest

from foretide.forecasting.demand import Unavailable, Undecided
from foretide.forecasting.promql import longest_range
from foretide.forecasting.resource_demand import (
    PodUsage,
    ResourceDemand,
    ResourceSample,
    ResourceTarget,
    resource_demand,
)
from foretide.operator.api.metrics import ResourceName
from foretide.operator.api.predictivescaler import ScaleTargetRef
from foretide.operator.cluster import ClusterError
from foretide.operator.resource_metrics import (
    ClusterResourceMetrics,
    MemoryResourceMetrics,
    default_history_query,
    quantity,
    read_pods,
    read_usage,
)

NOON = datetime.fromisoformat("2026-11-24T12:00:00Z").timestamp()
PODS = "/api/v1/namespaces/web/pods"
METRICS = "/apis/metrics.k8s.io/v1beta1/namespaces/web/pods"


class FakeCluster:
    """Answers GET by path, page by page; an exception is raised."""

    def __init__(self, answers):
        self.answers = answers
        self.asked = []

    async def request(self, method, path, body=None, *, content_type="application/json"):
        url = urlsplit(path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        self.asked.append((method, url.path, query))
        answer = self.answers[url.path]
        if isinstance(answer, Exception):
            raise answer
        pages = answer if isinstance(answer, list) else [answer]
        position = int(query.get("continue", 0))
        following = {"continue": str(position + 1)} if position + 1 < len(pages) else {}
        return {"metadata": following, "items": pages[position]["items"]}


def pod(name="shop-0", *, cpu="500m", status=None, spec=None):
    return {
        "metadata": {"name": name},
        "spec": spec or {"containers": [{"name": "app", "resources": {"requests": {"cpu": cpu}}}]},
        "status": status
        or {
            "phase": "Running",
            "startTime": "2026-11-24T11:00:00Z",
            "conditions": [
                {"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-24T11:01:00Z"}
            ],
        },
    }


def usage(name="shop-0", **containers):
    return {
        "metadata": {"name": name},
        "timestamp": "2026-11-24T12:00:00Z",
        "window": "15.5s",
        "containers": [
            {"name": container, "usage": {"cpu": cpu, "memory": "64Mi"}}
            for container, cpu in (containers or {"app": "250m"}).items()
        ],
    }


@pytest.fixture
def ask():
    async def sample(pods, metrics, resource=ResourceName.CPU, container=None):
        cluster = FakeCluster({PODS: pods, METRICS: metrics})
        found = await ClusterResourceMetrics(cluster).sample(
            "web", "app=shop,tier in (a,b)", resource, container
        )
        return found, cluster.asked

    return sample


async def test_pods_and_their_usage_are_read_and_become_demand(ask):
    found, asked = await ask({"items": [pod()]}, {"items": [usage()]})
    assert isinstance(found, ResourceSample)
    assert found.usage == {"shop-0": PodUsage(0.25, NOON, 15.5)}
    (one,) = found.pods
    assert (one.request, one.ready, one.pending, one.ended) == (0.5, True, False, False)
    assert (one.started, one.ready_changed) == (NOON - 3_600, NOON - 3_540)
    assert {query["labelSelector"] for _, _, query in asked} == {"app=shop,tier in (a,b)"}
    demand = resource_demand(found, ResourceTarget("cpu"), replicas=1, now=NOON)
    assert isinstance(demand, ResourceDemand)
    assert (demand.total, demand.per_replica) == (0.25, 0.5)


async def test_large_lists_come_in_pages(ask):
    pages = [{"items": [pod("shop-0")]}, {"items": [pod("shop-1")]}]
    found, asked = await ask(pages, {"items": [usage("shop-1")]})
    assert [one.name for one in found.pods] == ["shop-0", "shop-1"]
    assert len(asked) == 3


@pytest.mark.parametrize(
    ("error", "reason", "hint"),
    [
        (ClusterError("NotFound", "no", 404), "MetricsApiMissing", "install metrics-server"),
        (ClusterError("Forbidden", "no", 403), "Forbidden", "grant it get and list"),
        (ClusterError("Busy", "no", 503), "MetricsApiUnavailable", "whether metrics-server runs"),
        (ClusterError("ApiUnreachable", "no answer"), "ApiUnreachable", "no answer"),
    ],
)
async def test_a_metrics_api_that_does_not_answer_says_what_to_do(ask, error, reason, hint):
    found, _ = await ask({"items": [pod()]}, error)
    assert isinstance(found, Unavailable)
    assert found.reason == reason
    assert hint in found.message


async def test_pods_that_cannot_be_listed_are_an_outage(ask):
    found, _ = await ask(ClusterError("Forbidden", "no", 403), {"items": [usage()]})
    assert found == Unavailable("Forbidden", "pods cannot be listed: no")


async def test_without_a_selector_nothing_is_asked():
    cluster = FakeCluster({})
    found = await ClusterResourceMetrics(cluster).sample("web", "", ResourceName.CPU)
    assert isinstance(found, Unavailable)
    assert not cluster.asked


async def test_the_double_answers_what_it_was_told():
    known = ResourceSample((), {})
    double = MemoryResourceMetrics({("web", "app=shop"): known})
    assert await double.sample("web", "app=shop", ResourceName.CPU) is known
    assert isinstance(await double.sample("web", "app=other", ResourceName.CPU), Unavailable)


# Requests and usage


def request(spec, resource=ResourceName.CPU, container=None):
    return read_pods([pod(spec=spec)], resource, container)[0].request


def container(name, **requests):
    return {"name": name, "resources": {"requests": requests}}


def test_a_pod_requests_what_its_containers_and_sidecars_do():
    spec = {
        "containers": [container("app", cpu="500m"), container("proxy", cpu=1)],
        "initContainers": [
            {**container("mesh", cpu="100m"), "restartPolicy": "Always"},
            container("migrate", cpu="4"),
        ],
    }
    assert request(spec) == pytest.approx(1.6)
    assert request(spec, container="app") == 0.5
    assert request(spec, container="nobody") is None


def test_a_pod_of_which_one_container_does_not_say_requests_nothing():
    assert request({"containers": [container("app", cpu="1"), {"name": "proxy"}]}) is None


def test_a_request_of_the_whole_pod_goes_before_those_of_its_containers():
    spec = {"resources": {"requests": {"cpu": "2"}}, "containers": [{"name": "app"}]}
    assert request(spec) == 2.0


def test_memory_is_in_bytes():
    spec = {"containers": [container("app", memory="128Mi")]}
    assert request(spec, ResourceName.MEMORY) == 128 * 2**20
    assert read_usage([usage()], ResourceName.MEMORY)["shop-0"].value == 64 * 2**20


def test_usage_is_the_sum_of_the_containers_or_that_of_one():
    entry = usage(app="250m", proxy="50000000n")
    assert read_usage([entry], ResourceName.CPU)["shop-0"].value == pytest.approx(0.3)
    assert read_usage([entry], ResourceName.CPU, "proxy")["shop-0"].value == pytest.approx(0.05)
    assert read_usage([entry], ResourceName.CPU, "nobody") == {}


def test_a_pod_of_which_one_container_has_no_figure_has_none():
    entry = usage(app="250m", proxy="50m")
    del entry["containers"][1]["usage"]["cpu"]
    assert read_usage([entry], ResourceName.CPU) == {}


@pytest.mark.parametrize("broken", [{}, {"metadata": {}}, {"metadata": 7, "containers": []}])
def test_what_cannot_be_read_is_left_out(broken):
    assert read_usage([broken, usage()], ResourceName.CPU).keys() == {"shop-0"}
    assert [one.name for one in read_pods([broken, pod()], ResourceName.CPU)] == ["shop-0"]


def test_pods_that_wait_or_have_ended_are_told_apart():
    waiting, failed = pod("a", status={"phase": "Pending"}), pod("b", status={"phase": "Failed"})
    leaving = pod("c")
    leaving["metadata"]["deletionTimestamp"] = "2026-11-24T12:00:00Z"
    found = read_pods([waiting, failed, leaving], ResourceName.CPU)
    assert [(one.pending, one.ended) for one in found] == [
        (True, False),
        (False, True),
        (False, True),
    ]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("250m", 0.25),
        ("123456789n", 0.123456789),
        ("5u", 5e-6),
        ("2", 2),
        (2, 2),
        ("0.5", 0.5),
        (".5", 0.5),
        ("1e3", 1_000),
        ("12E6", 12_000_000),
        ("3E", 3e18),
        ("64Mi", 64 * 2**20),
        ("1Gi", 2**30),
        ("2k", 2_000),
    ],
)
def test_quantities_are_read_as_kubernetes_writes_them(text, number):
    assert quantity(text) == pytest.approx(number)


@pytest.mark.parametrize("text", ["", "many", "1Qi", "-1", "1 m", "1e999", "e3"])
def test_what_is_no_quantity_is_refused(text):
    with pytest.raises(ValueError, match="not a quantity"):
        quantity(text)


# The history to forecast by


def pattern(kind, name="shop"):
    query = default_history_query("web", ScaleTargetRef(kind=kind, name=name), ResourceName.CPU)
    assert isinstance(query, str)
    assert longest_range(query) == 120
    assert 'namespace="web"' in query
    return re.compile(re.search(r'pod=~"([^"]+)"', query)[1].replace("\\\\", "\\"))


def test_the_history_of_cpu_is_that_of_the_targets_pods_alone():
    assert pattern("Deployment").fullmatch("shop-7c9d5b6f4-x2x9q")
    assert not pattern("Deployment").fullmatch("shop-api-7c9d5b6f4-x2x9q")
    assert pattern("StatefulSet").fullmatch("shop-12")
    assert not pattern("StatefulSet").fullmatch("shop-api-0")
    assert pattern("ReplicaSet").fullmatch("shop-x2x9q")
    assert pattern("Rollout").fullmatch("shop-anything")
    assert pattern("StatefulSet", "shop.v2").fullmatch("shop.v2-0")
    assert not pattern("StatefulSet", "shop.v2").fullmatch("shopxv2-0")


def test_the_history_may_be_that_of_one_container():
    ref = ScaleTargetRef(kind="Deployment", name="shop")
    assert 'container="app"' in str(default_history_query("web", ref, ResourceName.CPU, "app"))


def test_memory_has_no_history_by_default():
    ref = ScaleTargetRef(kind="Deployment", name="shop")
    found = default_history_query("web", ref, ResourceName.MEMORY)
    assert isinstance(found, Undecided)
    assert "give query" in found.message
