"""A profile as Pyroscope's `POST /ingest` takes it: folded stacks with whole numbers. Pure.

Pyroscope's documentation ("Server HTTP API", legacy ingestion) says what goes where; what it leaves
out is from its own ingest handler: the profile's type is what follows the last dot of the name, the
rate must be a whole number and scales the counts to nanoseconds, and a line of 64 KiB or more ends
the profile without an error.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from foretide.profiling.profile import Entry, Profile, Unit
from foretide.profiling.window import Frame
from foretide.store.profiles import Target

# Counts are microseconds: Pyroscope divides a second by the rate, as if each was a sample.
RATE = 1_000_000
_LONGEST_LINE = 60_000
_CUT = "(cut off)"


@dataclass(frozen=True, slots=True)
class Ingest:
    """One request: its parameters and its body."""

    params: Mapping[str, str]
    body: bytes


def requests_of(target: Target, profile: Profile) -> list[Ingest]:
    """The requests that push a profile: CPU time as `….cpu`, and all time as `….wall`.

    A profile without times of its own (in samples), or in which no time was spent, gives none.
    """
    if profile.unit is not Unit.SECONDS:
        return []
    name, labels = service_name(target), _labels(target)
    found = []
    for kind, seconds in (("cpu", _cpu), ("wall", _wall)):
        body = fold(profile, seconds)
        if body:
            params = {
                "name": f"{name}.{kind}{{{labels}}}",
                "from": str(int(profile.started_at)),
                "until": str(max(int(profile.ended_at), int(profile.started_at) + 1)),
                "format": "folded",
                "sampleRate": str(RATE),
                "units": "samples",
                "aggregationType": "sum",
                "spyName": "foretide",
            }
            found.append(Ingest(params, body))
    return found


def fold(profile: Profile, seconds: Callable[[Entry], float]) -> bytes:
    """A line for each stack, root first, with its microseconds."""
    sums: dict[int, float] = defaultdict(float)
    for entry in profile.entries:
        sums[entry.stack] += seconds(entry)
    names = [_frame(frame) for frame in profile.frames]
    lines: dict[str, int] = defaultdict(int)
    for stack, spent in sums.items():
        count = round(spent * RATE)
        if count > 0:
            lines[_line([names[index] for index in profile.stacks[stack]])] += count
    return "".join(f"{line} {count}\n" for line, count in lines.items()).encode()


def service_name(target: Target) -> str:
    """What Pyroscope lists it as: namespace/workload, in the characters that it takes."""
    return re.sub(r"[^A-Za-z0-9_./-]", "-", f"{target.namespace}/{target.workload}")


def _labels(target: Target) -> str:
    own = {
        "namespace": target.namespace,
        "pod": target.pod,
        "container": target.container,
        "version": target.version,
    }
    pairs = {**{re.sub(r"[^A-Za-z0-9_]", "_", k): v for k, v in target.labels.items()}, **own}
    return ",".join(
        # There is no way to quote what would end a value.
        f"{name}={re.sub(r'[,{}=]', '_', value)}"
        for name, value in sorted(pairs.items())
        if value and not name.startswith("__")
    )


def _frame(frame: Frame) -> str:
    named = f"{frame.function} ({frame.file})" if frame.file else frame.function
    return re.sub(r"[;\r\n]", "_", named) or "(unknown)"


def _line(frames: list[str]) -> str:
    line = ";".join(frames) or "(no stack)"
    if len(line.encode()) < _LONGEST_LINE:
        return line
    kept: list[str] = []
    room = _LONGEST_LINE - len(_CUT) - 1
    for frame in reversed(frames):  # what runs is at the end
        room -= len(frame.encode()) + 1
        if room < 0:
            break
        kept.append(frame)
    return ";".join([_CUT, *reversed(kept)])


def _cpu(entry: Entry) -> float:
    return entry.cpu


def _wall(entry: Entry) -> float:
    return entry.wall
