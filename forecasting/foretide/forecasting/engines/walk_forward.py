"""Walk-forward evaluation: fit to the beginning of a history, look at what came after."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from ..series import Series, Values
from .base import DAY, Fitted, Ints, Outlook

# The newest half of a history is looked at, but no more than so much of it.
_LONGEST = 28 * DAY
_PARTS = 3


@dataclass(frozen=True, slots=True)
class Fold:
    """Fit to the values before `end`, look at those from there to `until` (indices)."""

    end: int
    until: int


def folds(history: Series) -> tuple[Fold, ...]:
    """The newest half of a history, at most four weeks, in equal parts."""
    length = min(len(history) // 2, round(_LONGEST / history.step)) // _PARTS
    ends = [len(history) - (_PARTS - part) * length for part in range(_PARTS)]
    return tuple(Fold(end, end + length) for end in ends)


def head(history: Series, length: int) -> Series:
    """The first values of a history."""
    return Series(history.start, history.step, history.values[:length])


def tail(history: Series, most: int) -> Series:
    """The last values of a history."""
    first = max(0, len(history) - most)
    return Series(history.start + first * history.step, history.step, history.values[first:])


@dataclass(frozen=True, slots=True, eq=False)
class Errors:
    """What a model said at pairs that it had not seen, and what came (all of shape: pairs).

    `times` are those at which the targets begin (Unix seconds).
    """

    leads: Ints
    times: Values
    truth: Values
    outlook: Outlook

    @classmethod
    def of(cls, fitted: Fitted, history: Series, origins: Ints, leads: Ints) -> Self:
        """At pairs of a history whose targets it holds."""
        return cls(
            leads,
            times_of(history, origins, leads),
            history.values[origins + leads - 1],
            fitted.outlook(history, origins, leads),
        )

    @classmethod
    def joined(cls, parts: Sequence["Errors"]) -> Self:
        """All of several."""
        return cls(
            np.concatenate([part.leads for part in parts]),
            np.concatenate([part.times for part in parts]),
            np.concatenate([part.truth for part in parts]),
            Outlook(
                np.concatenate([part.outlook.location for part in parts]),
                np.concatenate([part.outlook.scale for part in parts]),
            ),
        )

    @property
    def standardised(self) -> Values:
        """Errors in units of the scale that was expected."""
        return (self.truth - self.outlook.location) / self.outlook.scale

    @property
    def span(self) -> float:
        """From the first target to the last, in seconds."""
        return float(np.ptp(self.times)) if len(self.times) else 0.0


def times_of(history: Series, origins: Ints, leads: Ints) -> Values:
    """When the targets of pairs begin (Unix seconds)."""
    return np.asarray(history.start + history.step * (origins + leads - 1))


def pinball(truth: Values, quantile: Values, level: float) -> Values:
    """The pinball loss: what is too low costs `level`, what is too high 1 - `level`, per unit."""
    off = truth - quantile
    return np.maximum(level * off, (level - 1) * off)
