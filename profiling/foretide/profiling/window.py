"""What the sampler measures in one window (10 s by default), and all else is computed from.

A window is of one process. It crosses from the pod to the operator as text (`sampler/wire.py`) and
is kept as it is; so it holds what was measured, and no judgement. Standard library only: this
module runs inside users' pods.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

# No number of a window or profile is larger: what is would overflow where it is added up.
LARGEST = 2.0**63
# A part is about a second, and a window no longer than a day.
_MOST_PARTS = 86_400


class ThreadState(StrEnum):
    """What a thread was doing at one look, told from /proc: its state, wchan and system call.

    GIL and LOCK are both waits for a futex: the GIL's lies in the interpreter's image and has a
    timeout, a lock's lies on the heap.
    """

    RUNNING = "running"  # on a core, or runnable: schedstat says how much was which
    GIL = "gil"
    LOCK = "lock"
    DISK = "disk"  # uninterruptible, or in a call that reads, writes or syncs a file
    NETWORK = "network"  # in a call that waits for a socket or pipe that it has chosen
    POLL = "poll"  # waits for any of many descriptors, or for a connection to accept
    SLEEP = "sleep"
    CHILD = "child"  # waits for another process
    OTHER = "other"
    UNKNOWN = "unknown"  # not told: the look failed


class Peer(StrEnum):
    """Whom a thread waits for that waits for sockets, told from the sockets of its process.

    Where it waits for several, the first of these that there is. A wait for UPSTREAM is for an
    answer; one for a CLIENT or LISTENER is for something to do.
    """

    UPSTREAM = "upstream"  # a connection that the process has made
    CLIENT = "client"  # a connection that it has accepted
    LISTENER = "listener"  # one yet to be made to it
    LOCAL = "local"  # pipes, socket pairs, timers and events
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Frame:
    """One line of a function. `file` is the full path as the process knows it; line 0: unknown."""

    function: str
    file: str
    line: int

    @property
    def own_name(self) -> str:
        """Without what the function stands in, which is told from Python 3.11 on alone."""
        return self.function.rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class Samples:
    """How often a thread was seen with a stack. Indices into the window's `threads` and `stacks`.

    `active`: in how many of them the thread was on a core, or wanted one, at the very moment when
    its stack was read; None where that is not known.
    `part`: in which of the window's `parts` of equal length that was. A thread and stack seen in
    several parts has an entry for each; who wants no times adds them up.
    """

    thread: int
    stack: int
    count: int
    active: int | None = None
    part: int = 0


@dataclass(frozen=True, slots=True)
class Thread:
    """One thread in the window. Times in seconds; `states` counts the sweeps that saw each state.

    `name` is Python's, empty where it is unknown. `user_seconds` and `system_seconds` have the
    resolution of a clock tick (10 ms), `cpu_seconds` (on a core) and `runqueue_seconds` (waiting
    for a core) that of schedstat. `calls` counts the sweeps by "state syscall wchan" as evidence.
    `peers` counts the sweeps that saw it in NETWORK or POLL by whom it waited for. `cpu_parts` are
    the CPU seconds of each of the window's parts, empty where it has but one. A thread that ended
    before it could be measured has its part of what only the process' own count holds, told by its
    samples.
    """

    tid: int
    name: str
    cpu_seconds: float
    runqueue_seconds: float
    user_seconds: float
    system_seconds: float
    voluntary_switches: int
    involuntary_switches: int
    states: Mapping[ThreadState, int]
    calls: Mapping[str, int] = field(default_factory=dict)
    peers: Mapping[Peer, int] = field(default_factory=dict)
    cpu_parts: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Pressure:
    """PSI of the cgroup (v2): seconds stalled in the window. None where it is not to be had."""

    cpu_some: float | None = None
    memory_some: float | None = None
    memory_full: float | None = None
    io_some: float | None = None
    io_full: float | None = None


@dataclass(frozen=True, slots=True)
class Container:
    """The target's cgroup. Changes over the window, but for limits and levels; None: not to be had.

    Memory in bytes; `cpu_limit` in cores; `version` 1 or 2 (0: no cgroup to be read).
    `memory_events` counts how often the limit was hit (v1: failcnt; v2: events `max`),
    `oom_kills` the processes killed for it. `memory_working` is usage less inactive file cache.
    """

    version: int = 0
    cpu_limit: float | None = None
    cpu_seconds: float | None = None
    periods: int | None = None
    throttled_periods: int | None = None
    throttled_seconds: float | None = None
    memory_limit: int | None = None
    memory_usage: int | None = None
    memory_working: int | None = None
    memory_events: int | None = None
    oom_kills: int | None = None
    major_faults: int | None = None
    refaults: int | None = None
    reclaimed_pages: int | None = None
    pressure: Pressure = Pressure()


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """The target's process over the window. Bytes; None: not to be had.

    `cores` is how many CPUs it may run on, `machine_busy` the share of all CPUs' time that anybody
    used.
    """

    cpu_seconds: float
    user_seconds: float
    system_seconds: float
    minor_faults: int
    major_faults: int
    rss: int
    swap: int
    read_bytes: int | None = None
    write_bytes: int | None = None
    read_chars: int | None = None
    write_chars: int | None = None
    cores: int = 1
    machine_busy: float | None = None


@dataclass(frozen=True, slots=True)
class Overhead:
    """What the sampler cost in the window. `stopped_seconds`: how long the target stood still.

    `stopped_share` is of its threads that were at work; None where no thread worked enough to tell.
    `sampler_cpu_seconds` counts the sampler, py-spy and their children; `sampler_rss` in bytes.
    """

    stopped_share: float | None
    sampler_cpu_seconds: float
    sampler_rss: int
    late_samples: int = 0
    failed_samples: int = 0


@dataclass(frozen=True, slots=True)
class Window:
    """One window of one process. `started_at` in Unix seconds, `seconds` as really measured.

    `rate` is what was asked of py-spy (Hz), `sample_count` how often it looked, `sweeps` how often
    /proc was. A stack is indices into `frames`, the root first. `labels` says whose it is: pod,
    container, workload, image (with digest), node, version, as far as known. `source` is the text
    of source lines by the index of their frame: of the leaves, where the file could be read
    (through /proc/PID/root). It tells a line that sleeps from one that works (`leaves.py`).
    `parts`: into how many parts of equal length, about a second each, its samples and CPU seconds
    are told apart: a comparison needs more units than a profile of half a minute has windows.
    `variables` are local variables by the index of their frame and their name, as `repr` writes
    them, at one moment at the end of the window: empty unless they were asked for.
    """

    started_at: float
    seconds: float
    rate: float
    pid: int
    python_version: str
    command: str
    sample_count: int
    sweeps: int
    frames: tuple[Frame, ...]
    stacks: tuple[tuple[int, ...], ...]
    threads: tuple[Thread, ...]
    samples: tuple[Samples, ...]
    process: ProcessFacts
    container: Container
    overhead: Overhead
    labels: Mapping[str, str] = field(default_factory=dict)
    source: Mapping[int, str] = field(default_factory=dict)
    parts: int = 1
    variables: Mapping[int, Mapping[str, str]] = field(default_factory=dict)


def is_whole(window: Window) -> bool:
    """Whether a window that was read points to nothing that it lacks, and lasted for some time."""
    frames, threads, stacks = len(window.frames), len(window.threads), len(window.stacks)
    return (
        window.seconds > 0
        and 1 <= window.parts <= _MOST_PARTS
        and all(0 <= index < frames for stack in window.stacks for index in stack)
        and all(0 <= index < frames for index in window.source)
        and all(0 <= one.thread < threads and 0 <= one.stack < stacks for one in window.samples)
    )
