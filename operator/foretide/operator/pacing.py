"""How fast fits may follow one another, and whose turn it is.

A fit takes some seconds of CPU. Decisions come first, and so do the neighbours on the node: all
workers together get a share of a core, in the long run. What was not used may be used later, up to
a burst, so that a handful of resources are fitted at once.
"""

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field

# CPU seconds: what may be saved up, and what a fit is thought to cost before one has been made.
BURST = 60.0
_USUAL = 6.0
_MEMORY = 0.8


@dataclass(slots=True)
class Pace:
    """A token bucket of CPU seconds, filled by `cores` a second; `now` is in seconds, of any clock.

    A fit may start while there is something in it, so what it will have cost need not be known.
    """

    cores: Callable[[], float]
    burst: float = BURST
    _level: float | None = None
    _at: float = 0.0

    def delay(self, now: float) -> float:
        """For how many seconds no fit may start."""
        level = self._fill(now)
        return 0.0 if level > 0 else (0.001 - level) / max(self.cores(), 0.001)

    def spend(self, seconds: float, now: float) -> None:
        """So much CPU has been used; negative gives back."""
        self._level = min(self.burst, self._fill(now) - seconds)

    def _fill(self, now: float) -> float:
        if self._level is None:
            self._level = self.burst
        else:
            gained = self.cores() * max(0.0, now - self._at)
            self._level = min(self.burst, self._level + gained)
        self._at = now
        return self._level


@dataclass(slots=True)
class Turns:
    """At most `places` at once, and as fast as the pace allows."""

    places: int
    pace: Pace
    clock: Callable[[], float] = time.monotonic
    _waiting: "list[tuple[bool, int, asyncio.Future[float]]]" = field(default_factory=list)
    _order: "itertools.count[int]" = field(default_factory=itertools.count)
    _usual: float = _USUAL
    _timer: asyncio.TimerHandle | None = None

    async def take(self, *, first: bool = False) -> float:
        """Wait for a turn; those that come `first` are called before all others.

        Returns the CPU seconds that it is thought to cost, to be given back with it.
        """
        turn: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (not first, next(self._order), turn))
        self._call()
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back(turn.result(), 0.0)
            raise

    def give_back(self, thought: float, cost: float) -> None:
        """Let the next one have its turn; this one was thought to cost so much, and did cost."""
        self.pace.spend(cost - thought, self.clock())
        if cost > 0:
            self._usual = _MEMORY * self._usual + (1 - _MEMORY) * cost
        self.places += 1
        self._call()

    def stop(self) -> None:
        """Call nobody by a timer any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _call(self) -> None:
        self.stop()
        while self._waiting and self.places > 0:
            if self._waiting[0][2].done():  # given up meanwhile
                heapq.heappop(self._waiting)
                continue
            now = self.clock()
            if (delay := self.pace.delay(now)) > 0:
                self._timer = asyncio.get_running_loop().call_later(delay, self._call)
                return
            _, _, turn = heapq.heappop(self._waiting)
            self.places -= 1
            self.pace.spend(self._usual, now)
            turn.set_result(self._usual)
