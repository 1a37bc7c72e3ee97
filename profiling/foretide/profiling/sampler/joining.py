"""Puts a window together: py-spy's samples, joined one by one with what each thread was doing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..window import Samples, Thread
from .marks import Mark, Moment
from .pyspy import Recording, ThreadSamples
from .threads import Watched


@dataclass(frozen=True, slots=True)
class Parts:
    """A window from `start` (monotonic seconds) in `number` parts of `length` seconds."""

    start: float
    length: float
    number: int

    def of(self, moment: float) -> int:
        return max(0, min(self.number - 1, int((moment - self.start) / self.length)))

    def within(self, marks: Sequence[Mark]) -> Sequence[Mark]:
        """Those of the window: others came before it, to find a rate, or after it was cut short."""
        return [mark for mark in marks if self.has(mark)]

    def has(self, mark: Mark) -> bool:
        """Does it lie in the window?"""
        return self.start <= mark.at < self.start + self.number * self.length


def of_samples(marks: Sequence[Mark], failed: int) -> list[Mark]:
    """The marks of those samples that py-spy has taken; it could not take `failed` of them.

    None where it is not known which it could not: all that follow would be of other samples.
    """
    if sum(mark.lost for mark in marks) != failed:
        return []
    return [mark for mark in marks if not mark.lost]


def marks_of(marks: Sequence[Mark], tid: int, count: int) -> list[Mark | None]:
    """The mark of each of a thread's `count` samples; None: not known.

    A thread that started or ended in the window was seen by us in more moments than py-spy could
    read a stack: it has none before Python knows it, nor after Python has forgotten it.
    """
    seen = [mark for mark in marks if tid in mark.threads]
    started_later = bool(marks) and tid not in marks[0].threads
    if len(seen) < count:
        # The others are of whoever had its address before (Python 3.8 to 3.10), or were not seen.
        unknown = [None] * (count - len(seen))
        return [*unknown, *seen] if started_later else [*seen, *unknown]
    return list(seen[len(seen) - count :] if started_later else seen[:count])


def join(
    recording: Recording,
    watched: dict[int, Watched],
    tids: Mapping[int, int],
    marks: Sequence[Mark],
    parts: Parts,
) -> tuple[list[Thread], list[Samples]]:
    """Threads, and their samples. `tids` names threads by py-spy's addresses.

    `marks` are those of all samples since py-spy was started, in the window or not; none where it
    is not known which samples are theirs. A thread whose number is not to be found stands as
    number 0, without counters.
    """
    samples_of: dict[int, list[ThreadSamples]] = {}
    for each in recording.threads:
        tid = each.tid if each.tid is not None else tids.get(each.pthread or 0, 0)
        samples_of.setdefault(tid, []).append(each)
        if tid in watched and each.name:
            watched[tid].name = each.name
    threads = [watched[tid].summary() for tid in sorted(watched)]
    place = {thread.tid: index for index, thread in enumerate(threads)}
    joined: list[Samples] = []
    for tid in sorted(samples_of):
        stacks = [stack for each in samples_of[tid] for stack in each.stacks]
        if marks and tid in marks[-1].threads:
            # py-spy may have taken one more after we had asked it to end.
            del stacks[sum(tid in mark.threads for mark in marks) :]
        pairs = zip(stacks, marks_of(marks, tid, len(stacks)), strict=True)
        seen = [(stack, mark) for stack, mark in pairs if mark is None or parts.has(mark)]
        if not seen:
            continue
        if tid not in place:
            place[tid] = len(threads)
            name = next((each.name for each in samples_of[tid] if each.name), "")
            threads.append(Thread(tid, name, 0.0, 0.0, 0.0, 0.0, 0, 0, {}))
        joined.extend(_samples(place[tid], seen, tid, parts))
    return threads, joined


def _samples(
    thread: int, stacks: Sequence[tuple[int, Mark | None]], tid: int, parts: Parts
) -> list[Samples]:
    moments: dict[int, dict[int, list[Moment | None]]] = {}
    for position, (stack, mark) in enumerate(stacks):
        at = parts.start + (position + 0.5) / len(stacks) * parts.length * parts.number
        part = parts.of(mark.at if mark else at)
        seen = mark.threads[tid] if mark else None
        moments.setdefault(stack, {}).setdefault(part, []).append(seen)
    return [
        Samples(thread, stack, len(of[part]), active, part)
        for stack, of in sorted(moments.items())
        for part, active in zip(sorted(of), _active([of[part] for part in sorted(of)]), strict=True)
    ]


def _active(parts: Sequence[Sequence[Moment | None]]) -> list[int | None]:
    """How many of these samples of one stack were of a thread at work, part by part.

    Those that were seen while they stood still speak for the others of the window; only where none
    was, what was seen a moment before has to do. What is left of a sample goes on to the next part.
    """
    whole = [seen for part in parts for seen in part if seen]
    said = [each.active for each in whole if each.active is not None]
    said = said or [each.ran_before for each in whole if each.ran_before is not None]
    if not said:
        return [None] * len(parts)
    share = sum(said) / len(said)
    found: list[int | None] = []
    left = 0.0
    for part in parts:
        for seen in part:
            known = seen.active if seen else None
            left += share if known is None else known
        active = min(round(left), len(part))
        left -= active
        found.append(active)
    return found
