"""Where the time of a workload's threads went: worked, held up by what, or waited for orders.

States come from sweeps of /proc, which see a thread's kernel call; time on a core, and waiting for
one, from the scheduler. Waits that are for something to do (`waits.py`, and whom a socket is
connected with) are told apart from those that hold work up.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

from .leaves import Leaf, leaves_of
from .waits import Purpose, purposes
from .window import Peer, Samples, Thread, ThreadState, Window

# Wake-ups a second from which a wait among many sockets, or at one's own, is in use.
_AWAKE = 0.5
# Cores that a wait among many sockets uses beside it where something goes on there.
_USED = 0.01
# Of a thread's time at least so much counts as had without waiting for a core.
_LEAST_LEFT = 0.05
# A thread is in files' system calls if it was seen waiting for them in this share of sweeps, ...
_FILES_WAIT = 0.05
# ... or was at such lines in this share of samples, while this much reached the device (bytes/s).
_FILES_SEEN, _DEVICE = 0.3, 1e6
# Calls in which one waits until a client has read what it was sent before.
_SENDS = frozenset({"sendto", "sendmsg", "sendmmsg", "sendfile", "write", "writev"})


@dataclass(frozen=True, slots=True)
class Demand:
    """Seconds of all threads together, by what they were spent on, over `seconds` of windows.

    As on a machine of their own: where others had the cores, a thread's time is what it would be
    had it not waited for one (`runqueue`, as measured), in the proportions of the rest. For a core
    that is taken also wait threads that only want to see whether the GIL or a lock is free.
    `used` is CPU time as measured, `cpu` leaves out what the kernel did for files, which is in
    `disk`. `pipes` is the part of `network` that was at pipes, or at sockets between own threads,
    `clients` the part for clients that read more slowly than they are sent.
    `parked`: waits for something to do, and for what children or other threads do; `unclear`: waits
    among many sockets that cannot be told from those. `busiest`: the largest share of a window that
    one thread worked. `halted`: seconds in which the process was stopped by a signal (SIGSTOP).
    """

    seconds: float = 0.0
    used: float = 0.0
    runqueue: float = 0.0
    cpu: float = 0.0
    gil: float = 0.0
    lock: float = 0.0
    disk: float = 0.0
    network: float = 0.0
    pipes: float = 0.0
    clients: float = 0.0
    sleep: float = 0.0
    parked: float = 0.0
    unclear: float = 0.0
    other: float = 0.0
    busiest: float = 0.0
    halted: float = 0.0
    sweeps: int = 0
    threads: int = 0

    @property
    def in_flight(self) -> float:
        """Seconds in which threads worked, or were held up."""
        return self.cpu + self.gil + self.lock + self.disk + self.network


def demand(windows: Sequence[Window]) -> Demand:
    """Of all windows together. A thread of two windows counts once in `threads`."""
    parts = [_of_window(window) for window in windows]
    total = {
        one.name: sum(getattr(part, one.name) for part in parts)
        for one in fields(Demand)
        if one.name not in ("busiest", "threads")
    }
    threads = {(window.pid, thread.tid) for window in windows for thread in window.threads}
    busiest = sum(part.busiest * part.seconds for part in parts) / (total["seconds"] or 1.0)
    return Demand(**total, busiest=busiest, threads=len(threads))


def _of_window(window: Window) -> Demand:
    stacks = _Stacks(purposes(window), leaves_of(window), window.samples)
    mine: dict[int, list[Samples]] = {}
    for one in window.samples:
        mine.setdefault(one.thread, []).append(one)
    parts = [
        _of_thread(window, thread, mine.get(index, []), stacks)
        for index, thread in enumerate(window.threads)
    ]
    sums = {
        one.name: sum(getattr(part, one.name) for part in parts)
        for one in fields(Demand)
        if one.name not in ("seconds", "busiest", "halted", "sweeps", "threads")
    }
    return Demand(
        **sums,
        seconds=window.seconds,
        busiest=max((part.busiest for part in parts), default=0.0),
        halted=max(map(_halted, window.threads), default=0.0) * window.seconds,
        sweeps=window.sweeps,
    )


def _halted(thread: Thread) -> float:
    """The share of looks at a thread that found its process stopped by a signal."""
    looks = sum(thread.calls.values())
    stopped = sum(count for look, count in thread.calls.items() if look.startswith("T "))
    return stopped / looks if looks else 0.0


def _of_thread(
    window: Window,
    thread: Thread,
    samples: Sequence[Samples],
    stacks: "_Stacks",
) -> Demand:
    used, waited = thread.cpu_seconds, thread.runqueue_seconds
    # A thread may have come or gone within the window: sweeps tell how long it was there.
    each = window.seconds / max(window.sweeps, 1)
    there = max(sum(thread.states.values()) * each, used + waited)
    alone = there / max(there - waited, there * _LEAST_LEFT) if there else 1.0
    busiest = used * alone / window.seconds if window.seconds else 0.0
    if not samples:
        # A native thread: what it waits for is its own affair.
        return Demand(used=used, runqueue=waited, cpu=used * alone, busiest=busiest)
    spent = {state: count * each * alone for state, count in thread.states.items()}
    lock = spent.get(ThreadState.LOCK, 0.0)
    held_up = lock * stacks.held_up(samples, Leaf.LOCKS)
    at_sockets = _sockets(window, thread, samples, spent, stacks)
    in_files = _in_files(window, thread, samples, spent, stacks.leaves)
    return Demand(
        used=used,
        runqueue=waited,
        cpu=used * alone * (1 - in_files),
        gil=spent.get(ThreadState.GIL, 0.0),
        lock=held_up,
        disk=spent.get(ThreadState.DISK, 0.0) + used * alone * in_files,
        network=at_sockets.held_up,
        pipes=at_sockets.pipes,
        clients=at_sockets.clients,
        sleep=spent.get(ThreadState.SLEEP, 0.0),
        parked=lock - held_up + at_sockets.idle + spent.get(ThreadState.CHILD, 0.0),
        unclear=at_sockets.unclear,
        other=spent.get(ThreadState.OTHER, 0.0),
        busiest=busiest * (1 - in_files),
    )


@dataclass(frozen=True, slots=True)
class _AtSockets:
    """Seconds at sockets and pipes: `waited` in all; the rest of them was for something to do."""

    waited: float
    held_up: float
    pipes: float = 0.0  # of those, as `clients`
    clients: float = 0.0
    unclear: float = 0.0

    @property
    def idle(self) -> float:
        return self.waited - self.held_up - self.unclear


def _sockets(
    window: Window,
    thread: Thread,
    samples: Sequence[Samples],
    spent: dict[ThreadState, float],
    stacks: "_Stacks",
) -> _AtSockets:
    one_socket = spent.get(ThreadState.NETWORK, 0.0)
    many = spent.get(ThreadState.POLL, 0.0)
    both = one_socket + many
    answers = stacks.held_up(samples, Leaf.NETWORK)
    awake = thread.voluntary_switches / window.seconds >= _AWAKE if window.seconds else False
    # What wakes up and works is in use, if it cannot be seen by whom.
    used = awake and thread.cpu_seconds > _USED * window.seconds
    asked = sum(thread.peers.values())
    if not asked:
        # A socket with a time limit is polled first: then the line is not one that polls.
        at_socket = _share(samples, (leaf is Leaf.NETWORK for leaf in stacks.leaves)) > 0.5
        held_up = (both if at_socket else one_socket) * answers
        accepts = _share(samples, (one is Purpose.PARKED for one in stacks.purposes)) > 0.5
        unclear = many if used and not at_socket and not accepts else 0.0
        return _AtSockets(both, held_up, unclear=unclear)
    by_peer = {peer: both * count / asked for peer, count in thread.peers.items()}
    upstream, unknown = by_peer.get(Peer.UPSTREAM, 0.0), by_peer.get(Peer.UNKNOWN, 0.0)
    if one_socket <= many:
        # Connections that are kept and not used wake nobody.
        held_up = upstream if awake else 0.0
        unclear = unknown if used else 0.0
        return _AtSockets(both, held_up, unclear=unclear)
    local = by_peer.get(Peer.LOCAL, 0.0) * answers if awake else 0.0
    sends = sum(count for look, count in thread.calls.items() if _SENDS & {*look.split()})
    client = by_peer.get(Peer.CLIENT, 0.0) * min(1.0, sends / asked)
    held_up = upstream + unknown * answers + local + client
    return _AtSockets(both, held_up, pipes=local, clients=client)


class _Stacks:
    """What a window's stacks say of waits: in how many of a kind threads were held up."""

    def __init__(
        self, purposes: Sequence[Purpose], leaves: Sequence[Leaf], samples: Sequence[Samples]
    ) -> None:
        self.purposes = purposes
        self.leaves = leaves
        self._usual = {kind: self._seen(samples, kind) for kind in (Leaf.LOCKS, Leaf.NETWORK)}

    def held_up(self, samples: Sequence[Samples], kind: Leaf) -> float:
        """Of a thread's waits of this kind, the share that is not for something to do.

        Where samples are rare a thread may have been seen in few of its waits, or in none: what
        all threads showed counts as one sample more.
        """
        held, parked = self._seen(samples, kind)
        all_held, all_parked = self._usual[kind]
        usual = all_held / (all_held + all_parked) if all_held + all_parked else 1.0
        if not held + parked:
            # Lines whose text is not to be had may wait in C: they are the application's own.
            unknown = sum(one.count for one in samples if self.leaves[one.stack] is Leaf.UNKNOWN)
            held = unknown if kind is Leaf.LOCKS else 0
        return (held + usual) / (held + parked + 1)

    def _seen(self, samples: Sequence[Samples], kind: Leaf) -> tuple[int, int]:
        held = parked = 0
        # At a pipe, or in waitpid: a child is waited for in either.
        kinds = (kind, Leaf.CHILD) if kind is Leaf.NETWORK else (kind,)
        for one in samples:
            if self.leaves[one.stack] in kinds:
                if self.purposes[one.stack] is Purpose.PARKED:
                    parked += one.count
                else:
                    held += one.count
        return held, parked


def _in_files(
    window: Window,
    thread: Thread,
    samples: Sequence[Samples],
    spent: dict[ThreadState, float],
    leaves: Sequence[Leaf],
) -> float:
    """The share of the thread's CPU time that the kernel used to read, write and sync files."""
    ticks = thread.user_seconds + thread.system_seconds
    if ticks <= 0 or not window.seconds:
        return 0.0
    waited = spent.get(ThreadState.DISK, 0.0) / window.seconds
    moved = (window.process.read_bytes or 0) + (window.process.write_bytes or 0)
    at_files = _share(samples, (leaf in (Leaf.FILE, Leaf.INPUT) for leaf in leaves))
    seen = at_files > _FILES_SEEN and moved / window.seconds > _DEVICE
    return thread.system_seconds / ticks if waited > _FILES_WAIT or seen else 0.0


def _share(samples: Sequence[Samples], wanted: Iterable[bool]) -> float:
    """Of the thread's samples, how many have one of the wanted stacks."""
    chosen = list(wanted)
    total = sum(one.count for one in samples)
    return sum(one.count for one in samples if chosen[one.stack]) / total if total else 0.0
