"""Events that arrive as annotations on the scale target, one annotation for each:

    foretide.dev/event.release-42: start=2026-11-27T08:00Z,duration=2h,multiplier=1.5

| setting | meaning |
|---|---|
| `start` | when it starts: with an offset, or on the workload's wall clock, or a date |
| `end` or `duration` | when it ends, or how long it lasts (`2h`); a date alone lasts the day |
| `kind` | `release` (the default), `campaign`, `recurring` or `holiday` |
| `multiplier`, `minReplicas` | the declared effect; a multiplier that is not given is learned |
| `rampBefore`, `rampAfter` | how long the effect grows before the start and fades after the end |
"""

from collections.abc import Mapping

from .model import Kind
from .settings import EFFECT_SETTINGS, Declared, parse_seconds, split_settings
from .sources import Found, Source
from .timing import Timing

PREFIX = "foretide.dev/event."
MOST_ANNOTATIONS = 100
_LONGEST = 1_000
_KNOWN = EFFECT_SETTINGS | {"start", "end", "duration"}


def read_annotations(annotations: Mapping[str, str]) -> Found:
    """The events among an object's annotations; other annotations are not looked at.

    Never raises: one that cannot be read is a problem, and the others count all the same.
    """
    sources: list[Source] = []
    problems: list[str] = []
    ours = sorted(key for key in annotations if key.startswith(PREFIX))
    if len(ours) > MOST_ANNOTATIONS:
        problems.append(
            f"more than {MOST_ANNOTATIONS} annotations {PREFIX}*: only the first are used; "
            "remove those of events that are over"
        )
    for key in ours[:MOST_ANNOTATIONS]:
        try:
            sources.append(_read(key.removeprefix(PREFIX), annotations[key]))
        except ValueError as error:
            problems.append(f"annotation {key[:80]}: {error}")
    return Found(tuple(sources), tuple(problems))


def _read(name: str, text: str) -> Source:
    if not name:
        raise ValueError(f"give the event a name: {PREFIX}NAME")
    if len(text) > _LONGEST:
        raise ValueError(f"longer than {_LONGEST} characters")
    settings = split_settings(text, _KNOWN)
    if "start" not in settings:
        raise ValueError("start is missing, such as start=2026-11-27T08:00Z")
    lasts = settings.get("duration")
    timing = Timing(
        start=settings["start"],
        end=settings.get("end", ""),
        duration=None if lasts is None else parse_seconds("duration", lasts),
    )
    return timing.source(name, Declared(Kind.RELEASE).with_settings(settings))
