"""What the target's cgroup says: CPU limit and throttling, memory and its limit, pressure.

The target's control group is found from /proc/PID/cgroup. Its files are looked for in our own
mount of the cgroup file system and in the target's (/proc/PID/root/sys/fs/cgroup). In a container
with a cgroup namespace of its own the path may read as `/` or `/../..`: then the target's own
mount, whose root is its own cgroup, is the only place. All that cannot be read is None.
"""

import contextlib
import os
from dataclasses import dataclass, replace

from ..window import Container, Pressure
from . import procfs

_UNLIMITED = 1 << 60  # cgroup v1 writes "no limit" as a number near 2^63


@dataclass(frozen=True, slots=True)
class Places:
    """Folders that hold the target's files. `version` 0: none was found."""

    version: int
    cpu: str = ""
    memory: str = ""
    pressure: str = ""


def find(pid: int) -> Places:
    """Where the files of this process' cgroup are."""
    text = (procfs.read_or_none(f"/proc/{pid}/cgroup") or b"").decode(errors="replace")
    paths: dict[str, str] = {}
    for line in text.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        for controller in controllers.split(","):
            paths[controller] = path
    roots = ["/sys/fs/cgroup", f"/proc/{pid}/root/sys/fs/cgroup"]
    if "cpu" in paths or "memory" in paths:
        cpu = _v1(roots, ("cpu,cpuacct", "cpu", "cpuacct"), paths.get("cpu", ""), "cpu.stat")
        memory = _v1(roots, ("memory",), paths.get("memory", ""), "memory.usage_in_bytes")
        pressure = _folder(roots, ("unified", ""), paths.get("", ""), "cpu.pressure")
        if cpu or memory:
            return Places(1, cpu, memory, pressure)
    unified = _folder(roots, ("", "unified"), paths.get("", ""), "cpu.stat")
    return Places(2, unified, unified, unified) if unified else Places(0)


def _v1(roots: list[str], names: tuple[str, ...], path: str, wanted: str) -> str:
    return _folder(roots, names, path, wanted)


def _folder(roots: list[str], names: tuple[str, ...], path: str, wanted: str) -> str:
    """The first folder that holds the file: below its full path, else at a container's own root."""
    inside = [] if "/../" in path + "/" or not path else [path.lstrip("/")]
    for below in (*inside, ""):
        for root in roots if below else roots[1:]:
            for name in names:
                folder = os.path.join(root, name, below)
                if os.access(os.path.join(folder, wanted), os.R_OK):
                    return folder
    return ""


def _number(folder: str, name: str) -> int | None:
    """The one number in a file; None where it is not there or says "max"."""
    text = procfs.read_or_none(f"{folder}/{name}") if folder else None
    if text is None:
        return None
    with contextlib.suppress(ValueError):
        return int(text.split()[0])
    return None


def _table(folder: str, name: str) -> dict[str, int]:
    """A file of lines `name number`."""
    text = procfs.read_or_none(f"{folder}/{name}") if folder else None
    return parse_table(text or b"")


def parse_table(text: bytes) -> dict[str, int]:
    numbers = {}
    for line in text.splitlines():
        name, _, value = line.partition(b" ")
        with contextlib.suppress(ValueError):
            numbers[name.decode()] = int(value)
    return numbers


def parse_pressure(text: bytes) -> dict[str, float]:
    """Total seconds stalled, by "some" and "full"."""
    totals = {}
    for line in text.splitlines():
        kind, *fields = line.decode().split()
        for pair in fields:
            name, _, value = pair.partition("=")
            if name == "total":
                totals[kind] = int(value) / 1e6
    return totals


def _limit(value: int | None) -> int | None:
    return None if value is None or value >= _UNLIMITED else value


def read(places: Places) -> Container:
    """All counters as they stand now: their difference over a window is `between`'s part."""
    if places.version == 0:
        return Container()
    both = _read_v2(places) if places.version == 2 else _read_v1(places)
    return replace(both, pressure=_read_pressure(places.pressure))


def _read_pressure(folder: str) -> Pressure:
    def totals(name: str) -> dict[str, float]:
        text = procfs.read_or_none(f"{folder}/{name}.pressure") if folder else None
        return parse_pressure(text or b"")

    cpu, memory, disk = totals("cpu"), totals("memory"), totals("io")
    return Pressure(
        cpu_some=cpu.get("some"),
        memory_some=memory.get("some"),
        memory_full=memory.get("full"),
        io_some=disk.get("some"),
        io_full=disk.get("full"),
    )


def _read_v2(places: Places) -> Container:
    folder = places.cpu
    cpu, memory = _table(folder, "cpu.stat"), _table(folder, "memory.stat")
    events = _table(folder, "memory.events")
    quota = (procfs.read_or_none(f"{folder}/cpu.max") or b"").split()
    usage = _number(folder, "memory.current")
    return Container(
        version=2,
        cpu_limit=int(quota[0]) / int(quota[1]) if len(quota) == 2 and quota[0] != b"max" else None,
        cpu_seconds=_scaled(cpu.get("usage_usec"), 1e-6),
        periods=cpu.get("nr_periods"),
        throttled_periods=cpu.get("nr_throttled"),
        throttled_seconds=_scaled(cpu.get("throttled_usec"), 1e-6),
        memory_limit=_limit(_number(folder, "memory.max")),
        memory_usage=usage,
        memory_working=_working(usage, memory.get("inactive_file")),
        memory_events=events.get("max"),
        oom_kills=events.get("oom_kill"),
        major_faults=memory.get("pgmajfault"),
        refaults=_sum(memory, "workingset_refault_file", "workingset_refault_anon"),
        reclaimed_pages=memory.get("pgsteal"),
    )


def _read_v1(places: Places) -> Container:
    cpu, memory = _table(places.cpu, "cpu.stat"), _table(places.memory, "memory.stat")
    quota, period = (
        _number(places.cpu, "cpu.cfs_quota_us"),
        _number(places.cpu, "cpu.cfs_period_us"),
    )
    usage = _number(places.memory, "memory.usage_in_bytes")
    return Container(
        version=1,
        cpu_limit=quota / period if quota and period and quota > 0 else None,
        cpu_seconds=_scaled(_number(places.cpu, "cpuacct.usage"), 1e-9),
        periods=cpu.get("nr_periods"),
        throttled_periods=cpu.get("nr_throttled"),
        throttled_seconds=_scaled(cpu.get("throttled_time"), 1e-9),
        memory_limit=_limit(_number(places.memory, "memory.limit_in_bytes")),
        memory_usage=usage,
        memory_working=_working(usage, memory.get("total_inactive_file")),
        memory_events=_number(places.memory, "memory.failcnt"),
        oom_kills=_table(places.memory, "memory.oom_control").get("oom_kill"),
        major_faults=memory.get("total_pgmajfault", memory.get("pgmajfault")),
        refaults=_sum(memory, "workingset_refault_file", "workingset_refault_anon"),
        reclaimed_pages=None,
    )


def _scaled(value: int | None, unit: float) -> float | None:
    return None if value is None else value * unit


def _working(usage: int | None, inactive_file: int | None) -> int | None:
    return None if usage is None else max(0, usage - (inactive_file or 0))


def _sum(table: dict[str, int], *names: str) -> int | None:
    values = [table[name] for name in names if name in table]
    return sum(values) if values else None


# What is a level, and so is taken as it stood at the end, not as a difference.
_LEVELS = ("version", "cpu_limit", "memory_limit", "memory_usage", "memory_working", "pressure")


def between(before: Container, after: Container) -> Container:
    """Counters as their growth, levels as they stood after."""

    def grown(name: str) -> float | None:
        old, new = getattr(before, name), getattr(after, name)
        return None if old is None or new is None else max(0, new - old)

    counters = [name for name in Container.__dataclass_fields__ if name not in _LEVELS]
    growth: dict[str, float | None] = {name: grown(name) for name in counters}
    stalls = {}
    for name in Pressure.__dataclass_fields__:
        old, new = getattr(before.pressure, name), getattr(after.pressure, name)
        stalls[name] = None if old is None or new is None else max(0.0, round(new - old, 6))
    return replace(after, **growth, pressure=Pressure(**stalls))  # type: ignore[arg-type]
