"""Reads /proc about a process and its threads, and parses what stands there (proc(5)).

Parsers take text and return values; only `ThreadFiles` and the few readers below open files.
A process or thread that has gone raises ProcessLookupError or FileNotFoundError, as the kernel
does it.
"""

import contextlib
import os
import resource
from collections.abc import Mapping
from dataclasses import dataclass

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Stat:
    """Of /proc/PID/stat: times in seconds, `rss` in bytes, `state` one letter."""

    state: str
    minor_faults: int
    major_faults: int
    user_seconds: float
    system_seconds: float
    rss: int


def parse_stat(text: bytes) -> Stat:
    """The name in parentheses may hold anything, so all is counted from the last parenthesis."""
    fields = text[text.rindex(b")") + 2 :].split()
    return Stat(
        state=fields[0].decode(),
        minor_faults=int(fields[7]),
        major_faults=int(fields[9]),
        user_seconds=int(fields[11]) / TICKS,
        system_seconds=int(fields[12]) / TICKS,
        rss=int(fields[21]) * PAGE,
    )


def parse_schedstat(text: bytes) -> tuple[float, float]:
    """Seconds on a core, and seconds that it waited for one."""
    running, waiting = text.split()[:2]
    return int(running) / 1e9, int(waiting) / 1e9


def parse_fields(text: bytes) -> dict[str, int]:
    """Of `name: number` lines (status, io) the numbers; kB stay kB. Lines of text are left out."""
    numbers = {}
    for line in text.splitlines():
        name, _, value = line.partition(b":")
        first = value.split()[:1]
        if first and first[0].isdigit():
            numbers[name.decode()] = int(first[0])
    return numbers


def parse_syscall(text: bytes) -> tuple[int, ...] | None:
    """Number and arguments of a blocked thread's call; None while it runs; (-1,) outside one."""
    fields = text.split()
    if not fields or not (fields[0][:1].isdigit() or fields[0] == b"-1"):
        return None
    number = int(fields[0])
    if number < 0:
        return (-1,)
    return (number, *(int(field, 16) for field in fields[1:7]))


def read(path: str) -> bytes:
    """A whole small file of /proc."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(descriptor, 65536):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)


def read_or_none(path: str) -> bytes | None:
    """None where it may not be read, or is not there."""
    try:
        return read(path)
    except OSError:
        return None


def thread_ids(pid: int) -> list[int]:
    """The process' threads, in the order in which they were started, as far as numbers tell."""
    return sorted(int(name) for name in os.listdir(f"/proc/{pid}/task"))


def start_ticks(pid: int) -> int:
    """When it was started: with the PID, it names a process for good."""
    text = read(f"/proc/{pid}/stat")
    return int(text[text.rindex(b")") + 2 :].split()[19])


def image(pid: int) -> int:
    """Where its stack began, 0 where that is not told: exec gives a process another one."""
    text = read(f"/proc/{pid}/stat")
    return int(text[text.rindex(b")") + 2 :].split()[25])


def identity(pid: int) -> tuple[int, set[int]]:
    """Its effective user, and all its groups."""
    fields = {
        name: [int(word) for word in value.split()]
        for name, _, value in (
            line.partition(b":") for line in read(f"/proc/{pid}/status").splitlines()
        )
        if name in (b"Uid", b"Gid", b"Groups")
    }
    return fields[b"Uid"][1], {fields[b"Gid"][1], *fields.get(b"Groups", [])}


def command(pid: int) -> str:
    """The program and its script or module. No further arguments: they may hold secrets."""
    words = [word.decode(errors="replace") for word in read(f"/proc/{pid}/cmdline").split(b"\0")]
    words = [word for word in words if word]
    if not words:
        return ""
    shown = [os.path.basename(words[0])]
    rest = iter(words[1:])
    for word in rest:
        if word in ("-m", "-c"):
            shown.append(word)
            if word == "-m":
                shown.extend(list(rest)[:1])
            break
        if word in ("-X", "-W"):
            next(rest, None)
        elif not word.startswith("-"):
            shown.append(word)
            break
    return " ".join(shown)


def machine_cpu() -> tuple[float, float] | None:
    """Seconds that all CPUs were busy, and that there were, since the machine was started."""
    text = read_or_none("/proc/stat")
    if text is None:
        return None
    numbers = [int(field) for field in text.split(b"\n", 1)[0].split()[1:9]]
    idle = numbers[3] + numbers[4]
    total = sum(numbers)
    return (total - idle) / TICKS, total / TICKS


def process_io(pid: int) -> Mapping[str, int] | None:
    """/proc/PID/io, in bytes; None where it may not be read."""
    text = read_or_none(f"/proc/{pid}/io")
    return parse_fields(text) if text else None


def _most_open() -> int:
    """How many files of threads may stay open: half of what this process may open at all."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1 << 20 if soft == resource.RLIM_INFINITY else soft // 2


class ThreadFiles:
    """A thread's files in /proc, kept open: a look then costs one read each, not three calls.

    Not all of them where there are many threads: a process may often open 1024 files only.
    """

    kept = 0  # of all threads

    def __init__(self, pid: int, tid: int) -> None:
        self.tid = tid
        self.path = f"/proc/{pid}/task/{tid}"
        self._open: dict[str, int] = {}

    def read(self, name: str, size: int = 512) -> bytes:
        """One of its files. Raises OSError where it may not be read or the thread has gone."""
        descriptor = self._open.get(name)
        if descriptor is not None:
            return os.pread(descriptor, size, 0)
        descriptor = os.open(f"{self.path}/{name}", os.O_RDONLY | os.O_CLOEXEC)
        if ThreadFiles.kept < _most_open():
            self._open[name] = descriptor
            ThreadFiles.kept += 1
            return os.pread(descriptor, size, 0)
        try:
            return os.pread(descriptor, size, 0)
        finally:
            os.close(descriptor)

    def close(self) -> None:
        for descriptor in self._open.values():
            with contextlib.suppress(OSError):
                os.close(descriptor)
        ThreadFiles.kept -= len(self._open)
        self._open.clear()
