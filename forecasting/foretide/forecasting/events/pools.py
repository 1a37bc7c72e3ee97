"""Estimates for keys of which little has been seen, drawn towards those of their kin."""

from collections.abc import Callable
from typing import Generic, TypeVar

import numpy as np

from .days import Floats
from .model import Event

# How many occurrences the wider pool is worth, and for the widest pool the absence of any effect.
_KIN, _NONE = 1.0, 0.5

T = TypeVar("T")


class Pools(Generic[T]):
    """Occurrences by key and by pool, each pool within the next wider one."""

    def __init__(self) -> None:
        self.members: dict[str, list[T]] = {}
        self._wider: dict[str, str | None] = {}

    def add(self, event: Event, seen: T) -> None:
        """One more occurrence, under its key and all of its pools."""
        chain = (event.key, *event.pools)
        for name, wider in zip(chain, (*chain[1:], None), strict=True):
            self.members.setdefault(name, []).append(seen)
            self._wider.setdefault(name, wider)

    def shrunk(
        self,
        estimate: Callable[[str, list[T]], Floats | float],
        *,
        doubt: float,
        widest: float = 0.0,
    ) -> dict[str, Floats]:
        """An estimate for each name, drawn towards that of its wider pool, at last to `widest`.

        Estimates that are NaN have no weight. `doubt` is how many occurrences noise takes away.
        """
        done: dict[str, Floats] = {}

        def value(name: str) -> Floats:
            if name not in done:
                wider, seen = self._wider[name], self.members[name]
                prior, worth = (
                    (np.float64(widest), _NONE) if wider is None else (value(wider), _KIN)
                )
                own = np.asarray(estimate(name, seen))
                weight = np.where(np.isfinite(own), len(seen) / (len(seen) + worth + doubt), 0.0)
                done[name] = weight * np.nan_to_num(own) + (1 - weight) * prior
            return done[name]

        return {name: value(name) for name in self.members}
