"""Windows of a process are kept a minute at a time, so that their names are kept once. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass

from foretide.profiling.window import Window
from foretide.store.profiles import Target

SECONDS = 60
_GRACE = 30.0  # windows come when they end, and take their way through the pod's log
_REMEMBERED = 3_600.0  # a minute that is over gets no windows that are later than this
_MOST_OPEN = 600  # windows of a minute and a process: ten a second are ever so many


@dataclass(frozen=True, slots=True)
class Bundle:
    """Windows of one process that began within one minute, by their start.

    `start` (Unix seconds) is the minute's, not the first window's: so it names the same minute when
    its windows are read again and the log has lost some, and the more complete one is kept. Of
    windows that come after that minute was closed it is the first one's: they are kept beside it.
    """

    target: Target
    pid: int
    start: float
    windows: tuple[Window, ...]

    @property
    def end(self) -> float:
        """When the last of them ends."""
        return max(window.started_at + window.seconds for window in self.windows)


_Key = tuple[tuple[str, ...], int, int]


class Bundles:
    """Puts windows together."""

    def __init__(self) -> None:
        self._open: dict[_Key, tuple[Target, dict[float, Window]]] = {}
        self._closed: dict[_Key, float] = {}  # and when, by our clock

    def add(self, target: Target, window: Window) -> None:
        """Take in a window; one that is read again from a log is known already."""
        slot = int(window.started_at // SECONDS)
        key = (_named(target), window.pid, slot)
        _, windows = self._open.setdefault(key, (target, {}))
        if len(windows) < _MOST_OPEN:
            windows[window.started_at] = window

    def close_due(self, now: float, *, everything: bool = False) -> list[Bundle]:
        """The bundles to which nothing comes any more, or all."""
        due = [
            key
            for key in self._open
            if everything or now >= (key[2] + 1) * SECONDS + _longest(self._open[key][1]) + _GRACE
        ]
        made = []
        for key in due:
            made.append(_bundle(key, *self._open.pop(key), late=key in self._closed))
            self._closed[key] = now
        self._closed = {key: at for key, at in self._closed.items() if now - at < _REMEMBERED}
        return made

    def __len__(self) -> int:
        return sum(len(windows) for _, windows in self._open.values())


def _named(target: Target) -> tuple[str, ...]:
    labels = [text for pair in sorted(target.labels.items()) for text in pair]
    named = (target.namespace, target.workload, target.container, target.pod, target.version)
    return (*named, *labels)


def _longest(windows: Mapping[float, Window]) -> float:
    return max(window.seconds for window in windows.values())


def _bundle(key: _Key, target: Target, windows: Mapping[float, Window], *, late: bool) -> Bundle:
    _, pid, slot = key
    ordered = tuple(windows[at] for at in sorted(windows))
    start = ordered[0].started_at if late else float(slot * SECONDS)
    return Bundle(target, pid, start, ordered)
