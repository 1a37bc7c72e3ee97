"""CPU time of threads that ended before anybody had read how much they used.

A server that starts a thread for each request has hundreds of them in a window. The process' own
count has what they used, and samples have caught some of them at work: all that is not known is
whose it was. So it is shared out among the threads that have ended, by their samples at work beyond
what was measured of them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from math import sqrt

from ..window import Samples, Thread

_LEAST = 5.0  # samples at work: fewer say nothing of what the time was spent on


def share_out(
    threads: Sequence[Thread],
    samples: Iterable[Samples],
    ended: Sequence[bool],
    unseen: float,
    each: float,
) -> list[Thread]:
    """The threads, those that have `ended` with their part of the `unseen` CPU seconds.

    `each`: seconds that a sample stands for. No more is shared out than so many samples may stand
    for, give or take two standard errors: the rest was used by threads that no sample has caught.
    """
    seen = list(samples)
    told = [one for one in seen if ended[one.thread] and one.active is not None]
    # A thread that was started just before a sample was not looked at: it is taken for its like.
    usual = sum(one.active or 0 for one in told) / (sum(one.count for one in told) or 1)
    at_work = [[0.0] * max(1, len(thread.cpu_parts)) for thread in threads]
    for one in seen:
        parts = at_work[one.thread]
        active = one.count * usual if one.active is None else one.active
        parts[min(one.part, len(parts) - 1)] += active * each
    lacking = [
        max(0.0, sum(parts) - thread.cpu_seconds - thread.runqueue_seconds) if gone else 0.0
        for thread, parts, gone in zip(threads, at_work, ended, strict=True)
    ]
    caught = sum(lacking) / each if each > 0 else 0.0
    if unseen <= 0 or caught < _LEAST:
        return list(threads)
    shared = min(unseen, each * (caught + 2 * sqrt(caught)))
    return [
        _with(thread, parts, shared * lacks / sum(lacking)) if lacks else thread
        for thread, parts, lacks in zip(threads, at_work, lacking, strict=True)
    ]


def _with(thread: Thread, at_work: Sequence[float], seconds: float) -> Thread:
    parts = tuple(
        round(known + seconds * seen / sum(at_work), 6)
        for known, seen in zip(thread.cpu_parts, at_work, strict=False)
    )
    return replace(thread, cpu_seconds=round(thread.cpu_seconds + seconds, 6), cpu_parts=parts)
