"""What an operator that stands by knows of Profilers: some of the webhook's calls go to it."""

import pytest

from foretide.operator.cluster import ClusterError
from foretide.operator.profilers.fleet import ProfilerFleet
from foretide.operator.profilers.member import Member
from foretide.operator.profilers.memory import MemoryPods
from foretide.operator.profilers.standing_by import StandBy
from foretide.operator.profiling_settings import ProfilingSettings


class Cluster:
    def __init__(self):
        self.profilers, self.away = [], False

    async def request(self, method, path, body=None, *, content_type=""):
        assert method == "GET"
        if self.away:
            raise ClusterError("ApiUnreachable", "no answer")
        return {"items": self.profilers}


def profiler(name, status=None, **spec):
    if "targetRef" not in spec:
        spec["selector"] = {"matchLabels": {"app": name}}
    meta = {"uid": f"uid-{name}", "namespace": "shop", "name": name, "generation": 1}
    return {"metadata": meta, "spec": {"mode": "Continuous", **spec}, "status": status or {}}


@pytest.fixture
def cluster():
    return Cluster()


@pytest.fixture
def pods():
    it = MemoryPods()
    it.workloads["web"] = {"spec": {"selector": {"matchLabels": {"app": "web"}}}}
    return it


@pytest.fixture
def stand_by(cluster, pods):
    return StandBy(cluster, pods, ProfilingSettings, ())


def found(stand_by, fleet=None):
    return [
        (it.profiler, dict(it.selector)) for it in stand_by.injections(fleet or ProfilerFleet())
    ]


async def test_it_knows_those_that_want_new_pods(stand_by, cluster, pods):
    target = {"kind": "Deployment", "name": "web"}
    cluster.profilers = [
        profiler("api"),
        profiler("web", targetRef=target),
        profiler("gone", targetRef={**target, "name": "gone"}),
        profiler("once", mode="Once", status={"users": {"api:1": "33:33"}}),
        profiler("off", suspend=True),
        profiler("rolled", targetRef=target, allowRollout=True),
        profiler("wrong", pods=0),
    ]
    await stand_by.look()
    assert found(stand_by) == [("api", {"app": "api"}), ("web", {"app": "web"})]
    assert stand_by.injections(ProfilerFleet())[0].users == {"api:1": "33:33"}
    assert pods.calls == []


async def test_what_it_knows_stays_while_the_api_server_is_away(stand_by, cluster):
    cluster.profilers = [profiler("api")]
    await stand_by.look()
    cluster.away = True
    with pytest.raises(ClusterError):
        await stand_by.look()
    assert found(stand_by) == [("api", {"app": "api"})]


async def test_a_fleet_that_has_looked_knows_more(stand_by, cluster):
    cluster.profilers = [profiler("api"), profiler("cart")]
    await stand_by.look()
    fleet = ProfilerFleet()
    for name in ("api", "cart"):
        fleet._members[name] = (Member.from_body(profiler(name)), None, None)
    fleet.named("shop", "api").match_labels = {"app": "api"}
    assert found(stand_by, fleet) == [("cart", {"app": "cart"})]


async def test_who_leads_does_not_look(stand_by, cluster, monkeypatch):
    monkeypatch.setattr("foretide.operator.profilers.standing_by._TAKING_OVER", 0.0)
    cluster.profilers = [profiler("api")]
    await stand_by.look()
    await stand_by.keep(lambda: True)
    assert found(stand_by) == []
