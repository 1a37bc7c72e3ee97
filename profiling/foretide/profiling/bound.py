"""What a workload is bound by, with the evidence for it, or why that cannot be said.

What is checked first is what the kernel itself reports as a limit that was hit: the CPU quota, then
memory. Then it is the saturated resource that decides, and not the longest wait: threads that wait
for the network beside others that fight for the GIL are not why no more gets done. Where nothing
is saturated, it is what held up most of the time in which threads had something to do.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import sqrt

from .demand import Demand, demand
from .window import Window


class Kind(StrEnum):
    """Named as in the Profiler's status."""

    CPU = "CPU"
    GIL = "GIL"
    LOCK = "Lock"
    DISK_IO = "DiskIO"
    NETWORK_IO = "NetworkIO"
    MEMORY_PRESSURE = "MemoryPressure"
    THROTTLING = "Throttling"
    IDLE = "Idle"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class Bound:
    """`evidence`: sentences with figures, the most telling first; of `Unknown`, first the reason.

    `confidence` (0 to 1) is the lower end of a 95 % interval of the share of time that decided,
    with what few looks leave open; it is no probability.
    """

    kind: Kind
    evidence: tuple[str, ...]
    confidence: float


@dataclass(frozen=True, slots=True)
class Limits:
    """From where on something decides. Shares of time, unless told otherwise."""

    sweeps: int = 10
    throttled_periods: float = 0.1
    throttled_time: float = 0.05
    memory_stall: float = 0.1
    faults_per_second: float = 20.0
    memory_near: float = 0.85
    read_again: float = 0.5  # of what is read from the disk
    gil_waits: float = 0.15  # of the time in which threads wanted the GIL
    gil_threads: float = 0.2  # threads that wait for it, on average
    saturated: float = 0.75
    busy: float = 0.25  # threads that have something to do, on average; less is idle
    most: float = 0.5
    plurality: float = 0.4
    ahead: float = 1.5  # times the next


LIMITS = Limits()
_TOLD = 0.05  # of the time: what is less need not be told
_PAGE = 4096  # bytes, of the page cache; that of arm64 may be larger, which counts too few
# Looks at one process follow one another: less is learnt from them than from as many independent
# ones. Kish's design effect, as measured on samples of little programs (1.7 to 2.6).
_DESIGN_EFFECT = 2.2


def bound(windows: Sequence[Window], limits: Limits = LIMITS) -> Bound:
    """The verdict on windows of one workload: of one process, or of several pods alike."""
    spent = demand(windows)
    if spent.sweeps < limits.sweeps:
        return Bound(
            Kind.UNKNOWN,
            (f"only {spent.sweeps} looks at the process, {limits.sweeps} are needed",),
            0.0,
        )
    halted = spent.halted / spent.seconds
    told = f"it was stopped by a signal (such as SIGSTOP) {halted:.0%} of the time"
    if halted >= limits.most:
        return Bound(Kind.UNKNOWN, (told, _cores(spent)), 0.0)
    found = _verdict(windows, spent, limits)
    if halted >= _TOLD:
        return replace(found, evidence=(*found.evidence, told))
    return found


def _verdict(windows: Sequence[Window], spent: Demand, limits: Limits) -> Bound:
    for look in (_throttled, _memory, _gil, _cpu, _idle):
        found = look(windows, spent, limits)
        if found is not None:
            return found
    found = _most(spent, limits)
    again = _read_again(windows)
    if found.kind is Kind.DISK_IO and again >= limits.read_again:
        told = f"{again:.0%} of what was read had been in memory before, and had to give way"
        hits = sum(window.container.memory_events or 0 for window in windows)
        evidence = (told, f"the memory limit was hit {hits:,} times", *found.evidence)
        return Bound(Kind.MEMORY_PRESSURE, evidence, found.confidence)
    return found


def _throttled(windows: Sequence[Window], spent: Demand, limits: Limits) -> Bound | None:
    periods = sum(window.container.periods or 0 for window in windows)
    throttled = sum(window.container.throttled_periods or 0 for window in windows)
    stood = sum(window.container.throttled_seconds or 0.0 for window in windows) / spent.seconds
    if not periods or throttled / periods < limits.throttled_periods:
        return None
    if stood < limits.throttled_time:
        return None
    limit = next((one.container.cpu_limit for one in windows if one.container.cpu_limit), None)
    quota = f"the CPU limit of {limit:g} cores" if limit else "its CPU quota"
    evidence = (
        f"the kernel stopped it in {throttled} of {periods} periods "
        f"({throttled / periods:.0%}), for {quota}",
        f"its threads stood still for {stood:.2f} s of each second, all together",
        _cores(spent),
    )
    return Bound(Kind.THROTTLING, evidence, _lower(throttled / periods, periods))


def _memory(windows: Sequence[Window], spent: Demand, limits: Limits) -> Bound | None:
    """PSI where there is any (cgroup v2); limits that were hit, and pages read again, elsewhere."""
    stalls = [one.container.pressure.memory_some for one in windows]
    stalled = sum(stall for stall in stalls if stall is not None) / spent.seconds
    faults = sum(window.process.major_faults for window in windows) / spent.seconds
    hits = sum(window.container.memory_events or 0 for window in windows)
    near = max((_fullness(window) for window in windows), default=0.0)
    swapped = max(window.process.swap for window in windows)
    told = [
        f"its threads stalled for memory {stalled:.0%} of the time (PSI)" if stalled else "",
        f"{faults:,.0f} major page faults a second: pages had to be read again",
        f"the memory limit was hit {hits:,} times" if hits else "",
        f"the working set takes {near:.0%} of the limit" if near else "",
        f"{swapped / 1e6:,.0f} MB are swapped out" if swapped else "",
    ]
    evidence = tuple(sentence for sentence in told if sentence)
    if stalled >= limits.memory_stall:
        return Bound(Kind.MEMORY_PRESSURE, evidence, _lower(min(stalled, 1.0), spent.sweeps))
    # A program that writes much fills its limit with pages that cost nothing to give up: only who
    # must read pages again is short of memory.
    pressed = hits > 0 or near >= limits.memory_near or swapped > 0
    if faults >= limits.faults_per_second and pressed:
        share = min(1.0, (spent.disk + spent.other) / max(spent.in_flight + spent.other, 1e-9))
        sure = _lower(max(share, limits.most), spent.sweeps)
        return Bound(Kind.MEMORY_PRESSURE, evidence, sure)
    return None


def _read_again(windows: Sequence[Window]) -> float:
    """How much of what was read from the disk a limit of memory had pushed out (0 to 1): pages that
    the kernel counts as refaults. Read with calls they are no page faults, and a wait for the disk
    is all that is to be seen of them.
    """
    short = [window for window in windows if window.container.memory_events]
    read = sum(window.process.read_bytes or 0 for window in short)
    again = sum(window.container.refaults or 0 for window in short) * _PAGE
    return min(1.0, again / read) if read else 0.0


def _fullness(window: Window) -> float:
    limit, working = window.container.memory_limit, window.container.memory_working
    return working / limit if limit and working is not None else 0.0


def _gil(windows: Sequence[Window], spent: Demand, limits: Limits) -> Bound | None:
    wanted = spent.gil + spent.cpu
    waiting = spent.gil / spent.seconds
    if waiting < limits.gil_threads or spent.gil < limits.gil_waits * wanted:
        return None
    worked = spent.cpu / spent.seconds
    held_up = max(spent.lock, spent.disk, spent.network)
    # Where it is in use nearly always nothing else can be had of more threads.
    if spent.gil <= held_up and (worked < limits.saturated or spent.gil <= spent.lock):
        return None
    evidence = (
        f"{waiting:.1f} threads waited for the GIL on average, while {worked:.2f} worked",
        f"of the time in which threads wanted the GIL, they waited for it {spent.gil / wanted:.0%}",
        _cores(spent),
    )
    return Bound(Kind.GIL, evidence, _lower(spent.gil / wanted, spent.sweeps))


def _cpu(windows: Sequence[Window], spent: Demand, limits: Limits) -> Bound | None:
    if spent.busiest < limits.saturated:
        return None
    evidence = (
        f"its busiest thread worked {min(spent.busiest, 1.0):.0%} of the time that it was let",
        _cores(spent),
    )
    return Bound(Kind.CPU, evidence, _lower(min(spent.busiest, 1.0), spent.sweeps))


def _idle(windows: Sequence[Window], spent: Demand, limits: Limits) -> Bound | None:
    """Little to do, and nothing that may be hidden behind a wait among many sockets."""
    flying = spent.in_flight / spent.seconds
    if flying >= limits.busy:
        return None
    waited = [
        f"{spent.parked / spent.seconds:.1f} threads waited for something to do, or for others",
        f"{spent.sleep / spent.seconds:.1f} slept" if spent.sleep else "",
    ]
    evidence = (
        f"threads had something to do {flying:.0%} of the time, all together",
        ", ".join(one for one in waited if one),
        _cores(spent),
    )
    unclear = spent.unclear / spent.seconds
    if unclear >= limits.busy:
        reason = (
            f"{unclear:.1f} threads wait among many sockets, and wake up: whether for requests, or "
            "for answers of an upstream, cannot be seen from outside"
        )
        return Bound(Kind.UNKNOWN, (reason, *evidence), 0.0)
    return Bound(Kind.IDLE, evidence, _lower(1 - flying, spent.sweeps))


_NAMES: tuple[tuple[Kind, str, Callable[[Demand], float]], ...] = (
    (Kind.CPU, "worked", lambda spent: spent.cpu),
    (Kind.GIL, "waited for the GIL", lambda spent: spent.gil),
    (Kind.LOCK, "waited for locks", lambda spent: spent.lock),
    (Kind.DISK_IO, "waited for the disk, or were in its system calls", lambda spent: spent.disk),
    (Kind.NETWORK_IO, "waited for answers from the network", lambda spent: spent.network),
)


def _most(spent: Demand, limits: Limits) -> Bound:
    """What held up most of the time in which threads had something to do."""
    shares = sorted(
        ((amount(spent) / spent.in_flight, kind, name) for kind, name, amount in _NAMES),
        reverse=True,
    )
    (first, kind, _), (second, other, _) = shares[:2]
    # Where cores are short, threads that only look whether a lock is free wait for one, too, and
    # that cannot be told from work: of two that are close the wait is what is certain.
    if kind is Kind.CPU and spent.runqueue > spent.used and second >= limits.plurality:
        first, kind, second = second, other, 0.0
    told = [(share, _not_answers(spent, kind) or name) for share, kind, name in shares]
    evidence = (
        *(f"threads {name} {share:.0%} of the time" for share, name in told if share >= 0.05),
        f"{spent.in_flight / spent.seconds:.1f} threads had something to do, on average",
        _cores(spent),
    )
    clear = first >= limits.most or (first >= limits.plurality and first >= limits.ahead * second)
    if not clear:
        return Bound(Kind.UNKNOWN, ("no limit stands out", *evidence), 0.0)
    return Bound(kind, evidence, _lower(first, spent.sweeps))


def _not_answers(spent: Demand, kind: Kind) -> str:
    """What to call waits for the network that for the most part are not for answers from it."""
    if kind is Kind.NETWORK_IO and spent.pipes > spent.network / 2:
        return "waited at pipes, or at sockets between its own threads,"
    if kind is Kind.NETWORK_IO and spent.clients > spent.network / 2:
        return "waited for clients to read what they were sent"
    return ""


def _cores(spent: Demand) -> str:
    waited = spent.runqueue / spent.seconds
    also = f"; {waited:.1f} threads waited for one, on average" if waited >= 0.05 else ""
    return f"it used {spent.used / spent.seconds:.2f} cores{also}"


def _lower(share: float, looks: int) -> float:
    """The lower end of Wilson's interval (JASA 22, 1927), 95 %, with fewer looks than were made."""
    n = max(looks / _DESIGN_EFFECT, 1.0)
    z = 1.96
    centre = share + z * z / (2 * n)
    half = z * sqrt(max(share * (1 - share), 0.0) / n + z * z / (4 * n * n))
    return max(0.0, min(1.0, (centre - half) / (1 + z * z / n)))
