"""Pods that take time to become ready."""

from dataclasses import dataclass, field

import numpy as np

from ..series import Values


@dataclass(slots=True)
class Pods:
    """The pods of one workload: asked for, started, ready, and removed again.

    `delay` is in seconds, from the change of replicas to a ready pod; `jitter` is the share of it
    by which starts differ (uniform, both ways), drawn from `seed`.
    """

    delay: float
    jitter: float = 0.0
    seed: int = 0
    _ready_at: list[float] = field(default_factory=list)
    _spans: list[tuple[float, Values]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = np.random.default_rng(self.seed)

    _random: np.random.Generator = field(init=False)

    def start_with(self, replicas: int, now: float) -> None:
        """Pods that have been there for long."""
        self._ready_at = [-np.inf] * replicas
        self._remember(now)

    def scale(self, replicas: int, now: float) -> None:
        """Ask for another number of pods."""
        missing = replicas - len(self._ready_at)
        if missing > 0:
            spread = self._random.uniform(-self.jitter, self.jitter, missing)
            self._ready_at += (now + self.delay * (1 + spread)).tolist()
            self._ready_at.sort()
        else:
            # Kubernetes removes those first that are not ready, the youngest of them first.
            del self._ready_at[replicas:]
        self._remember(now)

    def ready(self, moments: Values) -> Values:
        """How many pods are ready at each of the ascending moments."""
        counts = np.zeros(len(moments))
        ends = [begins for begins, _ in self._spans[1:]] + [np.inf]
        first = 0
        for (_, ready_at), end in zip(self._spans, ends, strict=True):
            last = int(np.searchsorted(moments, end, side="left"))
            if last > first:
                inside = moments[first:last]
                counts[first:last] = np.searchsorted(ready_at, inside, side="right")
                first = last
        return counts

    def _remember(self, now: float) -> None:
        self._spans.append((now, np.array(self._ready_at)))
