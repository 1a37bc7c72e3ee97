"""When to look: at a random moment in each of many equal slots of time (stratified sampling).

Random moments cannot fall into step with what the target does, and one in each slot they vary less
in number than those of a Poisson process. Each leaves some time to the next: a stop wakes threads
that wait, and where cores are taken it is a while until they wait again.
"""

import random
import time

_USED = 0.75  # of each slot


class Slots:
    """Moments at `rate` a second, in monotonic seconds. `late` counts those missed by far."""

    def __init__(self, rate: float, generator: random.Random | None = None) -> None:
        self.late = 0
        self._random = generator or random.Random()
        self.begin(rate, time.monotonic())

    def begin(self, rate: float, now: float) -> None:
        """Start anew."""
        self.rate = rate
        self.late = 0
        self._slot = now
        self._draw()

    def _draw(self) -> None:
        self.due = self._slot + _USED * self._random.random() / self.rate
        self._slot += 1 / self.rate

    def taken(self, now: float) -> None:
        """The moment that was due has been used at `now`; slots that have passed by are lost."""
        if now - self.due > 0.25 / self.rate:
            self.late += 1
        self._draw()
        while self._slot < now:
            self._draw()
            self.late += 1
