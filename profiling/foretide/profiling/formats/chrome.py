"""Chrome's trace events, for chrome://tracing and ui.perfetto.dev.

A merged profile has no order in time: each pool is a track on which equal stacks lie side by side,
as in a flame graph. What is read may have complete events (X) and begins and ends (B, E), as
py-spy writes them; the time in which nothing has begun is left out. How many samples a time comes
from is not known. Which number it is that a file of ours holds stands beside the events; samples
are written as milliseconds, as the format has nothing but times.
"""

import json
from collections import defaultdict
from typing import Any

from ..profile import BadProfile, Merging, Profile, Unit
from ..window import Frame
from .metric import Metric, chosen_metric, numbers, pool_label, value_of
from .parsing import a_line, a_list, a_number, a_text, read_json

_MICRO = 1_000_000
_A_SAMPLE = 1_000  # microseconds that stand for one
_EXPORTER = "foretide"
_DEEPEST = 20_000
# A thousandth of a microsecond: times are written to that, so begins and ends may differ by it.
_SAME = 2e-3


def dump(profile: Profile, metric: Metric | None = None) -> bytes:
    """A profile as trace events. Raises BadProfile: it does not have that number."""
    metric = chosen_metric(profile, metric)
    scale = _scale(metric)
    events: list[dict[str, Any]] = []
    for thread, name in enumerate(profile.threads):
        sums: defaultdict[tuple[int, ...], float] = defaultdict(float)
        for entry in profile.entries:
            if entry.thread == thread:
                sums[profile.stacks[entry.stack]] += value_of(entry, metric) * scale
        events.append(_named(thread, pool_label(name)))
        events += _track(profile, thread, sums)
    made = {
        "traceEvents": events,
        "displayTimeUnit": "ms",
        "otherData": {"exporter": _EXPORTER, "metric": metric, "command": profile.command},
    }
    return json.dumps(made).encode()


def load(data: bytes) -> Profile:
    """The profile of trace events, in seconds on the wall clock unless it is ours and says other.

    Raises:
        BadProfile: it is something else, or damaged.
    """
    return read(read_json(data))


def read(plain: Any) -> Profile:
    """The same, of JSON that has been parsed."""
    events = a_list(plain.get("traceEvents") if isinstance(plain, dict) else plain, "traceEvents")
    names: dict[tuple[Any, Any], str] = {}
    tracks: dict[tuple[Any, Any], list[tuple[float, int, float, Frame | None]]] = {}
    for order, event in enumerate(events):
        if not isinstance(event, dict):
            raise BadProfile("an event is no object")
        track = (_hashable(event.get("pid")), _hashable(event.get("tid")))
        given = event.get("args")
        args: dict[str, Any] = given if isinstance(given, dict) else {}
        kind = event.get("ph")
        if kind == "M" and event.get("name") == "thread_name":
            names[track] = a_text(args.get("name"))
        if kind not in ("X", "B", "E"):
            continue
        at = a_number(event.get("ts"), "the time (ts) of an event")
        length = a_number(event.get("dur", 0), "the length (dur) of an event") if kind == "X" else 0
        row = tracks.setdefault(track, [])
        if kind != "E":
            row.append((at, order, length if kind == "X" else -1.0, _frame(event, args)))
        else:
            row.append((at, order, 0.0, None))
    if not tracks:
        raise BadProfile("it has no events with a begin and an end")
    merging = Merging()
    command, metric = _told(plain)
    total = 0.0
    for track, row in tracks.items():
        row.sort(key=lambda one: (one[0], one[1]))
        total += _replay(merging, names.get(track, ""), row, metric)
    return merging.profile(
        unit=Unit.SAMPLES if metric is Metric.SAMPLES else Unit.SECONDS,
        # For how long it was recorded is not told by CPU time.
        seconds=total if metric is Metric.WALL else 0.0,
        command=command,
    )


def _told(plain: Any) -> tuple[str, Metric]:
    """The command and the number that a file of ours names; others' hold time on the clock."""
    other = plain.get("otherData") if isinstance(plain, dict) else None
    if not isinstance(other, dict) or other.get("exporter") != _EXPORTER:
        return "", Metric.WALL
    metric = a_text(other.get("metric"))
    if metric not in set(Metric):
        raise BadProfile(f"it holds {metric[:60]!r}, which is not known")
    return a_text(other.get("command")), Metric(metric)


def _scale(metric: Metric) -> int:
    return _A_SAMPLE if metric is Metric.SAMPLES else _MICRO


def _replay(
    merging: Merging,
    thread: str,
    rows: list[tuple[float, int, float, Frame | None]],
    metric: Metric,
) -> float:
    """Follow a track through time; the seconds, or samples, in which something had begun."""
    stack: list[tuple[Frame, float]] = []  # with the time at which it ends by itself
    total, last = 0.0, 0.0

    def spend(until: float) -> None:
        nonlocal total, last
        if stack and until > last:
            spent = (until - last) / _scale(metric)
            frames = [frame for frame, _ in stack]
            merging.add(merging.stack(frames), thread=thread, **numbers(metric, spent))
            total += spent
        last = max(last, until)

    def end_until(now: float) -> None:
        while stack and stack[-1][1] <= now + _SAME:
            spend(stack[-1][1])
            stack.pop()

    for at, _, length, frame in rows:
        end_until(at)
        spend(at)
        if frame is None:
            if stack:
                stack.pop()
            continue
        if len(stack) >= _DEEPEST:
            raise BadProfile(f"it has a stack of more than {_DEEPEST} frames")
        stack.append((frame, at + length if length >= 0 else float("inf")))
    end_until(max((end for _, end in stack if end != float("inf")), default=last))
    return total


def _track(
    profile: Profile, thread: int, sums: dict[tuple[int, ...], float]
) -> list[dict[str, Any]]:
    """Complete events for stacks side by side; neighbours that share a call have one of it."""
    events: list[tuple[float, int, dict[str, Any]]] = []
    open_calls: list[tuple[int, float]] = []
    at = 0.0

    def close(depth: int) -> None:
        while len(open_calls) > depth:
            frame, begun = open_calls.pop()
            event = _event(profile.frames[frame], thread, begun, at - begun)
            events.append((begun, len(open_calls), event))

    for stack in sorted(sums):
        if sums[stack] <= 0:
            continue
        shared = 0
        while shared < min(len(stack), len(open_calls)) and open_calls[shared][0] == stack[shared]:
            shared += 1
        close(shared)
        open_calls += [(frame, at) for frame in stack[shared:]]
        at += sums[stack]
    close(0)
    # A caller comes before what it calls, also where both begin at once.
    return [event for _, _, event in sorted(events, key=lambda one: one[:2])]


def _event(frame: Frame, thread: int, begun: float, length: float) -> dict[str, Any]:
    return {
        "name": frame.function,
        "ph": "X",
        "pid": 1,
        "tid": thread,
        "ts": round(begun, 3),
        "dur": round(length, 3),
        "args": {"filename": frame.file, "line": frame.line},
    }


def _named(thread: int, name: str) -> dict[str, Any]:
    return {"name": "thread_name", "ph": "M", "pid": 1, "tid": thread, "args": {"name": name}}


def _frame(event: dict[str, Any], args: dict[str, Any]) -> Frame:
    return Frame(
        a_text(event.get("name")) or "?", a_text(args.get("filename")), a_line(args.get("line"))
    )


def _hashable(value: Any) -> Any:
    return value if isinstance(value, str | int | float) else None
