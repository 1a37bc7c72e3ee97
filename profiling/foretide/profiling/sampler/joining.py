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
        """Those before its end: where it was cut short, others came after it."""
        end = self.start + self.number * self.length
        return [mark for mark in marks if mark.at < end]


def marks_of(marks: Sequence[Mark], tid: int, count: int) -> list[Mark | None]:
    """The mark of each of a thread's `count` samples; None: not known.

    A thread that started or ended in the window was seen by us in more moments than py-spy could
    read a stack: it has none before Python knows it, nor after Python has forgotten it.
    """
    seen = [mark for mark in marks if tid in mark.threads]
    if len(seen) < count:
        return [*seen, *([None] * (count - len(seen)))]
    started_later = bool(marks) and tid not in marks[0].threads
    return list(seen[len(seen) - count :] if started_later else seen[:count])


def join(
    recording: Recording,
    watched: dict[int, Watched],
    tids: Mapping[int, int],
    marks: Sequence[Mark],
    parts: Parts,
) -> tuple[list[Thread], list[Samples]]:
    """Threads, and their samples. `tids` names threads by py-spy's addresses.

    A thread whose number is not to be found stands as number 0, without counters.
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
        if tid not in place:
            place[tid] = len(threads)
            name = next((each.name for each in samples_of[tid] if each.name), "")
            threads.append(Thread(tid, name, 0.0, 0.0, 0.0, 0.0, 0, 0, {}))
        stacks = [stack for each in samples_of[tid] for stack in each.stacks]
        if marks and tid in marks[-1].threads:
            # py-spy may have taken one more after we had asked it to end.
            del stacks[sum(tid in mark.threads for mark in marks) :]
        joined.extend(_samples(place[tid], stacks, marks_of(marks, tid, len(stacks)), tid, parts))
    return threads, joined


def _samples(
    thread: int, stacks: list[int], marks: Sequence[Mark | None], tid: int, parts: Parts
) -> list[Samples]:
    moments: dict[tuple[int, int], list[Moment | None]] = {}
    usual: dict[int, list[Moment | None]] = {}
    for position, (stack, mark) in enumerate(zip(stacks, marks, strict=True)):
        at = parts.start + (position + 0.5) / len(stacks) * parts.length * parts.number
        moment = mark.threads[tid] if mark else None
        part = parts.of(mark.at if mark else at)
        moments.setdefault((stack, part), []).append(moment)
        usual.setdefault(stack, []).append(moment)
    return [
        Samples(thread, stack, len(seen), _active(seen, usual[stack]), part)
        for (stack, part), seen in sorted(moments.items())
    ]


def _active(seen: Sequence[Moment | None], usual: Sequence[Moment | None]) -> int | None:
    """How many of these samples of one stack were of a thread at work.

    Those that were seen while they stood still speak for the others; only where none was in the
    whole window, what was seen a moment before has to do.
    """
    for said in (
        [each.active for each in seen if each and each.active is not None],
        [each.active for each in usual if each and each.active is not None],
        [each.ran_before for each in usual if each and each.ran_before is not None],
    ):
        if said:
            return round(sum(said) / len(said) * len(seen))
    return None
