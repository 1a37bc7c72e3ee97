"""Whole ticks of a Profiler, with pods in memory: from the first look to a verdict, and what goes
wrong on the way. Windows are real ones."""

import asyncio
import dataclasses
import json
import re
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from foretide.forecasting.demand import Reading, Unavailable
from foretide.operator.cluster import ClusterError
from foretide.operator.profilers import archive
from foretide.operator.profilers.assembly import assemble
from foretide.operator.profilers.facts import SIDECAR
from foretide.operator.profilers.fleet import ProfilerFleet
from foretide.operator.profilers.keeping import ProfileKeeper
from foretide.operator.profilers.member import Member
from foretide.operator.profilers.memory import MemoryPods
from foretide.operator.profilers.reconcile import BUSY, QUIET, STEADY
from foretide.operator.settings import OperatorSettings, SettingsHolder, parse
from foretide.operator.telemetry import Telemetry
from foretide.operator.thinking import ThinkingFailed
from foretide.operator.ticking import Gone
from foretide.profiling.events import Event, Kind, to_line
from foretide.profiling.sampler.wire import read_windows, to_packed_line

FIXTURES = Path(__file__).parents[2] / "profiling" / "fixtures"
OURS = "foretide-profiler-1"
APP = {"securityContext": {"runAsUser": 1000, "runAsGroup": 1000}}


class Statuses:
    """The API server's part that keeps the resources' status."""

    def __init__(self):
        self.status = {}
        self.writes = 0
        self.gone = False

    async def request(self, method, path, body=None, *, content_type=""):
        if self.gone:
            raise ClusterError("NotFound", "no such profiler", 404)
        self.writes += 1
        for key, value in body["status"].items():
            self.status.pop(key, None)
            if value is not None:
                self.status[key] = value

    def condition(self, kind):
        found = [it for it in self.status["conditions"] if it["type"] == kind]
        return (found[0]["status"], found[0]["reason"], found[0]["message"]) if found else None


class Prometheus:
    """Answers each query with what a test has given for a part of it."""

    def __init__(self):
        self.answers, self.asked = {}, []

    async def demand_now(self, query, *, now, stale_after):
        self.asked.append(query)
        found = [it for part, it in self.answers.items() if part in query]
        return Reading(found[0], now) if found else Unavailable("Empty", "no series")


class World:
    """A Profiler, its pods, and what a test does with them."""

    def __init__(self, settings=None):
        holder = SettingsHolder(settings or OperatorSettings())
        self.pods, self.api, self.fleet = MemoryPods(), Statuses(), ProfilerFleet()
        self.events, self.now, self.leads = [], 1_800_000_000.0, True
        self.dull = False
        self.keeper = ProfileKeeper(lambda: holder.current.store, lambda: None)
        self.telemetry, self.prometheus = Telemetry(), Prometheus()
        self.reconciler = assemble(
            self.fleet,
            telemetry=self.telemetry,
            sources=self.source,
            cluster=self.api,
            pods=self.pods,
            settings=holder,
            keeper=self.keeper,
            announce=lambda body, **event: self.events.append(event),
            may_write=lambda: self.leads,
            think=self.think,
            clock=lambda: self.now,
        )
        self.member = None

    async def think(self, windows, work, *args, **kwargs):
        if self.dull:
            raise ThinkingFailed("gave up after 300 s")
        return await asyncio.to_thread(work, *args, **kwargs)

    async def source(self, name):
        return self.prometheus if name == "default" else None

    def profiler(self, name="prof", status=None, **spec):
        spec = {"selector": {"matchLabels": {"app": "shop"}}, "pods": 1, **spec}
        meta = {"uid": f"uid-{name}", "namespace": "shop", "name": name, "generation": 1}
        self.member = Member.from_body({"metadata": meta, "spec": spec, "status": status or {}})
        return self.member

    async def tick(self, times=1):
        for _ in range(times):
            self.now += 1
            delay = await self.reconciler.tick(self.member)
        return delay

    def say(self, *kinds, pod="shop-1", **fields):
        for kind in kinds:
            event = Event(kind, self.now, self.member.run, **fields)
            self.pods.logs[pod, OURS].append(to_line(event))

    def measure(self, windows, pod="shop-1"):
        for window in windows:
            labels = {"pod": pod, "run": self.member.run}
            line = to_packed_line(dataclasses.replace(window, labels=labels))
            self.pods.logs[pod, OURS].append(line)


@pytest.fixture
def world():
    return World()


@pytest.fixture(scope="module")
def windows():
    """Real windows of one little program."""
    path = sorted(FIXTURES.glob("*.txt"))[0]
    return list(read_windows(path.read_text(encoding="utf-8").splitlines()))


async def test_a_run_goes_from_attaching_to_done(world, make_pod, windows):
    world.pods.add(make_pod(container=APP))
    world.profiler()
    assert await world.tick() == BUSY
    assert [(verb, pod) for verb, pod, _ in world.pods.calls] == [("attach", "shop-1")]
    await world.tick()
    assert world.api.condition("Attached")[:2] == ("True", "Attached")
    assert world.api.condition("Ready")[:2] == ("Unknown", "Measuring")
    world.measure(windows)
    await world.tick()
    assert world.api.condition("Ready")[:2] == ("True", "Profiling")
    assert world.api.status["profile"]["windows"] == len(windows)
    assert world.api.status["bound"]["kind"]
    world.say(Kind.DONE)
    assert await world.tick(2) == QUIET
    assert world.api.condition("Ready")[:2] == ("True", "Done")
    assert world.api.status["podsSummary"] == "1/1"
    assert len(world.pods.calls) == 1


async def test_too_few_samples_are_told_where_people_look(world, make_pod, windows):
    """On a machine that is busy a minute may have some dozen."""
    world.pods.add(make_pod(container=APP))
    world.profiler()
    await world.tick(2)
    window = windows[0]
    busiest = max(window.samples, key=lambda one: one.active or 0)
    few = dataclasses.replace(busiest, count=5, active=5)
    world.measure([dataclasses.replace(window, samples=(few,), sample_count=5)])
    world.say(Kind.DONE)
    await world.tick(2)
    assert "hotspots" not in world.api.status
    assert re.fullmatch(r"\([1-5] of 100 samples\)", world.api.status["topHotspot"])
    for kind in ("Ready", "ProfileAvailable"):
        status, _, message = world.api.condition(kind)
        assert status == "True"
        assert "samples are too few to rank anything, at least 100 are needed" in message


async def test_once_done_nothing_more_is_done_to_new_pods(world, make_pod, windows):
    world.pods.add(make_pod(container=APP))
    world.profiler()
    await world.tick()
    world.measure(windows)
    world.say(Kind.DONE)
    await world.tick(2)
    world.pods.pods.clear()
    world.pods.add(make_pod("shop-2", container=APP))
    await world.tick(3)
    assert len(world.pods.calls) == 1
    assert world.api.status["profile"]


async def test_what_admission_forbids_is_quoted_and_nothing_is_changed(world, make_pod):
    world.pods.forbids = 'violates PodSecurity "restricted:latest": runAsNonRoot != true'
    world.pods.add(make_pod(container={"securityContext": {"runAsUser": 0}}))
    world.profiler()
    await world.tick(2)
    status, reason, message = world.api.condition("Attached")
    assert (status, reason) == ("False", "PolicyForbids")
    assert world.pods.forbids in message
    assert "runAsUser" in message
    assert world.pods.calls == []
    assert [event["reason"] for event in world.events].count("PolicyForbids") == 1


async def test_a_name_that_another_has_taken_in_that_moment_is_no_refusal(world, make_pod):
    world.pods.forbids = "Forbidden: existing ephemeral containers may not be changed"
    world.pods.add(make_pod(container=APP))
    world.profiler()
    await world.tick()
    world.pods.forbids = ""
    await world.tick(2)
    assert world.api.condition("Attached")[:2] == ("True", "Attached")


async def test_an_unknown_user_is_found_out_and_remembered_in_status(world, make_pod):
    world.pods.add(make_pod())
    world.profiler()
    await world.tick()
    assert world.pods.calls[0][2]["args"][0] == "--probe"
    world.say(Kind.USER, uid=33, gid=34)
    world.pods.set_state("shop-1", OURS, {"terminated": {"reason": "Completed"}})
    await world.tick(2)
    context = world.pods.calls[1][2]["securityContext"]
    assert (context["runAsUser"], context["runAsGroup"]) == (33, 34)
    world.member.users["theirs:1"] = "5:5"  # another Profiler's, perhaps of another namespace
    await world.tick()
    assert world.api.status["users"] == {"shop:1": "33:34"}


async def test_of_the_images_that_there_were_status_keeps_so_many(world, make_pod, monkeypatch):
    monkeypatch.setattr("foretide.operator.profilers.telling.MOST_USERS", 3)
    world.pods.add(make_pod(container=APP))
    world.profiler(status={"users": {f"shop:0.{it}": "5:5" for it in range(4)}})
    world.member.users["shop:1"] = "33:34"
    await world.tick(2)
    left = {image: user for image, user in world.api.status["users"].items() if user}
    assert left == {"shop:0.2": "5:5", "shop:0.3": "5:5", "shop:1": "33:34"}


async def test_what_another_run_has_measured_is_not_taken_for_this_ones(
    make_pod, windows, tmp_path
):
    store = {"url": "http://store", "tokenFile": str(tmp_path / "token")}
    world = World(parse(json.dumps({"store": store})))
    world.pods.add(make_pod(container=APP))
    world.profiler("before")
    await world.tick()
    world.measure(windows)
    world.say(Kind.DONE)
    world.profiler("after")
    await world.tick(2)
    assert not any(it.windows for it in world.member.pods.values())
    assert len(world.keeper._bundles) == 0


def test_a_sidecar_is_still_ones_own_when_the_profiler_was_created_anew():
    def made(uid, **spec):
        meta = {"uid": uid, "namespace": "shop", "name": "prof", "generation": 1}
        spec = {"selector": {"matchLabels": {"app": "shop"}}, **spec}
        return Member.from_body({"metadata": meta, "spec": spec}).run

    assert made("1", mode="Continuous") == made("2", mode="Continuous")
    assert made("1", mode="Once") != made("2", mode="Once")


async def test_sidecars_that_go_on_are_looked_at_less_often(world, make_pod, windows):
    world.profiler(mode="Continuous")
    args = ["--run=" + world.member.run]
    sidecar = {"name": SIDECAR, "args": args, "restartPolicy": "Always", **APP}
    state = {"name": SIDECAR, "state": {"running": {}}}
    pod = make_pod(container=APP, spec={"initContainers": [sidecar]})
    pod["status"]["initContainerStatuses"] = [state]
    world.pods.add(pod)
    assert await world.tick(2) == BUSY
    labels = {"pod": "shop-1", "run": world.member.run}
    window = dataclasses.replace(windows[0], started_at=world.now, labels=labels)
    world.pods.logs["shop-1", SIDECAR].append(to_packed_line(window))
    assert await world.tick() == STEADY


async def test_the_next_run_is_ordered_from_the_container_that_is_there(world, make_pod, windows):
    world.pods.add(make_pod(container=APP))
    world.profiler()
    await world.tick()
    world.measure(windows)
    world.say(Kind.DONE)
    await world.tick()
    body = world.member.body
    world.member.update({**body, "spec": {**body["spec"], "run": "again"}})
    await world.tick()
    verb, pod, text = world.pods.calls[-1]
    assert (verb, pod) == ("order", "shop-1")
    assert json.loads(text)["run"] == world.member.run
    await world.tick()
    assert world.api.status.get("profile") is None  # the last run's is not this run's
    assert len(world.pods.calls) == 2


async def test_where_no_order_arrives_another_container_is_added(world, make_pod, windows):
    world.pods.add(make_pod(container=APP))
    world.profiler()
    await world.tick()
    world.say(Kind.DONE)
    await world.tick()
    world.pods.answers = "refused: pods/exec is forbidden"
    body = world.member.body
    world.member.update({**body, "spec": {**body["spec"], "run": "again"}})
    await world.tick(2)
    assert [verb for verb, _, _ in world.pods.calls] == ["attach", "order", "attach"]


async def test_a_new_operator_finds_a_run_in_the_pods_logs(world, make_pod, windows):
    world.pods.add(make_pod(container=APP))
    world.profiler()
    await world.tick()
    world.measure(windows)
    world.say(Kind.DONE)
    known = world.api.status
    world.profiler(status=known)
    await world.tick(2)
    assert world.api.condition("Ready")[:2] == ("True", "Done")
    assert world.api.status["profile"]["windows"] == len(windows)
    assert len(world.pods.calls) == 1


async def test_figures_of_a_run_outlive_its_pods(world, make_pod, windows):
    world.pods.add(make_pod(container=APP))
    world.profiler()
    await world.tick()
    world.measure(windows)
    world.say(Kind.DONE)
    await world.tick(2)
    before = world.api.status["profile"]
    world.pods.pods.clear()
    world.profiler(status=dict(world.api.status))
    await world.tick(2)
    assert world.api.status["profile"] == before
    assert world.api.condition("Ready")[:2] == ("True", "Done")
    assert world.api.condition("Attached")[:2] == ("Unknown", "RunDone")


async def test_an_api_server_that_is_away_is_told_and_takes_nothing_from_status(
    world, make_pod, windows
):
    world.pods.add(make_pod(container=APP))
    world.profiler()
    await world.tick()
    world.measure(windows)
    await world.tick()
    world.pods.away = True
    await world.tick()
    assert world.api.condition("Ready")[:2] == ("False", "ApiUnreachable")
    assert world.api.status["profile"]


async def test_a_profiler_that_is_gone_leaves_no_process(world, make_pod):
    world.pods.add(make_pod(container=APP))
    world.profiler()
    await world.tick(2)
    await world.reconciler.detach(world.member)
    assert world.pods.calls[-1] == ("order", "shop-1", "end")


async def test_a_sampler_that_has_only_just_been_added_is_ended_too(world, make_pod):
    world.pods.add(make_pod(container=APP))
    world.profiler()
    await world.tick()
    await world.reconciler.detach(world.member)
    assert world.pods.calls[-1] == ("order", "shop-1", "end")


async def test_the_sampler_of_a_run_that_another_has_replaced_is_ended_too(world, make_pod):
    world.pods.add(make_pod(container=APP))
    world.profiler()
    await world.tick()
    world.say(Kind.BEGAN)
    body = world.member.body
    world.member.update({**body, "spec": {**body["spec"], "run": "again"}})
    await world.tick(2)
    await world.reconciler.detach(world.member)
    assert world.pods.calls[-1] == ("order", "shop-1", "end")


async def test_a_run_is_not_done_while_one_of_its_pods_waits_for_anothers_run(
    world, make_pod, windows
):
    for name in ("shop-1", "shop-2"):
        world.pods.add(make_pod(name, container=APP))
    world.profiler("other", pods=2)
    await world.tick()
    world.say(Kind.BEGAN)
    world.say(Kind.BEGAN, Kind.DONE, pod="shop-2")
    world.profiler(pods=2)
    await world.tick()
    world.say(Kind.BEGAN, Kind.DONE, pod="shop-2")
    await world.tick()
    assert world.member.finished_at is None
    assert "SamplerBusy" in [it.get("reason") for it in world.api.status["pods"]]


async def test_a_stand_by_that_is_told_of_a_suspended_profiler_changes_nothing(world, make_pod):
    world.pods.add(make_pod(container=APP))
    world.profiler()
    await world.tick(2)
    body = world.member.body
    world.member.update({**body, "spec": {**body["spec"], "suspend": True}})
    world.leads = False
    await world.tick()
    assert [call[0] for call in world.pods.calls] == ["attach"]


async def test_of_a_long_log_the_rest_is_read_next(world, make_pod, windows):
    world.pods.add(make_pod(container=APP))
    world.profiler()
    await world.tick()
    world.measure(windows)
    world.pods.longest_log = 1
    await world.tick(2 * len(windows))
    assert len(world.member.windows()) == len(windows)


async def test_what_a_continuous_one_has_measured_does_not_fill_the_memory(windows):
    world = World()
    member = world.profiler(mode="Continuous")
    for place, pod in enumerate(("gone", "recent", "there")):
        made = [dataclasses.replace(windows[0], started_at=100.0 * place + it) for it in range(60)]
        member.from_pod(pod, pod).windows.extend(made)
        member.turns[pod] = pod
    member.forget({"there"}, most=70, before=100.0)
    assert {uid: len(it.windows) for uid, it in member.pods.items()} == {"recent": 10, "there": 60}
    assert member.turns == {"there": "there"}


async def test_with_a_store_status_says_where_the_profile_is(make_pod, windows, tmp_path):
    store = {"url": "http://store", "tokenFile": str(tmp_path / "token")}
    world = World(parse(json.dumps({"store": store})))
    world.pods.add(make_pod(container=APP))
    world.profiler()
    await world.tick()
    world.measure(windows)
    await world.tick()
    url = urlsplit(world.api.status["profile"]["reference"])
    asked = dict(parse_qsl(url.query))
    assert url.path == "/v1/profiles"
    assert asked["namespace"] == "shop"
    assert (asked["workload"], asked["container"]) == ("shop-1", "app")
    first, last = windows[0].started_at, windows[-1].started_at
    assert float(asked["start"]) == first // 60 * 60
    assert float(asked["end"]) >= last + windows[-1].seconds


async def test_without_a_store_it_says_no_such_thing(world, make_pod, windows):
    world.pods.add(make_pod(container=APP))
    world.profiler()
    await world.tick()
    world.measure(windows)
    await world.tick()
    assert world.api.status["profile"]["reference"] is None


async def test_figures_that_cannot_be_made_leave_those_of_before(world, make_pod, windows):
    world.pods.add(make_pod(container=APP))
    world.profiler()
    await world.tick()
    world.measure(windows[:2])
    await world.tick()
    world.dull = True
    world.measure(windows[2:])
    await world.tick(12)
    assert world.api.status["profile"]["windows"] == 2
    assert world.api.condition("Ready")[:2] == ("True", "Profiling")


async def test_a_comparison_that_was_not_finished_is_told(world, make_pod, windows):
    world.dull = True
    with pytest.raises(KeyError, match="verdict"):
        await compared(world, make_pod, windows)
    assert world.api.condition("Compared")[:2] == ("False", "GaveUp")


async def test_suspending_takes_the_sampler_away(world, make_pod):
    world.pods.add(make_pod(container=APP))
    world.profiler()
    await world.tick(2)
    body = world.member.body
    world.member.update({**body, "spec": {**body["spec"], "suspend": True}})
    await world.tick(2)
    assert [call[0] for call in world.pods.calls] == ["attach", "order"]
    assert world.api.condition("Ready")[:2] == ("True", "Suspended")


async def test_a_stand_by_changes_nothing(world, make_pod):
    world.leads = False
    world.pods.add(make_pod(container=APP))
    world.profiler()
    await world.tick(2)
    await world.reconciler.detach(world.member)
    assert world.pods.calls == []
    assert world.api.writes == 0


async def test_status_is_written_for_news_and_not_at_every_tick(world, make_pod):
    world.pods.add(make_pod(container=APP))
    world.profiler()
    await world.tick(2)
    before = world.api.writes
    await world.tick(10)
    assert world.api.writes == before


async def test_a_spec_that_cannot_be_is_told(world):
    world.profiler(duration="1s")
    assert await world.tick() == QUIET
    assert world.api.condition("Ready")[1] == "InvalidSpec"
    assert "between 10s and 1h" in world.api.condition("Ready")[2]


async def test_that_nothing_matches_is_told(world):
    world.profiler()
    await world.tick()
    assert world.api.condition("Attached")[:2] == ("False", "NoPods")


async def test_a_resource_that_is_gone_ends_the_ticking(world, make_pod):
    world.profiler()
    world.api.gone = True
    with pytest.raises(Gone):
        await world.tick()


async def test_it_is_held_against_another_profilers_profile(world, make_pod, windows):
    world.pods.add(make_pod(container=APP))
    before = world.profiler("before")
    world.fleet._members["x"] = (before, None, None)
    world.profiler("after", baseline={"profiler": "before"})
    await world.tick()
    assert world.api.condition("Compared")[:2] == ("Unknown", "NothingToCompare")
    before.from_pod("uid-shop-1", "shop-1").windows.extend(
        dataclasses.replace(it, labels={"run": before.run, "pod": "shop-1"}) for it in windows
    )
    world.measure(windows)
    await world.tick(2)
    assert world.api.status["verdict"]["verdict"] in ("NoChange", "InsufficientData")
    assert world.api.condition("Compared")[1] == world.api.status["verdict"]["verdict"]


async def done(world, make_pod, windows, name="prof", pod="shop-1"):
    """A run of three windows that is over, and has been told of."""
    world.pods.add(make_pod(pod, container=APP))
    world.profiler(name)
    await world.tick()
    world.measure(windows, pod)
    world.say(Kind.DONE, pod=pod)
    await world.tick(2)
    return world.member


async def test_windows_of_a_run_that_is_over_are_put_away_and_status_stays(
    world, make_pod, windows
):
    member = await done(world, make_pod, windows)
    assert not archive.is_due(member, world.now)
    before = json.dumps(world.api.status)
    world.now += 100
    assert archive.is_due(member, world.now)
    await archive.put_away(member)
    assert not archive.is_due(member, world.now)
    assert member.windows() == []
    assert await world.tick(2) == QUIET
    assert json.dumps(world.api.status) == before
    world.pods.pods.clear()
    world.pods.add(make_pod("shop-2", container=APP))
    assert await world.tick(2) == QUIET  # it was measured, so that no other pod is wanted
    kept = await archive.windows_of(member)
    assert [it.started_at for it in kept] == [it.started_at for it in windows]


async def test_what_was_put_away_is_judged_anew_when_more_is_asked_for(world, make_pod, windows):
    member = await done(world, make_pod, windows)
    await archive.put_away(member)
    body = member.body
    member.update({**body, "spec": {**body["spec"], "hotspots": 1}})
    await world.tick()
    assert len(world.api.status["hotspots"]) == 1
    assert world.api.status["profile"]["windows"] == len(windows)


async def test_another_run_has_nothing_of_what_was_put_away(world, make_pod, windows):
    member = await done(world, make_pod, windows)
    await archive.put_away(member)
    member.update({**member.body, "spec": {**member.body["spec"], "run": "again"}})
    assert member.extent()[0] == 0
    assert await archive.windows_of(member) == []


async def test_it_is_held_against_windows_that_were_put_away(world, make_pod, windows):
    before = await done(world, make_pod, windows, "before")
    world.fleet._members["x"] = (before, None, None)
    await archive.put_away(before)
    world.profiler("after", baseline={"profiler": "before"})
    await world.tick()
    world.measure(windows)
    await world.tick(2)
    assert world.api.status["verdict"]["verdict"] in ("NoChange", "InsufficientData")


async def test_of_too_much_that_was_put_away_the_oldest_goes_and_a_comparison_says_so(
    world, make_pod, windows
):
    before = await done(world, make_pod, windows, "before")
    world.fleet._members["x"] = (before, None, None)
    await archive.put_away(before)
    world.pods.pods.clear()
    later = await done(world, make_pod, windows, "later", "shop-2")
    await archive.put_away(later)
    archive.trim([before, later], most_bytes=len(later.put_away.packed))
    assert len(await archive.windows_of(later)) == len(windows)
    world.pods.pods.clear()
    world.pods.add(make_pod("shop-3", container=APP))
    world.profiler("after", baseline={"profiler": "before"})
    await world.tick()
    world.measure(windows, "shop-3")
    await world.tick()
    status, reason, message = world.api.condition("Compared")
    assert (status, reason) == ("False", "WindowsGone")
    assert "let it run again" in message


TRAFFIC = {
    "requestsPerPod": "avg(rate(requests[1m]))",
    "latency": [{"name": "p99", "query": "quantile"}],
}


async def compared(world, make_pod, windows, **spec):
    world.pods.add(make_pod(container=APP))
    before = world.profiler("before")
    world.fleet._members["x"] = (before, None, None)
    before.from_pod("uid-shop-1", "shop-1").windows.extend(
        dataclasses.replace(it, labels={"run": before.run, "pod": "shop-1"}) for it in windows
    )
    world.profiler("after", baseline={"profiler": "before"}, **spec)
    await world.tick()
    world.measure(windows)
    await world.tick(2)
    return world.api.status["verdict"]["message"]


async def test_the_work_done_is_asked_of_prometheus_for_the_time_of_each_profile(
    world, make_pod, windows
):
    world.prometheus.answers = {"requests": 50.0, "quantile": 0.25}
    said = await compared(world, make_pod, windows, traffic=TRAFFIC)
    assert "p99 250.0 ms before, 250.0 ms after" in said
    end = max(it.started_at + it.seconds for it in windows)
    assert len(world.prometheus.asked) == 4
    assert all(query.endswith(f"@ {end:.0f})") for query in world.prometheus.asked)


async def test_what_prometheus_does_not_know_is_told_and_does_without(world, make_pod, windows):
    said = await compared(world, make_pod, windows, traffic=TRAFFIC)
    assert "without what Prometheus knows (requestsPerPod: no series; p99: no series)" in said
    assert "no source other" in await compared(
        World(), make_pod, windows, traffic={**TRAFFIC, "source": "other"}
    )


async def test_a_baseline_that_is_not_there_is_told(world, make_pod):
    world.profiler("after", baseline={"profiler": "none"})
    await world.tick()
    assert world.api.condition("Compared")[:2] == ("False", "BaselineNotFound")


DEPLOYMENT = {
    "spec": {
        "selector": {"matchLabels": {"app": "shop"}},
        "template": {
            "metadata": {"labels": {"app": "shop"}},
            "spec": {"containers": [{"name": "app", "image": "shop:1", **APP}]},
        },
    }
}
TARGET = {"targetRef": {"kind": "Deployment", "name": "shop"}, "selector": None}


async def test_a_workload_that_is_not_there_is_told(world):
    world.profiler(**TARGET)
    await world.tick()
    assert world.api.condition("Ready")[1] == "NotFound"


async def test_with_leave_the_template_gets_the_sidecar_once(world):
    world.pods.workloads["shop"] = DEPLOYMENT
    world.profiler(mode="Continuous", allowRollout=True, **TARGET)
    await world.tick()
    ((verb, name, document),) = world.pods.calls
    assert (verb, name) == ("apply", "shop")
    spec = document["spec"]["template"]["spec"]
    assert spec["initContainers"][0]["restartPolicy"] == "Always"
    # From then on the template has it, and says whose it is.
    changed = json.loads(json.dumps(DEPLOYMENT))
    changed["spec"]["template"]["spec"]["initContainers"] = spec["initContainers"]
    changed["spec"]["template"]["metadata"]["annotations"] = {"foretide.dev/profiler": "prof"}
    world.pods.workloads["shop"] = changed
    await world.tick(3)
    assert len(world.pods.calls) == 1
    await world.reconciler.detach(world.member)
    assert world.pods.calls[-1][2] == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "shop"},
    }


async def test_without_leave_no_template_is_touched(world):
    world.pods.workloads["shop"] = DEPLOYMENT
    world.profiler(mode="Continuous", **TARGET)
    await world.tick(3)
    await world.reconciler.detach(world.member)
    assert world.pods.calls == []


async def test_its_pods_and_its_cost_are_metrics_until_it_goes(world, make_pod, windows):
    world.pods.add(make_pod(container=APP))
    world.profiler()
    await world.tick(2)
    where = {"namespace": "shop", "name": "prof"}
    read = world.telemetry.registry.get_sample_value
    assert read("foretide_profiled_pods", {**where, "state": "Profiling"}) == 1
    world.measure(windows)
    await world.tick()
    assert 0 <= read("foretide_profiling_stopped_ratio", where) < 1
    world.telemetry.forget_profiler("shop", "prof")
    assert read("foretide_profiling_stopped_ratio", where) is None
