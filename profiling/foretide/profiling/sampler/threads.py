"""What each thread of a process does: looks at /proc, told as states and counted over a window."""

import os
from collections import Counter
from dataclasses import dataclass, field

from ..window import Peer, Thread, ThreadState
from . import procfs
from .maps import AddressBook
from .marks import Moment
from .syscalls import NAMES, RESTART, WAITS, Wait, restarted

_FUTEX_WAITS = (
    0,
    9,
    11,
    13,
)  # WAIT, WAIT_BITSET, WAIT_REQUEUE_PI, LOCK_PI2; the others do not wait
_FUTEX_COMMAND = 127  # without the flags PRIVATE and CLOCK_REALTIME

# A thread that has just entered one of these does not work any more, though it may still run.
_PURE_WAITS = (Wait.SLEEP, Wait.MANY, Wait.ACCEPT, Wait.CHILD)


@dataclass(frozen=True, slots=True)
class Look:
    """One thread at one moment. `call` is None while it ran, (-1,) where it is in no call."""

    state: ThreadState
    call: tuple[int, ...] | None
    evidence: str


# Of a thread whose process was stopped by a signal (SIGSTOP, Ctrl-Z): whatever call it was in, it
# neither works nor waits. Scheduler's letter first, as elsewhere.
HALTED = Look(ThreadState.OTHER, None, "T - do_signal_stop")


class Watched:
    """One thread in a window: its files, and what was counted so far."""

    def __init__(self, pid: int, tid: int) -> None:
        self.tid = tid
        # What `threading` calls it, once somebody has imported that: before, nothing has a name. A
        # fix that imports it would else be one after which all work is another thread's.
        self.name = "MainThread" if tid == pid else ""
        self.alive = True
        # The call that it waited in at the last look, and that look: most threads wait for long.
        self.parked: tuple[bytes, Look] = (b"", Look(ThreadState.UNKNOWN, None, "?"))
        self.files = procfs.ThreadFiles(pid, tid)
        self.states: Counter[ThreadState] = Counter()
        self.calls: Counter[str] = Counter()
        self.peers: Counter[Peer] = Counter()
        self.parts: list[float] = []
        self.first: _Counters | None = None
        self.last: _Counters | None = None

    def count(self, look: Look, peer: Peer | None = None) -> None:
        self.states[look.state] += 1
        self.calls[look.evidence] += 1
        if peer is not None:
            self.peers[peer] += 1

    def measure(self) -> None:
        """Read its counters. One that has just gone keeps those that were read last."""
        try:
            counters = _read_counters(self.files)
        except OSError:
            return
        self.first = self.first or counters
        self.last = counters

    def end_part(self, number: int) -> None:
        """A part of the window ends, the `number`-th from 0: its CPU seconds are what is new."""
        spent = self.last.cpu - self.first.cpu if self.first and self.last else 0.0
        self.parts += [0.0] * (number - len(self.parts))
        self.parts.append(round(max(0.0, spent - sum(self.parts)), 6))

    def ended(self) -> None:
        """It has gone: its files need not stay open, and no other thread has its number so soon."""
        self.alive = False
        self.files.close()

    def born_now(self) -> None:
        """It was started within the window: all that it has used belongs to it."""
        self.first = _Counters(0.0, 0.0, 0.0, 0.0, 0, 0)

    def summary(self) -> Thread:
        first = self.first or _Counters()
        last = self.last or first
        return Thread(
            tid=self.tid,
            name=self.name,
            cpu_seconds=round(last.cpu - first.cpu, 6),
            runqueue_seconds=round(last.runqueue - first.runqueue, 6),
            user_seconds=round(last.user - first.user, 6),
            system_seconds=round(last.system - first.system, 6),
            voluntary_switches=last.voluntary - first.voluntary,
            involuntary_switches=last.involuntary - first.involuntary,
            states=dict(self.states),
            calls=dict(self.calls),
            peers=dict(self.peers),
            cpu_parts=tuple(self.parts) if len(self.parts) > 1 else (),
        )


@dataclass(frozen=True, slots=True)
class _Counters:
    cpu: float = 0.0
    runqueue: float = 0.0
    user: float = 0.0
    system: float = 0.0
    voluntary: int = 0
    involuntary: int = 0


def _read_counters(files: procfs.ThreadFiles) -> _Counters:
    stat = procfs.parse_stat(files.read("stat"))
    cpu, runqueue = procfs.parse_schedstat(files.read("schedstat"))
    status = procfs.parse_fields(files.read("status", 4096))
    return _Counters(
        cpu,
        runqueue,
        stat.user_seconds,
        stat.system_seconds,
        status.get("voluntary_ctxt_switches", 0),
        status.get("nonvoluntary_ctxt_switches", 0),
    )


@dataclass
class Descriptors:
    """What a process' file descriptors are, for calls that say only their number."""

    pid: int
    _known: dict[int, str] = field(default_factory=dict)

    def kind(self, number: int) -> str:
        """ "socket", "pipe" or "file"; forgotten after each window, as numbers are used again."""
        kind = self._known.get(number)
        if kind is None:
            try:
                target = os.readlink(f"/proc/{self.pid}/fd/{number}")
            except OSError:
                target = ""
            prefix = target.partition(":")[0]
            kind = prefix if prefix in ("socket", "pipe") else "file"
            if target.startswith(("/dev/pts/", "/dev/tty")):
                kind = "pipe"
            self._known[number] = kind
        return kind

    def forget(self) -> None:
        self._known.clear()


def state_of(
    call: tuple[int, ...] | None, scheduler: str, book: AddressBook, descriptors: Descriptors
) -> ThreadState:
    """A thread's state from its call and the scheduler's letter for it ("" where not read).

    Waits for the GIL are for futexes in the interpreter's own data, locks of Python on the heap.
    """
    if call is None:
        return ThreadState.RUNNING
    wait = WAITS.get(call[0])
    match wait:
        case Wait.FUTEX:
            return ThreadState.GIL if book.is_runtime(call[1]) else ThreadState.LOCK
        case Wait.SLEEP:
            return ThreadState.SLEEP
        case Wait.MANY:
            return _many(call)
        case Wait.ACCEPT:
            return ThreadState.POLL
        case Wait.CHILD:
            return ThreadState.CHILD
        case Wait.SOCKET:
            return ThreadState.NETWORK
        case Wait.FILE:
            return ThreadState.DISK
        case Wait.FILE_LOCK:
            return ThreadState.LOCK  # whoever holds it, in this process or another
        case Wait.DESCRIPTOR:
            in_file = scheduler == "D" or descriptors.kind(call[1]) == "file"
            return ThreadState.DISK if in_file else ThreadState.NETWORK
    return ThreadState.DISK if scheduler == "D" else ThreadState.OTHER


def _many(call: tuple[int, ...]) -> ThreadState:
    """`select` of nothing is how Python slept until 3.10; a poll of one is a socket's timeout."""
    name = NAMES[call[0]]
    if name in ("select", "pselect6") and call[1] == 0:
        return ThreadState.SLEEP
    if name in ("poll", "ppoll"):
        if call[2] == 0:
            return ThreadState.SLEEP
        if call[2] == 1:
            return ThreadState.NETWORK
    return ThreadState.POLL


def look_at(watched: Watched, book: AddressBook, descriptors: Descriptors) -> Look:
    """Look once. UNKNOWN where the kernel does not tell.

    Raises:
        OSError: the thread has gone (ESRCH, ENOENT).
    """
    files = watched.files
    try:
        text = files.read("syscall", 160)
    except PermissionError:
        return Look(ThreadState.UNKNOWN, None, "?")
    if text == watched.parked[0]:
        return watched.parked[1]
    call = procfs.parse_syscall(text)
    if call is None:
        return Look(ThreadState.RUNNING, None, "R")
    if call[0] == RESTART:
        call = restarted(call, _channel(files))
    scheduler = ""
    if WAITS.get(call[0]) in (None, Wait.DESCRIPTOR, Wait.FILE, Wait.FILE_LOCK):
        stat = files.read("stat", 64)
        at = stat.rfind(b") ")
        scheduler = chr(stat[at + 2]) if at >= 0 else ""
        if scheduler == "R":  # it has woken up since
            return Look(ThreadState.RUNNING, None, "R")
    state = state_of(call, scheduler, book, descriptors)
    channel = _channel(files)
    name = NAMES.get(call[0], "-" if call[0] < 0 else str(call[0]))
    look = Look(state, call, f"{scheduler or 'S'} {name} {channel}")
    if not scheduler and channel != "0":
        watched.parked = (text, look)
    return look


def _channel(files: procfs.ThreadFiles) -> str:
    """The kernel's function that a thread waits in; "0": in none, or it is not shown."""
    try:
        return files.read("wchan", 64).decode(errors="replace")
    except OSError:
        return "?"


def moment(before: Look, at_stop: tuple[int, ...] | None) -> Moment:
    """What is known of a thread at one sample, from a look just before and its call at the stop."""
    unknown = before.state is ThreadState.UNKNOWN
    ran_before = None if unknown else before.state is ThreadState.RUNNING
    return Moment(was_active(before, at_stop), ran_before)


def was_active(before: Look, at_stop: tuple[int, ...] | None) -> bool | None:
    """Was the thread on a core, or did it want one, when its stack was read? None: not known.

    `at_stop` is its call while it stood still: outside of a call it had been working; in one that
    only waits it had not, even if it was still running when we looked before; in any other, what
    we saw before decides. Where we came too late to see it (None), a thread that slept may have
    woken up since, and the other way round: nothing is known.
    """
    if at_stop is None or before.state is ThreadState.UNKNOWN:
        return None
    if at_stop[0] < 0:
        return True
    if at_stop[0] == RESTART:
        return False  # only waits go on in it
    wait = WAITS.get(at_stop[0])
    if wait in _PURE_WAITS and not _returns_at_once(at_stop):
        return False
    if wait is Wait.FUTEX and (at_stop[2] & _FUTEX_COMMAND) in _FUTEX_WAITS:
        return False
    return before.state is ThreadState.RUNNING


def _returns_at_once(call: tuple[int, ...]) -> bool:
    """A poll with a timeout of 0 does not wait: an event loop with work to do calls so."""
    name = NAMES[call[0]]
    if name in ("poll",):
        return call[3] == 0
    return name in ("epoll_wait", "epoll_pwait") and call[4] == 0
