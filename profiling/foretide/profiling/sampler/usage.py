"""CPU time and memory of this process, and of others."""

import contextlib
import os
import resource

from . import procfs


def own_cpu() -> float:
    """CPU seconds of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def cpu_of(pid: int) -> float:
    """CPU seconds of the threads that it has now."""
    total = 0.0
    with contextlib.suppress(OSError):
        for tid in procfs.thread_ids(pid):
            total += procfs.parse_schedstat(procfs.read(f"/proc/{pid}/task/{tid}/schedstat"))[0]
    return total


def own_pss() -> int:
    """Our memory in bytes, shared pages counted by our part of them."""
    text = procfs.read_or_none("/proc/self/smaps_rollup")
    if text and (pss := procfs.parse_fields(text).get("Pss")):
        return pss * 1024
    return rss_of(os.getpid())


def rss_of(pid: int) -> int:
    """Its memory in bytes."""
    text = procfs.read_or_none(f"/proc/{pid}/statm")
    return int(text.split()[1]) * procfs.PAGE if text else 0
