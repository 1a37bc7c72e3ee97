"""CPU and memory as demand, against HPA's own arithmetic."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foretide.forecasting.behavior import Behavior
from foretide.forecasting.demand import Unavailable
from foretide.forecasting.resource_demand import (
    CPU,
    MEMORY,
    PodUsage,
    ResourcePod,
    ResourceSample,
    ResourceTarget,
    hpa_replicas,
    resource_demand,
)

NOW = 1_790_000_000.0


def ready(name, request=1.0):
    return ResourcePod(name, request, started=NOW - 9_000, ready=True, ready_changed=NOW - 8_900)


def sample(*usages, request=1.0, extra=()):
    """Ready pods with a usage each (None is none), and whatever else."""
    pods = [ready(str(i), request) for i in range(len(usages))]
    usage = {
        str(i): PodUsage(value, NOW - 10, 15.0)
        for i, value in enumerate(usages)
        if value is not None
    }
    return ResourceSample((*pods, *extra), usage)


def demand_of(seen, *, replicas, **target):
    return resource_demand(
        seen, ResourceTarget(**{"resource": CPU, **target}), replicas=replicas, now=NOW
    )


def test_demand_is_the_total_and_a_replica_carries_its_request():
    found = demand_of(sample(0.5, 0.7, 0.9, request=1.5), replicas=3)
    assert found.total == found.cautious == pytest.approx(2.1)
    assert (found.per_replica, found.target_utilization) == (1.5, 0.7)
    assert (found.counted, found.missing, found.unready, found.at) == (3, 0, 0, NOW - 10)


def test_a_target_above_the_request_raises_what_a_replica_carries():
    found = demand_of(sample(0.5, 0.5, request=0.25), replicas=2, utilization=2.0)
    assert (found.per_replica, found.target_utilization) == (0.5, 1.0)
    assert hpa_replicas(found, Behavior(), current=2) == 2


def test_a_safe_load_given_by_the_user_needs_no_requests():
    seen = sample(0.5, 0.5, request=None)
    assert demand_of(seen, replicas=2, per_replica=0.8).per_replica == 0.8


def test_a_missing_request_says_which_pod_and_what_to_do():
    found = demand_of(sample(0.5, request=None), replicas=1)
    assert isinstance(found, Unavailable)
    assert found.reason == "RequestMissing"
    assert "pod 0 requests no cpu: set resources.requests.cpu" in found.message


def test_without_pods_there_is_no_demand():
    ended = replace(ready("a"), ended=True)
    found = demand_of(sample(extra=[ended]), replicas=3)
    assert isinstance(found, Unavailable)
    assert found.reason == "NoPods"


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (sample(None, None), "NoUsage"),
        (ResourceSample((ready("0"),), {"0": PodUsage(0.5, NOW - 121)}), "Stale"),
    ],
)
def test_without_figures_there_is_no_demand(seen, reason):
    found = demand_of(seen, replicas=2)
    assert isinstance(found, Unavailable)
    assert found.reason == reason


def test_a_missing_pod_counts_whole_on_the_way_down_and_not_at_all_on_the_way_up():
    found = demand_of(sample(0.2, 0.2, None), replicas=3)
    assert (found.total, found.cautious) == (pytest.approx(0.4), pytest.approx(1.4))
    assert hpa_replicas(found, Behavior(), current=3) == 2


def test_pods_that_start_do_not_let_the_others_be_taken_away():
    starting = [ResourcePod(f"new-{i}", 1.0, pending=True) for i in range(5)]
    found = demand_of(sample(*[0.8] * 5, extra=starting), replicas=10)
    assert found.unready == 5
    assert hpa_replicas(found, Behavior(), current=10) == 10


def test_replicas_that_have_no_pod_yet_are_as_good_as_starting():
    found = demand_of(sample(*[0.8] * 5), replicas=10)
    assert hpa_replicas(found, Behavior(), current=10) == 10


@pytest.mark.parametrize(
    ("pod", "counts"),
    [
        ({"started": NOW - 200, "ready": True, "ready_changed": NOW - 100}, True),
        # The figure is of a window that began before the pod was ready.
        ({"started": NOW - 200, "ready": True, "ready_changed": NOW - 20}, False),
        ({"started": NOW - 200, "ready": False, "ready_changed": NOW - 100}, False),
        ({"started": NOW - 900, "ready": False, "ready_changed": NOW - 880}, False),
        # Ready once, and not any more: its load is real.
        ({"started": NOW - 900, "ready": False, "ready_changed": NOW - 100}, True),
        ({"started": None, "ready": True, "ready_changed": NOW - 100}, False),
        ({"started": NOW - 900, "ready": None}, False),
    ],
)
def test_the_cpu_of_a_pod_counts_as_it_does_for_hpa(pod, counts):
    extra = [ResourcePod("new", 1.0, **pod)]
    seen = sample(0.5, extra=extra)
    seen = replace(seen, usage={**seen.usage, "new": PodUsage(3.0, NOW - 10, 15.0)})
    assert (demand_of(seen, replicas=2).total == 3.5) is counts
    assert demand_of(seen, replicas=2, resource=MEMORY).total == 3.5


# HPA itself: a port of GetResourceReplicas of Kubernetes 1.35 for pods that all request 1, without
# its rounding to whole per cent.


def reference(counted, missing, unready, target, current, tolerance=0.1):
    def within(ratio):
        return 1 - tolerance <= ratio <= 1 + tolerance

    usage = dict(enumerate(counted))
    ratio = math.fsum(usage.values()) / len(usage) / target
    scale_up_with_unready = unready > 0 and ratio > 1
    if not scale_up_with_unready and not missing:
        return current if within(ratio) else math.ceil(ratio * len(usage) * (1 - 1e-9))
    for i in range(missing):
        if ratio != 1:
            usage["missing", i] = max(1.0, target) if ratio < 1 else 0.0
    if scale_up_with_unready:
        usage.update({("unready", i): 0.0 for i in range(unready)})
    again = math.fsum(usage.values()) / len(usage) / target
    if within(again) or (ratio < 1 < again) or (ratio > 1 > again):
        return current
    wanted = math.ceil(again * len(usage) * (1 - 1e-9))
    if (again < 1 and wanted > current) or (again > 1 and wanted < current):
        return current
    return wanted


@pytest.mark.slow
@settings(max_examples=300)
@given(
    st.lists(st.floats(0.01, 2.0), min_size=1, max_size=12),
    st.integers(0, 6),
    st.integers(0, 6),
    st.floats(0.3, 2.0),
)
def test_the_answer_is_hpas(counted, missing, unready, target):
    current = len(counted) + missing + unready
    starting = [ResourcePod(f"new-{i}", 1.0, pending=True) for i in range(unready)]
    seen = sample(*counted, *[None] * missing, extra=starting)
    found = demand_of(seen, replicas=current, utilization=target)
    ours = hpa_replicas(found, Behavior(), current=current)
    assert ours == reference(counted, missing, unready, target, current)
