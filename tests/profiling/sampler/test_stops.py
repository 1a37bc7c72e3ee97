"""How often and how long a process is stopped, against the kernel's own record of it."""

from contextlib import ExitStack

import pytest

from benchmarks.profiling_stops import StopsUnknown, followed
from foretide.profiling.sampler import Budget, sample

pytestmark = pytest.mark.slow

BUSY = """
    print("ready", flush=True)
    while True:
        sum(range(1000))
    """


@pytest.fixture
def stops_of():
    with ExitStack() as held:

        def follow(pid):
            try:
                return held.enter_context(followed(pid))
            except StopsUnknown as reason:
                pytest.skip(f"the kernel's record cannot be read: {reason}")

        yield follow


def test_what_the_sampler_says_of_its_stops_is_what_the_kernel_has_seen(run, stops_of):
    program = run(BUSY)
    stops = stops_of(program.pid)
    budget = Budget(cores=1.0, stopped=1.0, rate=60.0)
    (window,) = sample(program.pid, seconds=4.0, windows=1, budget=budget)
    seen = stops.seconds()
    assert len(seen) >= window.sample_count > 100
    told = window.overhead.stopped_share * window.seconds
    # One side is a clock that hears of them late, and guesses.
    assert 0.6 * sum(seen) < told < 2.5 * sum(seen)
