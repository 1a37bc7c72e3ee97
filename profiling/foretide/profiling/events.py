"""What the resident sampler says of itself beside its windows: one line of JSON after a marker.

Lines come back through the container's log, among whatever else is printed there. Standard library
only: this module runs inside users' pods.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum

MARKER = "FORETIDE-EVENT "


class Kind(StrEnum):
    """What has happened."""

    USER = "user"  # as whom the application was seen to run
    BEGAN = "began"
    REFUSED = "refused"  # it cannot look into the application; reason and message say why
    DONE = "done"
    ENDED = "ended"  # the process goes


@dataclass(frozen=True, slots=True)
class Event:
    """Something that the resident says. `at` in Unix seconds, `run` as it was ordered."""

    kind: Kind
    at: float
    run: str = ""
    reason: str = ""
    message: str = ""
    uid: int | None = None
    gid: int | None = None


def to_line(event: Event) -> str:
    """The event as one line."""
    return MARKER + json.dumps(
        {key: it for key, it in asdict(event).items() if it not in ("", None)}
    )


def read_events(lines: Iterable[str]) -> Iterator[Event]:
    """The events among lines of a log; what is cut off, or not ours, is passed over."""
    for line in lines:
        _, found, text = line.partition(MARKER)
        if not found:
            continue
        try:
            fields = json.loads(text)
            yield Event(**{**fields, "kind": Kind(fields["kind"]), "at": float(fields["at"])})
        except (ValueError, TypeError, KeyError):
            continue
