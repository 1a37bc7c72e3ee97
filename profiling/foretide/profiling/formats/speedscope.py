"""speedscope's JSON (https://www.speedscope.app/file-format-schema.json): a profile for each pool.

Written as `sampled`; `evented` is read, too. How many samples a time comes from is known only where
all weigh the same. Which number it is that a file of ours holds stands in its name.
"""

import json
import re
from typing import Any

from ..profile import BadProfile, Merging, Profile, Unit
from ..window import Frame
from .metric import Metric, chosen_metric, numbers, pool_label, value_of
from .parsing import a_line, a_list, a_number, a_text, an_index, read_json

SCHEMA = "https://www.speedscope.app/file-format-schema.json"
_SECONDS = {"nanoseconds": 1e-9, "microseconds": 1e-6, "milliseconds": 1e-3, "seconds": 1.0}
_DEEPEST = 20_000
_EXPORTER = "foretide"
_UNNAMED = "profile"
_NAME = re.compile(r"(?P<command>.*) \((?P<metric>cpu|wall|samples)\)", re.DOTALL)


def dump(profile: Profile, metric: Metric | None = None) -> bytes:
    """A profile as speedscope's JSON. Raises BadProfile: it does not have that number."""
    metric = chosen_metric(profile, metric)
    in_seconds = profile.unit is Unit.SECONDS and metric is not Metric.SAMPLES
    pools = []
    for index, name in enumerate(profile.threads):
        mine = [one for one in profile.entries if one.thread == index and value_of(one, metric) > 0]
        if not mine:
            continue
        weights = [value_of(one, metric) for one in mine]
        pools.append(
            {
                "type": "sampled",
                "name": pool_label(name),
                "unit": "seconds" if in_seconds else "none",
                "startValue": 0,
                "endValue": sum(weights),
                "samples": [profile.stacks[one.stack] for one in mine],
                "weights": weights,
            }
        )
    made = {
        "$schema": SCHEMA,
        "name": f"{profile.command or _UNNAMED} ({metric})",
        "exporter": _EXPORTER,
        "activeProfileIndex": 0,
        "shared": {
            "frames": [
                {"name": frame.function, "file": frame.file, "line": frame.line}
                for frame in profile.frames
            ]
        },
        "profiles": pools,
    }
    return json.dumps(made, separators=(",", ":")).encode()


def load(data: bytes) -> Profile:
    """The profile of speedscope's JSON.

    Raises:
        BadProfile: it is something else, or damaged.
    """
    return read(read_json(data))


def read(plain: Any) -> Profile:
    """The same, of JSON that has been parsed."""
    if not isinstance(plain, dict) or not isinstance(plain.get("shared"), dict):
        raise BadProfile("it is no speedscope file: it has no shared frames")
    frames = [
        Frame(a_text(one.get("name")) or "?", a_text(one.get("file")), a_line(one.get("line")))
        for one in a_list(plain["shared"].get("frames"), "shared.frames")
        if isinstance(one, dict)
    ]
    profiles = a_list(plain.get("profiles"), "profiles")
    units = {one.get("unit") for one in profiles if isinstance(one, dict)}
    if units & {"bytes"}:
        raise BadProfile("it counts bytes, and neither time nor samples")
    in_seconds = bool(units) and units <= set(_SECONDS)
    command, metric = _named(plain)
    ours = plain.get("exporter") == _EXPORTER
    if not in_seconds:
        metric = Metric.SAMPLES
    merging = Merging()
    total = 0.0
    for number, one in enumerate(profiles):
        where = f"profiles[{number}]"
        if not isinstance(one, dict):
            raise BadProfile(f"{where} is no object")
        factor = _SECONDS.get(a_text(one.get("unit")), 1.0) if in_seconds else 1.0
        reading = _Reading(merging, frames, a_text(one.get("name")), factor, metric, where)
        if one.get("type") == "evented":
            total += reading.events(a_list(one.get("events"), f"{where}.events"))
        else:
            samples = a_list(one.get("samples"), f"{where}.samples")
            weights = one.get("weights")
            weights = [1] * len(samples) if weights is None else a_list(weights, "weights")
            total += reading.samples(samples, weights, merged=ours)
    unit = Unit.SECONDS if in_seconds else Unit.SAMPLES
    # For how long it was recorded is not told by CPU time.
    on_the_clock = total if metric is Metric.WALL else 0.0
    return merging.profile(unit=unit, seconds=on_the_clock, command=command)


def _named(plain: dict[str, Any]) -> tuple[str, Metric]:
    """The command and the number that a file of ours names; others' hold time on the clock."""
    found = _NAME.fullmatch(a_text(plain.get("name")))
    if plain.get("exporter") != _EXPORTER or found is None:
        return "", Metric.WALL
    command = found["command"]
    return "" if command == _UNNAMED else command, Metric(found["metric"])


class _Reading:
    """Reads the stacks of one of the file's profiles."""

    def __init__(
        self,
        merging: Merging,
        frames: list[Frame],
        thread: str,
        factor: float,
        metric: Metric,
        where: str,
    ) -> None:
        self._merging = merging
        self._frames = frames
        self._thread = thread
        self._factor = factor
        self._metric = metric
        self._where = where

    def samples(self, samples: list[Any], weights: list[Any], *, merged: bool) -> float:
        """Add stacks with their weights. `merged`: each of them is of many looks."""
        if len(samples) != len(weights):
            raise BadProfile(f"{self._where} has {len(samples)} samples and {len(weights)} weights")
        weighed = [a_number(one, f"{self._where}: a weight") for one in weights]
        # Where all weigh the same, each is one look; else they have been added up, or measured.
        looks = 1 if len(set(weighed)) == 1 and not merged else 0
        total = 0.0
        for sample, weight in zip(samples, weighed, strict=True):
            stack = [self._index(one) for one in a_list(sample, f"{self._where}: a sample")]
            total += self._add(stack, weight, looks)
        return total

    def events(self, events: list[Any]) -> float:
        stack: list[int] = []
        total, last = 0.0, None
        for event in events:
            if not isinstance(event, dict):
                raise BadProfile(f"{self._where}: an event is no object")
            at = a_number(event.get("at"), f"{self._where}: the time of an event")
            if last is not None and stack and at > last:
                total += self._add(stack, at - last, 0)
            last = at
            if event.get("type") == "O":
                stack.append(self._index(event.get("frame")))
            elif stack:
                stack.pop()
        return total

    def _add(self, stack: list[int], weight: float, looks: int) -> float:
        if len(stack) > _DEEPEST:
            raise BadProfile(f"{self._where} has a stack of {len(stack)} frames")
        spent = max(0.0, weight * self._factor)
        frames = [self._frames[index] for index in stack]
        told = numbers(self._metric, spent, looks)
        self._merging.add(self._merging.stack(frames), thread=self._thread, **told)
        return spent

    def _index(self, value: Any) -> int:
        return an_index(value, len(self._frames), f"{self._where}: a frame")
