"""How often to look, so that what it costs stays within what is allowed."""

from dataclasses import dataclass
from statistics import median

_SLOWEST = 0.5  # Hz: below it a window of 10 s holds too little to say anything
_STEP_UP = 3.0  # one quiet window must not undo what a loud one has taught


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be spent. `cores` of CPU for the sampler and py-spy together, `stopped` as a share
    of the time that the target stands still, `rate` in Hz that is never exceeded.
    """

    cores: float = 0.016
    stopped: float = 0.0055
    rate: float = 20.0

    @property
    def is_boundless(self) -> bool:
        """May the sampler use a whole core and the target stand still all the time?"""
        return self.cores >= 1.0 and self.stopped >= 1.0

    def __post_init__(self) -> None:
        if self.cores <= 0 or self.stopped <= 0:
            raise ValueError("a budget must allow something: cores and stopped above 0")
        if not 0 < self.rate <= 1000:
            raise ValueError("the rate must be between 0 and 1000 Hz")


@dataclass(frozen=True, slots=True)
class Cost:
    """What looking has cost: seconds of one stop, CPU seconds of one sample and of a whole window
    besides (to start py-spy and to read what it wrote).
    """

    stop: float
    sample: float
    window: float


def calibrated(stops: list[float]) -> float:
    """Seconds of a typical stop out of a few: in the longest it was somebody else's turn."""
    return median(stops) if stops else 0.0


def affordable(budget: Budget, cost: Cost, seconds: float) -> float:
    """The rate in Hz that keeps within the budget over a window of `seconds`."""
    rates = [budget.rate]
    if cost.stop > 0:
        rates.append(budget.stopped / cost.stop)
    if cost.sample > 0:
        rates.append(max(0.0, budget.cores - cost.window / seconds) / cost.sample)
    return min(budget.rate, max(_SLOWEST, min(rates)))


def next_rate(budget: Budget, rate: float, cost: Cost, seconds: float) -> float:
    """The next window's rate, from what the last cost at `rate`. It rises slower than it falls."""
    return min(affordable(budget, cost, seconds), rate * _STEP_UP)
