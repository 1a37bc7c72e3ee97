"""How often to look, so that what it costs stays within what is allowed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

_SLOWEST = 0.5  # Hz: below it a window of 10 s holds too little to say anything
_SAVED = 0.5  # of a window's budget, at the most
_OWED = 1.5
_PAID = 1 / 3  # of a debt by each window
_STEP_UP = 3.0  # one quiet window must not undo what a loud one has taught


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be spent. `cores` of CPU for the sampler and py-spy together, `stopped` as a share
    of the time that the target stands still, `rate` in Hz that is never exceeded.
    """

    cores: float = 0.0175
    stopped: float = 0.0055
    rate: float = 20.0

    @property
    def is_boundless(self) -> bool:
        """May the sampler use a whole core and the target stand still all the time?"""
        return self.cores >= 1.0 and self.stopped >= 1.0

    def __post_init__(self) -> None:
        if not (self.cores > 0 and self.stopped > 0):  # nor may they be no numbers
            raise ValueError("a budget must allow something: cores and stopped above 0")
        if not 0 < self.rate <= 1000:
            raise ValueError("the rate must be between 0 and 1000 Hz")


@dataclass(frozen=True, slots=True)
class Cost:
    """What looking has cost: seconds of one stop, CPU seconds of one sample and of a whole window
    besides (to start py-spy and to read what it wrote). `first`: seconds of the stop with which
    each window begins, whatever its rate.
    """

    stop: float
    sample: float
    window: float
    first: float = 0.0

    def after(self, before: "Cost | None") -> "Cost":
        """As the average with what it was before: of one window it is known badly."""
        if before is None:
            return self
        return Cost(
            (self.stop + before.stop) / 2,
            (self.sample + before.sample) / 2,
            (self.window + before.window) / 2,
            (self.first + before.first) / 2,
        )


@dataclass(frozen=True, slots=True)
class Stop:
    """The target stood still for so many seconds, as far as it can be told. Did a thread work then,
    or want to? `most`: it cannot have been longer.
    """

    seconds: float
    at_work: bool
    most: float


@dataclass(frozen=True, slots=True)
class Debt:
    """What windows so far have spent beyond the budget, in the budget's units times windows. What
    they have left stands below 0.
    """

    cores: float = 0.0
    stopped: float = 0.0

    def after(self, budget: Budget, cores: float, stopped: float) -> "Debt":
        """With a window that has spent so much. Only a little of what it has left is saved up: a
        target that has rested for an hour is not to pay for it then.
        """
        return Debt(
            _owed(self.cores + cores - budget.cores, budget.cores),
            _owed(self.stopped + stopped - budget.stopped, budget.stopped),
        )

    def paid_from(self, budget: Budget) -> Budget:
        """What the next window may spend, half of the budget at least. A debt is paid in parts: of
        windows whose rates differ much, those with few samples say little of their share of time.
        """
        return replace(
            budget,
            cores=budget.cores - _PAID * self.cores,
            stopped=budget.stopped - _PAID * self.stopped,
        )


def _owed(amount: float, budget: float) -> float:
    return min(_OWED * budget, max(-_SAVED * budget, amount))


def calibrated(stops: Sequence[Stop]) -> float:
    """Seconds that a stop may take, out of a few. On a busy machine most of them end late, as it
    is somebody else's turn, and so those that ended early tell (the lower quartile). If that is too
    little, the windows that follow pay for it (Debt).
    """
    return sorted(each.most for each in stops)[len(stops) // 4] if stops else 0.0


def hindered(stops: Iterable[Stop], wakes: float) -> float:
    """Seconds of work that stops have held up, of a target whose threads wake so often a second.

    One that sleeps loses nothing, unless its sleep ends while it is stopped: then half of the stop
    on average.
    """
    return sum(
        each.seconds * (1.0 if each.at_work else min(1.0, wakes * each.seconds / 2))
        for each in stops
    )


def affordable(budget: Budget, cost: Cost, seconds: float) -> float:
    """The rate in Hz that keeps within the budget over a window of `seconds`.

    It is one sample a window at least: without any there would be nothing to show.
    """
    rates = [budget.rate]
    if cost.stop > 0:
        rates.append(max(0.0, budget.stopped - cost.first / seconds) / cost.stop)
    if cost.sample > 0:
        rates.append(max(0.0, budget.cores - cost.window / seconds) / cost.sample)
    return min(budget.rate, max(_SLOWEST, 1 / seconds, min(rates)))


def next_rate(budget: Budget, rate: float, cost: Cost, seconds: float) -> float:
    """The next window's rate, from what the last cost at `rate`. It rises slower than it falls."""
    return min(affordable(budget, cost, seconds), rate * _STEP_UP)
