"""Recordings of the little programs, each by a sampler that is a process of its own, as in a pod.

python benchmarks/profiling_recording.py PID WINDOWS SECONDS RATE      prints packed lines
"""

import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.profiling_programs import Program, ProgramFailed, Running, running  # noqa: E402
from benchmarks.profiling_stops import Stops, StopsUnknown, followed  # noqa: E402
from foretide.profiling.sampler import Budget, read_windows, sample, to_packed_line  # noqa: E402
from foretide.profiling.window import Window  # noqa: E402

RATE = 20.0
LEEWAY = 30.0  # seconds that a sampler may take beside its windows, on a busy machine


@dataclass(frozen=True)
class Plan:
    """What is to be recorded. `seconds` is the length of a window; `alone`: with nothing beside."""

    program: Program
    python: Path
    version: str
    windows: int
    seconds: float
    rate: float = RATE

    @property
    def name(self) -> str:
        return f"{self.program.name} {self.version}"


@dataclass
class Recording:
    """What came of it. `truths`: of each window, what the program has booked; empty where nothing.

    `cores` and `rss_mb`: CPU time a second, and the peak of proportional memory, of the sampler and
    all that it started, from its start to its end. `stopped`: the share of time in which the kernel
    had the only thread standing still for a tracer, None where that cannot be followed.
    `off_core`: in which it neither ran nor waited for a core; of a program that never rests that is
    the same, and what the host of a virtual machine takes, which is why `off_core_before` is there.
    """

    plan: Plan
    windows: tuple[Window, ...] = ()
    truths: list[dict[str, float]] = field(default_factory=list)
    error: str = ""
    cores: float = 0.0
    rss_mb: float = 0.0
    stopped: float | None = None
    off_core: float | None = None
    off_core_before: float | None = None

    @property
    def usable(self) -> bool:
        return bool(self.windows)


def record(plan: Plan, before_seconds: float = 0.0) -> Recording:
    """Run a program, and record it; `before_seconds` of it without a sampler. Never raises for a
    program or sampler that fails: then `error` says why.
    """
    made = Recording(plan)
    length = plan.windows * plan.seconds + before_seconds + LEEWAY
    try:
        with running(plan.program, plan.python, length) as program:
            if before_seconds:
                made.off_core_before = off_core(program.pid, before_seconds)
            _record(plan, program, made, follow=before_seconds > 0)
    except (ProgramFailed, OSError) as error:
        made.error = str(error)
    return made


def _record(plan: Plan, program: Running, made: Recording, *, follow: bool) -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "profiling_recording.py")]
    numbers = (program.pid, plan.windows, plan.seconds, plan.rate)
    began = time.monotonic()
    process = subprocess.Popen(
        [*command, *map(str, numbers)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with ExitStack() as held:
        beside = held.enter_context(ThreadPoolExecutor(2))
        stops: Stops | None = None
        if follow:
            with suppress(StopsUnknown):
                stops = held.enter_context(followed(program.pid))
        memory = beside.submit(_peak_of_memory, process)
        off = beside.submit(_off_core_while, process, program.pid)
        try:
            out, told = process.communicate(timeout=plan.windows * plan.seconds + LEEWAY)
        except subprocess.TimeoutExpired:
            process.kill()
            out, told = process.communicate()
            told += " (it took too long)"
        if stops is not None:
            with suppress(StopsUnknown):
                made.stopped = sum(stops.seconds()) / (time.monotonic() - began)
        made.rss_mb, made.off_core = memory.result(), off.result()
    lines = out.splitlines()
    made.windows = tuple(read_windows(lines))
    costs = [float(line.split()[1]) for line in lines if line.startswith("cpu ")]
    made.cores = costs[-1] / (time.monotonic() - began) if costs else 0.0
    if len(made.windows) < plan.windows:
        made.error = f"{len(made.windows)} of {plan.windows} windows: {told.strip()[-300:]}"
    if program.told:
        # What it booked last may still be on its way.
        time.sleep(0.5)
        for window in made.windows:
            with suppress(ProgramFailed):
                made.truths.append(
                    program.truth(window.started_at, window.started_at + window.seconds)
                )


def record_together(plans: Sequence[Plan]) -> list[Recording]:
    """All at once: for programs that leave each other a core."""
    with ThreadPoolExecutor(len(plans)) as pool:
        return list(pool.map(record, plans))


def off_core(pid: int, seconds: float) -> float:
    """The share of that time in which a program's only thread neither ran nor waited to run."""
    ended = threading.Event()
    timer = threading.Timer(seconds, ended.set)
    timer.start()
    return _off_core_until(pid, ended) or 0.0


def _off_core_while(process: "subprocess.Popen[str]", pid: int) -> float | None:
    ended = threading.Event()

    def wait() -> None:
        process.wait()
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    return _off_core_until(pid, ended)


def _off_core_until(pid: int, ended: threading.Event) -> float | None:
    """One minus the share that schedstat has: on a core, or waiting for one. None: many threads."""
    try:
        first, began = _schedstat(pid), time.monotonic()
        ended.wait()
        last, now = _schedstat(pid), time.monotonic()
    except (OSError, ValueError):
        return None
    return 1 - (last - first) / (now - began)


def _schedstat(pid: int) -> float:
    tasks = os.listdir(f"/proc/{pid}/task")
    if len(tasks) > 1:
        raise ValueError("more than one thread")
    on_core, waited, _ = Path(f"/proc/{pid}/schedstat").read_text().split()
    return (int(on_core) + int(waited)) / 1e9


def _peak_of_memory(process: "subprocess.Popen[str]") -> float:
    """Proportional set size of it and its children, MB, as seen twice a second."""
    peak = 0.0
    while process.poll() is None:
        total = 0.0
        for pid in (process.pid, *_children(process.pid)):
            with suppress(OSError, ValueError, IndexError):
                text = Path(f"/proc/{pid}/smaps_rollup").read_text()
                total += int(text.partition("\nPss:")[2].split()[0]) / 1e3
        peak = max(peak, total)
        time.sleep(0.5)
    return peak


def _children(pid: int) -> list[int]:
    found = []
    with suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            children = Path(f"/proc/{pid}/task/{task}/children").read_text().split()
            for child in map(int, children):
                found.extend([child, *_children(child)])
    return found


def main() -> int:
    """The sampler's process: packed lines, and then what CPU time it all took."""
    pid, windows, seconds, rate = sys.argv[1:]
    budget = Budget(rate=float(rate))
    if float(rate) > RATE:
        # Asked for by a comparison of rates: the budget would not allow it.
        budget = Budget(rate=float(rate), cores=0.5, stopped=0.1)
    for window in sample(int(pid), seconds=float(seconds), windows=int(windows), budget=budget):
        print(to_packed_line(window), flush=True)
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print("cpu", sum(one.ru_utime + one.ru_stime for one in used), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
