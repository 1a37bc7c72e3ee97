"""No query gets slower: which of the new indexes to drop again, by times of real runs.

What the planner promises is not what runs bring: a wrong guess of how many rows there are makes it
take a nested loop through an index that it would better have left alone. So each query is run with
the indexes and without them (`trying.py` does it), and of the indexes that a slower query uses, the
guilty one goes, until no query is slower than it was.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

# A query is slower if it takes this share longer, and so many milliseconds.
SLOWER_SHARE = 0.2
SLOWER_MS = 30.0


@dataclass(frozen=True, slots=True)
class Trial:
    """A query run several times: milliseconds of each run, the planner's cost, and which indexes
    its plan used, by name.
    """

    ms: tuple[float, ...]
    cost: float = 0.0
    indexes: frozenset[str] = frozenset()

    @property
    def best(self) -> float:
        """The shortest run: what comes on top is others' work."""
        return min(self.ms)


@dataclass(frozen=True, slots=True)
class Regression:
    """A query that got slower: milliseconds before and after, and the indexes of ours it uses."""

    query: str
    before: float
    after: float
    indexes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Settled:
    """The indexes that stay and those that go, in the order in which they went. `trials` are with
    those that stay. `regressions`: queries slower than before that use none of our indexes, so that
    dropping them would mend nothing.
    """

    kept: frozenset[str]
    reverted: tuple[str, ...]
    trials: Mapping[str, Trial]
    regressions: tuple[Regression, ...] = ()


# Runs queries with exactly these indexes of ours there; the last: anew, whatever is known of them.
Measure = Callable[[frozenset[str], Sequence[str], bool], Mapping[str, Trial]]


def is_slower(before: Trial, after: Trial) -> bool:
    """Whether even the shortest run now is slower than the shortest one then, by both measures."""
    return after.best > (1 + SLOWER_SHARE) * before.best and after.best - before.best > SLOWER_MS


def regressions(
    before: Mapping[str, Trial], after: Mapping[str, Trial], indexes: Iterable[str]
) -> tuple[Regression, ...]:
    """All slower queries, the worst first."""
    ours = frozenset(indexes)
    found = [
        Regression(query, before[query].best, trial.best, trial.indexes & ours)
        for query, trial in after.items()
        if query in before and is_slower(before[query], trial)
    ]
    return tuple(sorted(found, key=lambda each: (each.before - each.after, each.query)))


def settled(
    before: Mapping[str, Trial],
    indexes: Iterable[str],
    measure: Measure,
    *,
    weights: Mapping[str, float] | None = None,
) -> Settled:
    """Drops indexes until no query is slower than `before`, seen twice each.

    `measure(kept, queries, again)` runs these queries with exactly the indexes `kept`; it is asked
    `again` about what looks slower, and about queries without each of the indexes that a slower one
    uses. That goes without which most of them are as fast as before; of several the one that the
    workload misses least, by costs, each times the query's weight (its calls; 1 without `weights`).
    """
    kept = frozenset(indexes)
    reverted: list[str] = []
    trials = dict(measure(kept, sorted(before), False))
    while True:
        slow = _confirmed(before, trials, kept, measure)
        mended = {
            name: _mended(name, kept, before, slow, measure)
            for name in sorted({name for each in slow for name in each.indexes})
        }
        if not mended:
            return Settled(kept, tuple(reverted), trials, slow)
        # To run all that use an index takes time: it is done for those that may be guilty.
        most = max(mended.values())
        without = [
            _without(name, kept, trials, measure, weights)
            for name, number in mended.items()
            if number == most
        ]
        guilty = min(without, key=lambda one: (one.loss, one.index))
        reverted.append(guilty.index)
        kept -= {guilty.index}
        trials.update(guilty.trials)


def _confirmed(
    before: Mapping[str, Trial],
    trials: dict[str, Trial],
    kept: frozenset[str],
    measure: Measure,
) -> tuple[Regression, ...]:
    """Runs what looks slower once more: the shortest of all runs counts."""
    slow = [each.query for each in regressions(before, trials, kept)]
    if slow:
        for query, again in measure(kept, slow, True).items():
            runs = (*trials[query].ms, *again.ms)
            trials[query] = Trial(runs, again.cost, again.indexes)
    return regressions(before, trials, kept)


def _mended(
    index: str,
    kept: frozenset[str],
    before: Mapping[str, Trial],
    slow: Sequence[Regression],
    measure: Measure,
) -> int:
    """How many of the slower queries are as fast as before without an index."""
    users = [each.query for each in slow if index in each.indexes]
    found = measure(kept - {index}, users, False)
    return sum(not is_slower(before[query], trial) for query, trial in found.items())


@dataclass(frozen=True, slots=True)
class _Without:
    """What becomes of the queries that use an index without it."""

    index: str
    loss: float
    trials: Mapping[str, Trial]


def _without(
    index: str,
    kept: frozenset[str],
    trials: Mapping[str, Trial],
    measure: Measure,
    weights: Mapping[str, float] | None,
) -> _Without:
    users = [query for query in sorted(trials) if index in trials[query].indexes]
    found = measure(kept - {index}, users, False)
    loss = sum(
        (trial.cost - trials[query].cost) * (1.0 if weights is None else weights.get(query, 0.0))
        for query, trial in sorted(found.items())
    )
    return _Without(index, loss, found)
