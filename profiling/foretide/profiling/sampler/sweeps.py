"""Looks at /proc between samples: they stop nothing, so they may be more often than samples.

Where stopping a target costs much, samples become rare; what it waits for must still be told. But a
look after a rest costs nearly half of what a sample does, which is one, too: there are only as many
as it takes. They have a part of the CPU that the budget allows, and give way where there are many
threads.
"""

import time

from .budget import Budget
from .slots import Slots
from .target import Target

_SHARE = 0.35  # of the budget's CPU
_ENOUGH, _SLOWEST = 8.0, 1.0  # Hz, the samples' own looks included
_USUAL = 50e-6  # CPU seconds for each thread, until it has been measured


class Sweeps:
    """The looks of one process after another window. `cpu`: what they have cost in this one."""

    def __init__(self, target: Target, budget: Budget) -> None:
        self.target = target
        self.budget = budget
        self.cpu = 0.0
        self._taken = 0
        self._each = 0.0
        self._needed = True
        self._slots = Slots(_ENOUGH)

    @property
    def due(self) -> float:
        """When the next look is due, in monotonic seconds."""
        return self._slots.due if self._needed else float("inf")

    def expected(self, seconds: float, rate: float) -> float:
        """CPU seconds that the looks of such a window will cost, beside samples at this rate."""
        return self._rate(rate) * self._cost() * seconds

    def begin(self, rate: float) -> None:
        """A window starts, with samples at this rate: each of them is a look, too."""
        self.cpu, self._taken = 0.0, 0
        own = self._rate(rate)
        self._needed = own > 0
        self._slots.begin(own or _SLOWEST, time.monotonic())

    def sweep(self, now: float) -> None:
        """Take the look that is due. Raises TargetGone."""
        self._slots.taken(now)
        before = time.thread_time()
        self.target.look()
        self.cpu += time.thread_time() - before
        self._taken += 1
        self._each = self.cpu / self._taken

    def _cost(self) -> float:
        return self._each or _USUAL * max(1, len(self.target.watched))

    def _rate(self, samples: float) -> float:
        """Hz; 0 where the samples are enough."""
        missing = _ENOUGH - samples
        if missing < _SLOWEST:
            return 0.0
        return min(missing, max(_SLOWEST, _SHARE * self.budget.cores / self._cost()))
