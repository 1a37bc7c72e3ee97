"""Windows of runs that are over: they stay in memory, packed, as comparisons may need them.

A window takes up to 100 kB, and packed a few. Of all Profilers together no more than so many bytes
are held; what was put away first goes first. The store has what has gone.
"""

import asyncio
from collections.abc import Iterable

from foretide.profiling import codec
from foretide.profiling.window import Window

from ..api.profiler import ProfilerMode
from .member import Member, PutAway

MOST_BYTES = 32 * 1024 * 1024
# Seconds after a run: what is looked at right after it need not be unpacked.
_SETTLED = 60.0


class WindowsGone(Exception):
    """There were windows, but they are not held any more."""


def is_due(member: Member, now: float) -> bool:
    """Whether the member's windows have been looked at, and no more will come."""
    once = member.spec is not None and member.spec.mode is ProfilerMode.ONCE
    over = member.finished_at is not None and now - member.finished_at > _SETTLED
    return once and over and member.put_away is None and bool(member.windows())


async def put_away(member: Member) -> None:
    """Pack the member's windows."""
    windows = member.windows()
    packed = await asyncio.to_thread(codec.pack_windows, windows)
    member.put_away = PutAway(len(windows), windows[-1].started_at, packed)
    for pod in member.pods.values():
        pod.put_away += len(pod.windows)
        pod.windows.clear()


def trim(members: Iterable[Member], most_bytes: int = MOST_BYTES) -> None:
    """Let go what was put away first, until the rest fits."""
    held = [it for it in members if it.put_away is not None and it.put_away.packed]
    held.sort(key=lambda it: it.finished_at or 0.0, reverse=True)
    total = 0
    for member in held:
        assert member.put_away is not None
        total += len(member.put_away.packed)
        if total > most_bytes:
            member.put_away.packed = b""


async def windows_of(member: Member) -> list[Window]:
    """The windows of this run, of all pods, by their start, put away or not.

    Raises:
        WindowsGone: there was no room for them.
    """
    if member.put_away is None:
        return member.windows()
    if not member.put_away.packed:
        raise WindowsGone(
            f"the windows of Profiler {member.name} are not in memory any more: there were too many"
        )
    before = await asyncio.to_thread(codec.unpack_windows, member.put_away.packed)
    return sorted([*before, *member.windows()], key=lambda window: window.started_at)
