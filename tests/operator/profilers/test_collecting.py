"""Reading samplers' logs, of nodes whose clocks are not ours: each window once, and none lost."""

import dataclasses
from pathlib import Path

import pytest

from foretide.operator.cluster import ClusterError
from foretide.operator.profilers.collecting import Collector
from foretide.operator.profilers.facts import read_pod
from foretide.operator.profilers.log_lines import Line, Place
from foretide.operator.profilers.member import Member
from foretide.operator.profilers.memory import MemoryPods
from foretide.profiling.events import Event, Kind, to_line
from foretide.profiling.sampler.wire import read_windows, to_packed_line

FIXTURES = Path(__file__).parents[2] / "profiling" / "fixtures"
OURS = "foretide-profiler-1"


@pytest.fixture(scope="module")
def recorded():
    """A real window."""
    return next(read_windows((FIXTURES / "gil.txt").read_text().splitlines()))


class Node:
    """A pod with our container, whose log a test writes; the node's clock began in 1970."""

    def __init__(self, pod, recorded):
        meta = {"uid": "uid-prof", "namespace": "shop", "name": "prof", "generation": 1}
        spec = {"selector": {"matchLabels": {"app": "shop"}}}
        self.member = Member.from_body({"metadata": meta, "spec": spec})
        self.pods, self.sunk, self.recorded = MemoryPods(), [], recorded
        self.pods.add(pod)
        self.pods.pods["shop-1"]["spec"]["ephemeralContainers"] = [
            {"name": OURS, "args": ["--run=" + self.member.run], "targetContainerName": "app"}
        ]
        self.pods.set_state("shop-1", OURS, {"running": {}})
        self.collector = Collector(self.pods, lambda member, pod, fresh: self.sunk.extend(fresh))
        self.written = 0

    def measure(self, count):
        for _ in range(count):
            self.written += 1
            labels = {"pod": "shop-1", "run": self.member.run}
            window = dataclasses.replace(
                self.recorded, started_at=10.0 * self.written, labels=labels
            )
            self.pods.logs["shop-1", OURS].append(to_packed_line(window))

    async def collect(self):
        """Read what there is; the second by the node's clock from which on it was asked for."""
        told = await self.collector.collect(self.member, [read_pod(self.pods.pods["shop-1"], {})])
        assert told == []
        return self.pods.read_since[-1]

    @property
    def starts(self):
        return [window.started_at for window in self.sunk]


@pytest.fixture
def node(make_pod, recorded):
    return Node(make_pod(), recorded)


async def test_a_log_is_read_on_by_the_nodes_clock_whatever_ours_says(node):
    node.measure(3)
    assert await node.collect() is None
    node.measure(2)
    assert await node.collect() == 2.0
    assert await node.collect() == 4.0
    assert node.starts == [10.0, 20.0, 30.0, 40.0, 50.0]


async def test_what_comes_again_is_not_taken_in_again_though_its_windows_were_let_go(node):
    node.measure(2)
    await node.collect()
    node.member.pods["uid-shop-1"].windows.clear()
    await node.collect()
    assert node.starts == [10.0, 20.0]


async def test_a_silent_log_is_asked_for_from_its_start_until_it_speaks(node):
    assert [await node.collect(), await node.collect()] == [None, None]
    node.measure(1)
    await node.collect()
    assert node.starts == [10.0]


async def test_a_log_that_has_ended_is_read_once_more_and_then_no_more(node):
    node.measure(1)
    await node.collect()
    node.measure(1)
    node.pods.set_state("shop-1", OURS, {"terminated": {"reason": "Completed"}})
    await node.collect()
    node.pods.read_since.clear()
    with pytest.raises(IndexError):
        await node.collect()
    assert node.starts == [10.0, 20.0]


async def test_what_could_not_be_read_is_read_later(node, monkeypatch):
    node.measure(1)
    await node.collect()
    node.measure(1)
    real = node.pods.log

    async def away(*asked, since):
        raise ClusterError("ApiUnreachable", "no answer")

    monkeypatch.setattr(node.pods, "log", away)
    pod = read_pod(node.pods.pods["shop-1"], {})
    (told,) = await node.collector.collect(node.member, [pod])
    assert "cannot be read: no answer" in told
    monkeypatch.setattr(node.pods, "log", real)
    await node.collect()
    assert node.starts == [10.0, 20.0]


async def test_others_output_moves_the_place_on_and_is_not_read_again(node):
    node.pods.logs["shop-1", OURS] += ["chatter"] * 50
    await node.collect()
    node.pods.logs["shop-1", OURS].append(to_line(Event(Kind.BEGAN, 0.0, node.member.run)))
    assert await node.collect() == 49.0
    assert node.member.pods["uid-shop-1"].events[OURS][0].kind is Kind.BEGAN


def lines(*at):
    return [Line(moment, f"line {number}") for number, moment in enumerate(at)]


def test_lines_of_the_last_second_are_known_when_they_come_again():
    first = lines(1.0, 2.1, 2.2)
    place = Place().after(first, complete=True)
    assert place.since == 2.0
    again = [*first[1:], Line(2.3, "new")]
    assert place.new(again) == [Line(2.3, "new")]


def test_a_second_with_more_than_is_read_at_a_time_is_passed_over():
    full = lines(5.1, 5.2)
    place = Place().after(full, complete=False)
    assert place.since == 5.0
    assert place.after(full, complete=False) == Place(6.0)


def test_a_clock_that_was_set_back_is_followed():
    place = Place().after(lines(100.0, 101.0), complete=True)
    assert place.after([Line(50.5, "later")], complete=True).since == 50.0
