"""Finds the Python processes that can be sampled: of a container, or of all that is to be seen."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from . import maps, procfs

_WATCHDOG = "/foretide/profiling/sampler/watchdog.py"


@dataclass(frozen=True, slots=True)
class Found:
    """A Python process. `parent` is its parent's PID, `cpu_seconds` what it has used so far."""

    pid: int
    parent: int
    started: int
    command: str
    cpu_seconds: float


def python_processes(container_id: str = "") -> list[Found]:
    """Python processes in this PID namespace, oldest first.

    Left out are we ourselves, who has started us, and the watchdogs of any sampler.

    With `container_id` (with or without its scheme, such as containerd://) only those in control
    groups of that name; where the kernel shows us none of those, all of them.
    """
    own = family(os.getpid())
    found = []
    for name in os.listdir("/proc"):
        process = _look(int(name)) if name.isdigit() and int(name) not in own else None
        if process and not process.command.endswith(_WATCHDOG):
            found.append(process)
    found.sort(key=lambda each: (each.started, each.pid))
    wanted = container_id.rpartition("/")[2]
    if wanted:
        inside = [each for each in found if _is_in(each.pid, wanted)]
        return inside or [each for each in found if not _shows_container(each.pid)]
    return found


def turn(processes: Sequence[Found], number: int, at: int) -> list[Found]:
    """Which `number` of them to sample at the `at`-th time, so that each has its turn."""
    if number >= len(processes):
        return list(processes)
    start = at * number % len(processes)
    return [processes[(start + offset) % len(processes)] for offset in range(number)]


def lives(pid: int) -> bool:
    """Is there such a process, and more of it than the entry that it leaves behind?"""
    text = procfs.read_or_none(f"/proc/{pid}/stat")
    return bool(text) and procfs.parse_stat(text or b"").state not in ("Z", "X")


def is_python(pid: int) -> bool:
    """Has it an interpreter in its memory, or in its name where its memory may not be seen?"""
    try:
        executable = os.readlink(f"/proc/{pid}/exe").removesuffix(" (deleted)")
    except OSError:
        executable = ""
    if maps.is_interpreter(executable):
        return True
    text = procfs.read_or_none(f"/proc/{pid}/maps")
    if text:
        return maps.has_interpreter(text.decode(errors="replace"))
    try:
        words = procfs.read(f"/proc/{pid}/cmdline").split(b"\0")
    except OSError:
        return False
    return maps.is_interpreter("/" + os.path.basename(words[0].decode(errors="replace")))


def _look(pid: int) -> Found | None:
    try:
        text = procfs.read(f"/proc/{pid}/stat")
        fields = text[text.rindex(b")") + 2 :].split()
        if fields[0] in (b"Z", b"X") or not is_python(pid):
            return None
        stat = procfs.parse_stat(text)
        used = stat.user_seconds + stat.system_seconds
        return Found(pid, int(fields[1]), int(fields[19]), procfs.command(pid), used)
    except (OSError, ValueError):
        return None  # it has ended


def family(pid: int) -> set[int]:
    """A process and those that have started it, up to the first of its namespace."""
    family = set()
    while pid > 0 and pid not in family:
        family.add(pid)
        try:
            text = procfs.read(f"/proc/{pid}/stat")
        except OSError:
            break
        pid = int(text[text.rindex(b")") + 2 :].split()[1])
    return family


def _is_in(pid: int, container: str) -> bool:
    return container.encode() in (procfs.read_or_none(f"/proc/{pid}/cgroup") or b"")


def _shows_container(pid: int) -> bool:
    """Does its control group's name tell any container (64 hexadecimal digits)?"""
    text = (procfs.read_or_none(f"/proc/{pid}/cgroup") or b"").decode(errors="replace")
    parts = text.replace(".scope", "").replace("-", "/").replace(":", "/").split("/")
    return any(len(part.strip()) == 64 for part in parts)
