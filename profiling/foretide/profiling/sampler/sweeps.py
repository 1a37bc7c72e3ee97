"""Looks at /proc between samples: they stop nothing, so they may be more often than samples.

Where stopping a target costs much, samples become rare; what it waits for must still be told. Looks
have a part of the CPU that the budget allows, and give way where there are many threads.
"""

import time

from .budget import Budget
from .slots import Slots
from .target import Target

_SHARE = 0.35  # of the budget's CPU
_FASTEST, _SLOWEST = 20.0, 1.0  # Hz
_USUAL = 50e-6  # CPU seconds for each thread, until it has been measured


class Sweeps:
    """The looks of one process after another window. `cpu`: what they have cost in this one."""

    def __init__(self, target: Target, budget: Budget) -> None:
        self.target = target
        self.budget = budget
        self.cpu = 0.0
        self._taken = 0
        self._each = 0.0
        self._slots = Slots(_FASTEST)

    @property
    def due(self) -> float:
        """When the next look is due, in monotonic seconds."""
        return self._slots.due

    def expected(self, seconds: float) -> float:
        """CPU seconds that the looks of such a window will cost."""
        return self._rate() * self._cost() * seconds

    def begin(self) -> None:
        """A window starts."""
        self.cpu, self._taken = 0.0, 0
        self._slots.begin(self._rate(), time.monotonic())

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

    def _rate(self) -> float:
        return min(_FASTEST, max(_SLOWEST, _SHARE * self.budget.cores / self._cost()))
