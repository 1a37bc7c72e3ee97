"""Kills the profiler while it holds its target, again and again: is the target left stopped?

Each time the SIGKILL is sent while the target's TracerPid is not 0: in turn to py-spy, to the
sampler, and to the whole process group of both. `left_stopped` counts targets that did not go on
working within `PATIENCE` seconds.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from foretide.profiling.sampler import procfs
from foretide.profiling.sampler.watchdog import status

PATIENCE = 3.0
START_SECONDS = 30.0
# A single thread that works, and one that works beside three that wait: stops of several kinds.
TARGETS = {
    "working": "while True: pass",
    "waiting": (
        "import threading\n"
        "for _ in range(3): threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        "while True: pass"
    ),
}


class Victim(Enum):
    """Whom the SIGKILL is sent to."""

    PYSPY = "py-spy"
    SAMPLER = "sampler"
    GROUP = "process group"


class KillFailed(Exception):
    """The sampler never held its target."""


@dataclass(frozen=True)
class Killed:
    """`kills` sent; `left_stopped` targets that did not go on; `slowest` seconds until one did."""

    kills: int
    left_stopped: int
    slowest: float


def kill_again_and_again(times: int, told: Callable[[int], None] = lambda _: None) -> Killed:
    """Kill it so many times; `told` hears how many have been.

    Raises:
        KillFailed: the target was never seen held.
    """
    left, slowest = 0, 0.0
    victims = list(Victim)
    names = list(TARGETS)
    for number in range(times):
        victim = victims[number % len(victims)]
        source = TARGETS[names[number // len(victims) % len(names)]]
        seconds = _kill_once(source, victim)
        if seconds is None:
            left += 1
        else:
            slowest = max(slowest, seconds)
        told(number + 1)
    return Killed(times, left, slowest)


def _kill_once(source: str, victim: Victim) -> float | None:
    """Seconds until the target works again; None: it does not."""
    target = subprocess.Popen([sys.executable, "-c", source])
    command = [sys.executable, "-m", "foretide.profiling.sampler", str(target.pid)]
    # As often as can be, so that one hits a stop soon; the budget is not what is tested.
    limits = ["--rate=500", "--stopped=1", "--cores=4", "--seconds=60"]
    silence = subprocess.DEVNULL
    sampler = subprocess.Popen([*command, *limits], stdout=silence, start_new_session=True)
    try:
        tracer = _wait_until_held(target.pid)
        match victim:
            case Victim.PYSPY:
                os.kill(tracer, signal.SIGKILL)
            case Victim.SAMPLER:
                sampler.kill()
            case Victim.GROUP:
                os.killpg(sampler.pid, signal.SIGKILL)
        killed_at = time.monotonic()
        if victim is Victim.PYSPY:
            sampler.terminate()  # else it would start another
        return _seconds_until_it_works(target.pid, killed_at)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(sampler.pid, signal.SIGKILL)
        sampler.wait()
        target.kill()
        target.wait()


def _wait_until_held(pid: int) -> int:
    """Who holds it."""
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if tracer := status(pid)[1]:
            return tracer
    raise KillFailed("the sampler never held its target")


def _seconds_until_it_works(pid: int, since: float) -> float | None:
    """It works when nobody traces it, it is not stopped, and it uses the CPU again."""
    used: float | None = None
    while time.monotonic() < since + PATIENCE:
        state, tracer = status(pid)
        if tracer == 0 and state not in ("t", "T"):
            now = procfs.parse_schedstat(procfs.read(f"/proc/{pid}/schedstat"))[0]
            used = now if used is None else used
            if now > used:
                return time.monotonic() - since
        time.sleep(0.001)
    return None


if __name__ == "__main__":
    print(kill_again_and_again(int(sys.argv[1]) if len(sys.argv) > 1 else 100))
