"""A container's log as the kubelet hands it out with timestamps, and how far it was read. Pure."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..conditions import parse_timestamp

_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d) ")
# Kubelets before Kubernetes 1.26 put a time before each part of a line that is as long as this, or
# longer (kubernetes/kubernetes#77603). A packed window has none of its own.
_PART = 4 * 1024


@dataclass(frozen=True, slots=True)
class Line:
    """A line without its end. `at`: when it was written, in Unix seconds by the node's clock."""

    at: float
    text: str


def read_lines(text: str) -> Iterator[Line]:
    """The lines of a log that was asked for with timestamps; what has none is the kubelet's own."""
    for line in text.split("\n"):
        stamp = _STAMP.match(line)
        if stamp is not None:
            said = line[stamp.end() :]
            if len(said) >= _PART:
                said = _STAMP.sub("", said)
            yield Line(parse_timestamp(stamp[0].rstrip()), said)


@dataclass(frozen=True, slots=True)
class Place:
    """How far a log was read: what is wanted next was written at `since` or later (Unix seconds by
    the node's clock; None: all).

    A log is asked for from a whole second on, so `known`, by their hashes, come once more.
    """

    since: float | None = None
    known: frozenset[int] = frozenset()

    def new(self, lines: Sequence[Line]) -> list[Line]:
        """Those of the lines that were not there the last time."""
        return [line for line in lines if hash(line) not in self.known]

    def after(self, lines: Sequence[Line], *, complete: bool) -> "Place":
        """The place once these lines were read; `complete`: the log had no more."""
        if not lines:
            return self
        second = math.floor(lines[-1].at)
        if not complete and not self.new(lines):
            # More was written in one second than is read at a time: there is no end to it.
            return Place(second + 1.0)
        return Place(second, frozenset(hash(line) for line in lines if line.at >= second))
