import asyncio
import copy
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretide.operator.cluster import ClusterError
from foretide.operator.leadership import Leadership

LEASE, RENEW, RETRY = 15.0, 10.0, 2.0


class Store:
    """One lease in memory, with optimistic concurrency like the API server's."""

    def __init__(self):
        self.lease = None
        self.version = 0
        self.failing = False
        self.lose_answers = False
        self.before_write = None

    async def request(self, method, path, body=None, *, content_type="application/json"):
        if self.failing:
            raise ClusterError("ApiUnreachable", "API server: down")
        if method == "GET":
            if self.lease is None:
                raise ClusterError("NotFound", "no such lease", 404)
            return copy.deepcopy(self.lease)
        if self.before_write is not None:
            hook, self.before_write = self.before_write, None
            await hook()
        known = None if self.lease is None else self.lease["metadata"]["resourceVersion"]
        if body["metadata"].get("resourceVersion") != known:
            raise ClusterError("Conflict", "the lease has changed", 409)
        self.version += 1
        self.lease = copy.deepcopy(body)
        self.lease["metadata"]["resourceVersion"] = str(self.version)
        if self.lose_answers:
            raise ClusterError("ApiUnreachable", "API server: the answer is lost")
        return copy.deepcopy(self.lease)

    @property
    def holder(self):
        return self.lease["spec"]["holderIdentity"]


class Clock:
    def __init__(self, now=0.0):
        self.now = now

    def __call__(self):
        return self.now


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def candidate(store, clock):
    def make(identity, clock=clock, **durations):
        return Leadership(
            store,
            namespace="foretide",
            name="operator",
            identity=identity,
            clock=clock,
            **durations,
        )

    return make


async def attempt(leadership):
    return await leadership._try()


async def test_the_first_one_gets_the_lease(store, candidate):
    one = candidate("one")
    assert not one.held
    await one.acquire()
    assert one.held
    spec = store.lease["spec"]
    assert (spec["holderIdentity"], spec["leaseTransitions"]) == ("one", 0)
    assert spec["leaseDurationSeconds"] == LEASE
    assert spec["acquireTime"] == spec["renewTime"]


async def test_a_renewal_keeps_the_time_of_acquisition(store, clock, candidate):
    one = candidate("one")
    await one.acquire()
    acquired = store.lease["spec"]["acquireTime"]
    clock.now += 5
    assert await attempt(one)
    assert store.lease["spec"]["acquireTime"] == acquired
    assert store.lease["spec"]["leaseTransitions"] == 0


async def test_another_one_stands_by_while_the_holder_renews(clock, candidate):
    one, two = candidate("one"), candidate("two")
    await one.acquire()
    for _ in range(50):
        assert not await attempt(two)
        clock.now += RETRY
        assert await attempt(one)
    assert one.held
    assert not two.held


async def test_who_could_not_ask_for_the_lease_is_not_yet_standing_by(store, candidate):
    one, two = candidate("one"), candidate("two")
    await one.acquire()
    store.failing = True
    assert not await attempt(two)
    assert not two.is_standing_by
    store.failing = False
    assert not await attempt(two)
    assert two.is_standing_by


async def test_the_lease_is_taken_over_only_after_a_whole_duration(store, clock, candidate):
    one, two = candidate("one"), candidate("two")
    await one.acquire()
    assert not await attempt(two)
    clock.now += LEASE
    assert not await attempt(two)
    clock.now += 0.1
    assert await attempt(two)
    assert not one.held
    assert (store.holder, store.lease["spec"]["leaseTransitions"]) == ("two", 1)


async def test_who_has_just_come_counts_from_when_it_came(clock, candidate):
    one, two = candidate("one"), candidate("two")
    await one.acquire()
    clock.now += 3_600
    assert not await attempt(two)
    clock.now += LEASE + 0.1
    assert await attempt(two)


@pytest.mark.parametrize("skew", [-1e6, -3_600, 3_600, 1e6])
async def test_clocks_may_differ(clock, candidate, skew):
    one, two = candidate("one"), candidate("two", Clock(clock.now + skew))
    await one.acquire()
    for _ in range(20):
        assert not await attempt(two)
        clock.now += RETRY
        two._clock.now += RETRY
        assert await attempt(one)
    assert one.held


async def test_leadership_ends_when_renewal_fails_for_the_renew_deadline(store, clock, candidate):
    one = candidate("one")
    await one.acquire()
    store.failing = True
    clock.now += RENEW - 0.1
    assert not await attempt(one)
    assert one.held
    clock.now += 0.1
    assert not one.held


async def test_keep_returns_when_leadership_is_lost(store, clock, candidate, caplog):
    one = candidate("one", retry_period=0.0)
    await one.acquire()
    keeper = asyncio.create_task(one.keep())
    for _ in range(10):
        await asyncio.sleep(0)
    assert not keeper.done()
    store.failing = True
    clock.now += RENEW
    await asyncio.wait_for(keeper, 5)
    assert [record.levelno for record in caplog.records][-1] == logging.ERROR


async def test_whose_lease_was_taken_knows_it_at_once(store, candidate):
    one, two = candidate("one"), candidate("two")
    await one.acquire()
    store.lease = None  # somebody has deleted it
    await two.acquire()
    await attempt(one)
    assert two.held
    assert not one.held
    await one.release()
    assert store.holder == "two"


async def test_release_hands_over_at_once(store, candidate):
    one, two = candidate("one"), candidate("two")
    await one.acquire()
    assert not await attempt(two)
    await one.release()
    assert not one.held
    assert store.holder == ""
    assert await attempt(two)


async def test_release_by_somebody_who_does_not_hold_it_writes_nothing(store, candidate):
    one, two = candidate("one"), candidate("two")
    await one.acquire()
    await attempt(two)
    version = store.version
    await two.release()
    assert store.version == version


async def test_a_release_that_fails_is_nothing_to_fall_over(store, candidate):
    one = candidate("one")
    await one.acquire()
    store.failing = True
    await one.release()
    assert not one.held


async def test_of_two_that_write_at_once_one_wins(store, candidate):
    one, two = candidate("one"), candidate("two")
    store.before_write = two.acquire
    assert not await attempt(one)
    assert (one.held, two.held) == (False, True)


async def test_a_lost_answer_to_a_write_that_was_made_is_made_good_by_the_next(store, candidate):
    one = candidate("one")
    store.lose_answers = True
    assert not await attempt(one)
    assert not one.held
    store.lose_answers = False
    assert await attempt(one)
    assert one.held


async def test_acquire_waits_and_says_once_for_whom(store, clock, candidate, caplog):
    caplog.set_level(logging.INFO)
    one, two = candidate("one"), candidate("two", retry_period=0.0)
    await one.acquire()
    waiting = asyncio.create_task(two.acquire())
    for _ in range(20):
        await asyncio.sleep(0)
    assert not waiting.done()
    await one.release()
    await asyncio.wait_for(waiting, 5)
    standing_by = [r.getMessage() for r in caplog.records if "Standing by" in r.getMessage()]
    assert standing_by == ["Standing by: one is the leader."]


@pytest.mark.parametrize("spec", [{}, {"holderIdentity": None}, {"leaseTransitions": None}])
async def test_an_empty_lease_may_be_taken(store, candidate, spec):
    store.lease = {"metadata": {"name": "operator", "resourceVersion": "7"}, "spec": spec}
    assert await attempt(candidate("one"))


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["one", "two", "one releases", "two releases", "down", "mute", "up", "wait"]
        ),
        st.sampled_from([0.0, 0.5, 2.0, 4.0, 9.9, 15.1]),
    ),
    min_size=10,
    max_size=60,
)


@pytest.mark.slow
@given(steps=STEPS, skew=st.floats(-1e5, 1e5))
def test_two_never_hold_it_at_the_same_instant(steps, skew):
    store, clocks = Store(), {"one": Clock(), "two": Clock(skew)}
    both = {
        name: Leadership(store, namespace="n", name="l", identity=name, clock=clocks[name])
        for name in clocks
    }

    def check():
        assert not (both["one"].held and both["two"].held)

    async def play():
        for what, seconds in steps:
            name, _, releases = what.partition(" ")
            if releases:
                await both[name].release()
            elif name in both:
                await attempt(both[name])
            store.failing = (store.failing or what == "down") and what != "up"
            store.lose_answers = (store.lose_answers or what == "mute") and what != "up"
            check()
            for clock in clocks.values():
                clock.now += seconds
            check()

    asyncio.run(play())


@pytest.mark.slow
@given(
    order=st.lists(st.sampled_from(["one", "two"]), max_size=40),
    pauses=st.lists(st.floats(0, 8), min_size=40, max_size=40),
)
def test_requests_that_overlap_never_make_two_leaders(order, pauses):
    """Both read before either writes, and time passes in between."""
    store, clock = Store(), Clock()
    both = {
        name: Leadership(store, namespace="n", name="l", identity=name, clock=clock)
        for name in ("one", "two")
    }

    async def play():
        for name, pause in zip(order, pauses, strict=False):
            other = both["two" if name == "one" else "one"]

            async def meanwhile(other=other, pause=pause):
                clock.now += pause
                await attempt(other)

            store.before_write = meanwhile
            await attempt(both[name])
            assert not (both["one"].held and both["two"].held)
            clock.now += pause

    asyncio.run(play())
