"""A process that is sampled: who it is, its threads, and its counters over a window."""

import contextlib
import os
import struct
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from ..window import Container, Peer, ProcessFacts, ThreadState
from . import cgroup, procfs
from .maps import AddressBook
from .sockets import Sockets
from .sources import Sources
from .syscalls import NAMES
from .threads import HALTED, Descriptors, Look, Watched, look_at

_LIST_SECONDS = 1.0
_PEER_SECONDS = 0.25
_MOST_PEERS = 1024
_PTHREAD_BYTES = 2048  # the kernel's thread number stands within struct pthread


@dataclass(frozen=True, slots=True)
class Counters:
    """Everything of the process that counts, at one moment."""

    at: float
    stat: procfs.Stat
    status: dict[str, int]
    io: dict[str, int]
    container: Container
    machine: tuple[float, float] | None


class TargetGone(Exception):
    """The process has ended, or is no longer the one that it was."""


class Target:
    """One process over one window after another. `watched` holds its threads by their number."""

    def __init__(self, pid: int) -> None:
        """Raises FileNotFoundError or ProcessLookupError where there is no such process."""
        self.pid = pid
        self.started = procfs.start_ticks(pid)
        self._folder = f"/proc/{pid}/task"
        self.places = cgroup.find(pid)
        self.watched: dict[int, Watched] = {}
        self._read_program()
        self._links, self._listed_at = 0, 0.0
        self.sweeps = self.parts = 0
        self._before: Counters | None = None
        self._stat: procfs.Stat

    def _read_program(self) -> None:
        """What is known of the program, not the process: exec puts another in its place."""
        self._image = procfs.image(self.pid)
        self.command = procfs.command(self.pid)
        self.book = AddressBook(self.pid)
        self.descriptors = Descriptors(self.pid)
        self.sockets = Sockets(self.pid)
        self.sources = Sources(self.pid)
        self._peers: dict[tuple[int, ...], tuple[float, Peer]] = {}
        self._pthreads: dict[int, int] = {}
        self._number_at: int | None = None  # in struct pthread

    def lives(self) -> bool:
        """Is it there, and still the same process?"""
        try:
            text = procfs.read(f"/proc/{self.pid}/stat")
        except OSError:
            return False
        fields = text[text.rindex(b")") + 2 :].split()
        return int(fields[19]) == self.started and fields[0] not in (b"Z", b"X")

    def is_halted(self) -> bool:
        """Has a signal stopped it (SIGSTOP, Ctrl-Z)? py-spy reads no stack of it then."""
        text = procfs.read_or_none(f"/proc/{self.pid}/stat")
        return text is not None and procfs.parse_stat(text).state == "T"

    def begin(self) -> None:
        """A window starts: count from here. Raises TargetGone."""
        self.close()
        self.sweeps = self.parts = 0
        self.descriptors.forget()
        try:
            if procfs.image(self.pid) != self._image:
                self._read_program()
            self.watched = {tid: Watched(self.pid, tid) for tid in procfs.thread_ids(self.pid)}
            for watched in self.watched.values():
                watched.measure()
            self._before = self._count()
            self._stat = self._before.stat
        except (FileNotFoundError, ProcessLookupError) as error:
            raise TargetGone(f"process {self.pid} has ended") from error

    def refresh(self) -> None:
        """Find threads that have come or gone. Raises FileNotFoundError: the process has gone.

        The folder of threads has as many links as there are threads, and two: that is cheaper to
        ask for. Where one has come for another, it is seen a little later.
        """
        links = os.stat(self._folder).st_nlink
        at = time.monotonic()
        if links == self._links and at < self._listed_at + _LIST_SECONDS:
            return
        self._links, self._listed_at = links, at
        now = set(procfs.thread_ids(self.pid))
        for tid, watched in self.watched.items():
            if watched.alive and tid not in now:
                watched.ended()
        for tid in sorted(now - self.watched.keys()):
            self.watched[tid] = Watched(self.pid, tid)
            self.watched[tid].born_now()

    def look(self) -> dict[int, Look]:
        """Look at every thread once, and count what is seen. Raises TargetGone."""
        try:
            self.refresh()
        except FileNotFoundError as error:
            raise TargetGone(f"process {self.pid} has ended") from error
        looks = {}
        for tid, watched in self.watched.items():
            if not watched.alive:
                continue
            try:
                looks[tid] = look_at(watched, self.book, self.descriptors)
            except OSError:
                watched.ended()
        # Nobody runs in a process that a signal has stopped: while one does, nothing needs asking.
        at_rest = not any(look.state is ThreadState.RUNNING for look in looks.values())
        if at_rest and self.letter() == "T":
            looks = dict.fromkeys(looks, HALTED)
        for tid, look in looks.items():
            self.watched[tid].count(look, self.peer_of(look))
        self.sweeps += 1
        return looks

    def letter(self) -> str:
        """Its first thread's state: "t" traced, "T" stopped by a signal; "": it has gone."""
        try:
            text = self.watched[self.pid].files.read("stat", 64)
        except (OSError, KeyError):
            return ""
        return chr(text[text.rfind(b")") + 2])

    def end_part(self) -> None:
        """A part of the window ends: read all counters, so that a thread that ends loses little."""
        for watched in self.watched.values():
            if watched.alive:
                watched.measure()
            watched.end_part(self.parts)
        with contextlib.suppress(OSError):
            self._stat = procfs.parse_stat(procfs.read(f"/proc/{self.pid}/stat"))
        self.parts += 1

    def peer_of(self, look: Look) -> Peer | None:
        """Whom a thread waits for, where it waits for sockets. Told anew four times a second."""
        if look.state not in (ThreadState.NETWORK, ThreadState.POLL) or look.call is None:
            return None
        now = time.monotonic()
        told = self._peers.get(look.call)
        if told is None or now - told[0] > _PEER_SECONDS:
            name = NAMES.get(look.call[0], "")
            if len(self._peers) > _MOST_PEERS:
                self._peers.clear()
            self._peers[look.call] = told = (now, self.sockets.waits_for(name, look.call[1:]))
        return told[1]

    def end(self, parts: int) -> tuple[ProcessFacts, Container, float]:
        """The window ends: what was counted in so many parts of it, and its length in seconds."""
        before = self._before
        assert before is not None, "begin first"
        with contextlib.suppress(OSError):
            self.refresh()
        while self.parts < parts:
            self.end_part()
        try:
            after = self._count()
        except OSError:  # its own counters have gone with it
            after = replace(
                before, container=cgroup.read(self.places), machine=procfs.machine_cpu()
            )
        # As the threads were counted: a window that was cut short ends with its last whole part.
        after = replace(after, stat=self._stat)
        threads = [watched.summary() for watched in self.watched.values()]
        user = after.stat.user_seconds - before.stat.user_seconds
        system = after.stat.system_seconds - before.stat.system_seconds
        facts = ProcessFacts(
            cpu_seconds=_cpu(sum(thread.cpu_seconds for thread in threads), user + system),
            user_seconds=round(user, 3),
            system_seconds=round(system, 3),
            minor_faults=after.stat.minor_faults - before.stat.minor_faults,
            major_faults=after.stat.major_faults - before.stat.major_faults,
            rss=after.stat.rss,
            swap=after.status.get("VmSwap", 0) * 1024,
            read_bytes=_growth(before.io, after.io, "read_bytes"),
            write_bytes=_growth(before.io, after.io, "write_bytes"),
            read_chars=_growth(before.io, after.io, "rchar"),
            write_chars=_growth(before.io, after.io, "wchar"),
            cores=self._cores(),
            machine_busy=_busy(before.machine, after.machine),
        )
        container = cgroup.between(before.container, after.container)
        return facts, container, time.monotonic() - before.at

    def _count(self) -> Counters:
        return Counters(
            at=time.monotonic(),
            stat=procfs.parse_stat(procfs.read(f"/proc/{self.pid}/stat")),
            status=procfs.parse_fields(procfs.read(f"/proc/{self.pid}/status")),
            io=dict(procfs.process_io(self.pid) or {}),
            container=cgroup.read(self.places),
            machine=procfs.machine_cpu(),
        )

    def _cores(self) -> int:
        try:
            return len(os.sched_getaffinity(self.pid))
        except OSError:
            return os.cpu_count() or 1

    def tids_of(self, pthreads: Collection[int]) -> dict[int, int]:
        """The kernel's numbers of threads that py-spy names by their address (Python 3.8 to 3.10).

        `struct pthread` holds the number; where, differs from one C library to the next, so the
        place is looked for.
        """
        # An address may have gone to another thread since.
        known = {a: tid for a, tid in self._pthreads.items() if tid in self.watched}
        numbers = self._namespaced()
        images: dict[int, bytes] = {}
        with contextlib.suppress(OSError), open(f"/proc/{self.pid}/mem", "rb", 0) as memory:
            for address in pthreads:
                if address not in known:
                    with contextlib.suppress(OSError):
                        images[address] = os.pread(memory.fileno(), _PTHREAD_BYTES, address)
        if self._number_at is None:
            self._number_at = number_at(list(images.values()), numbers.keys())
        if self._number_at is not None:
            for address, image in images.items():
                if (tid := numbers.get(_number(image, self._number_at))) is not None:
                    known[address] = tid
        self._pthreads = known
        return {a: known[a] for a in pthreads if a in known}

    def _namespaced(self) -> dict[int, int]:
        """Threads by the number that they have in their own PID namespace."""
        numbers = {}
        for tid in self.watched:
            text = procfs.read_or_none(f"/proc/{self.pid}/task/{tid}/status") or b""
            for line in text.splitlines():
                if line.startswith(b"NSpid:"):
                    numbers[int(line.split()[-1])] = tid
        return numbers

    def close(self) -> None:
        for watched in self.watched.values():
            watched.files.close()


def number_at(images: Sequence[bytes], numbers: Collection[int]) -> int | None:
    """The place at which most of these have the number of a thread, each one of its own.

    Not all of them: a thread that has ended has left 0 there. None: at no place any has.
    """
    best, most = None, 0
    for at in range(0, min(map(len, images), default=0) - 3, 4):
        found = [number for image in images if (number := _number(image, at)) in numbers]
        if len(found) > most and len(set(found)) == len(found):
            best, most = at, len(found)
    return best


def _number(image: bytes, at: int) -> int:
    """0 where it is too short."""
    return int(struct.unpack_from("=i", image, at)[0]) if len(image) >= at + 4 else 0


def _cpu(of_threads: float, of_process: float) -> float:
    """A process' CPU seconds in the window: its own count has threads that nobody saw, too.

    A server that starts one for each request has many; but the count is one of ticks, of which
    begin and end of either kind may be off by one: threads are measured better where all are known.
    """
    unseen = of_process - of_threads
    return round(of_process if unseen > 3 / procfs.TICKS else of_threads, 6)


def _growth(before: dict[str, int], after: dict[str, int], name: str) -> int | None:
    if name not in before or name not in after:
        return None
    return after[name] - before[name]


def _busy(before: tuple[float, float] | None, after: tuple[float, float] | None) -> float | None:
    if before is None or after is None or after[1] <= before[1]:
        return None
    return round(min(1.0, max(0.0, (after[0] - before[0]) / (after[1] - before[1]))), 4)
