import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretide.operator.pacing import BURST, Pace, Turns


@pytest.fixture
def clock():
    class Clock:
        now = 0.0

        def __call__(self):
            return self.now

    return Clock()


@pytest.fixture
def turns(clock):
    made = []

    def make(places=1, cores=1_000.0):
        made.append(Turns(places, Pace(lambda: cores), clock))
        return made[-1]

    yield make
    for one in made:
        one.stop()


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
def wait():
    """Waits for a turn in the background."""
    tasks = []

    def go(turns, first=False):
        tasks.append(asyncio.create_task(turns.take(first=first)))
        return tasks[-1]

    yield go
    for task in tasks:
        task.cancel()


# The pace


def test_a_handful_of_fits_may_start_at_once():
    pace = Pace(lambda: 0.5)
    for _ in range(9):
        assert pace.delay(0.0) == 0
        pace.spend(6.0, 0.0)


def test_then_they_go_on_at_the_share_of_a_core():
    pace = Pace(lambda: 0.5)
    pace.spend(BURST + 5.0, 0.0)
    assert pace.delay(0.0) == pytest.approx(10, abs=0.1)
    assert pace.delay(11.0) == 0


def test_what_is_not_used_is_saved_up_to_a_bound():
    pace = Pace(lambda: 0.5)
    pace.spend(BURST, 0.0)
    assert pace.delay(1e6) == 0
    pace.spend(BURST + 0.1, 1e6)
    assert pace.delay(1e6) > 0


def test_a_setting_that_changes_counts_at_once():
    cores = [0.1]
    pace = Pace(lambda: cores[0])
    pace.spend(BURST + 10, 0.0)
    slow = pace.delay(0.0)
    cores[0] = 1.0
    assert pace.delay(0.0) == pytest.approx(slow / 10)


@given(
    st.lists(st.tuples(st.floats(0, 300), st.floats(0, 30)), min_size=1, max_size=50),
    st.floats(0.05, 4),
)
def test_over_any_time_no_more_is_used_than_the_share_a_burst_and_one_fit(steps, cores):
    pace, now, used = Pace(lambda: cores), 0.0, 0.0
    pace.delay(0.0)
    for wait, cost in steps:
        now += wait
        if pace.delay(now) == 0:
            pace.spend(cost, now)
            used += cost
    assert used <= cores * now + BURST + 30 + 1e-6


# Turns


async def test_there_are_so_many_places(turns, wait):
    queue = turns(places=2)
    waiting = [wait(queue) for _ in range(3)]
    await settle()
    assert [task.done() for task in waiting] == [True, True, False]
    queue.give_back(waiting[0].result(), 1.0)
    await settle()
    assert waiting[2].done()


async def test_who_has_nothing_yet_is_called_first_then_who_came_first(turns, wait):
    queue = turns()
    held = await queue.take()
    waiting = [wait(queue), wait(queue), wait(queue, first=True)]
    order = []
    for task in waiting:
        task.add_done_callback(lambda done: order.append(waiting.index(done)))
    await settle()
    for _ in waiting:
        queue.give_back(held, 1.0)
        await settle()
    assert order == [2, 0, 1]


async def test_who_gives_up_costs_nobody_a_turn(turns, wait):
    queue = turns()
    held = await queue.take()
    gone, next_one = wait(queue), wait(queue)
    await settle()
    gone.cancel()
    await settle()
    queue.give_back(held, 1.0)
    await settle()
    assert next_one.done()


async def test_who_gives_up_in_the_moment_of_being_called_passes_the_turn_on(turns, wait):
    queue = turns()
    held = await queue.take()
    gone, next_one = wait(queue), wait(queue)
    await settle()
    queue.give_back(held, 1.0)
    gone.cancel()
    await settle()
    assert gone.cancelled()
    assert next_one.done()


async def test_the_next_one_waits_until_the_pace_allows(turns, wait, clock):
    queue = turns(places=5, cores=0.5)
    for _ in range(10):
        queue.give_back(await queue.take(), 6.0)
    waiting = wait(queue)
    await settle()
    assert not waiting.done()
    clock.now = 11.0
    other = wait(queue)  # its coming makes the queue look again; else a timer does
    await settle()
    assert waiting.done()
    assert not other.done()


async def test_a_timer_calls_where_nobody_comes(turns, wait):
    queue = turns(cores=1_000.0)
    queue.pace.spend(BURST + 5.0, 0.0)
    waiting = wait(queue)
    queue.clock = lambda: 1.0
    await asyncio.wait_for(asyncio.shield(waiting), 5)


async def test_fits_turn_out_to_cost_something_else_than_was_thought(turns, wait):
    queue = turns(places=1, cores=0.001)
    for _ in range(40):
        queue.give_back(await queue.take(), 0.1)  # of one second at the outside: far from a burst
    assert (await queue.take()) < 1
