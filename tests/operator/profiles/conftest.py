"""Windows, targets and a clock for tests of where profiles go."""

import pytest

from foretide.profiling.window import (
    Container,
    Frame,
    Overhead,
    ProcessFacts,
    Samples,
    Thread,
    ThreadState,
    Window,
)
from foretide.store.profiles import Target

NOON = 1_790_000_100.0 - 1_790_000_100.0 % 300


class Clock:
    def __init__(self):
        self.now = NOON

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(scope="session")
def noon():
    """A moment that is a multiple of five minutes."""
    return NOON


@pytest.fixture(scope="session")
def target():
    def make(**changes):
        named = {"namespace": "web", "workload": "deployment/shop", "container": "app"}
        return Target(**{**named, "pod": "shop-a", "version": "sha256:1", **changes})

    return make


@pytest.fixture(scope="session")
def window():
    """Ten seconds of a process with one thread, which spent `cpu` seconds in a function."""

    def make(started_at=NOON, *, seconds=10.0, pid=7, cpu=4.0, functions=("main", "work")):
        frames = tuple(Frame(name, "/app/shop.py", 10 + at) for at, name in enumerate(functions))
        count = round(seconds * 20)
        thread = Thread(
            tid=pid,
            name="MainThread",
            cpu_seconds=cpu,
            runqueue_seconds=0.0,
            user_seconds=cpu,
            system_seconds=0.0,
            voluntary_switches=1,
            involuntary_switches=1,
            states={ThreadState.RUNNING: count},
        )
        return Window(
            started_at=started_at,
            seconds=seconds,
            rate=20.0,
            pid=pid,
            python_version="3.12.1",
            command="python shop.py",
            sample_count=count,
            sweeps=count,
            frames=frames,
            stacks=(tuple(range(len(frames))),),
            threads=(thread,),
            samples=(Samples(0, 0, count, count),),
            process=ProcessFacts(cpu, cpu, 0.0, 0, 0, 1 << 26, 0),
            container=Container(),
            overhead=Overhead(0.003, 0.05, 1 << 24),
        )

    return make
