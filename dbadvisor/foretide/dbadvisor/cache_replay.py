"""A cache replayed on reads and changes that were recorded: what a projection is held against."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from psycopg import pq

from foretide.dbadvisor.cache.backend import Change
from foretide.dbadvisor.cache.memory import Memory
from foretide.dbadvisor.cache.results import Result

_ANSWER = Result((pq.PGresAttDesc(b"", 0, 0, 0, 23, 4, -1),), ((b"1",),))


@dataclass(frozen=True, slots=True, order=True)
class Moment:
    """A read of `key`, or a change of the tables behind all keys (`key` None), at `at` s."""

    at: float
    key: str | None


@dataclass(slots=True)
class _Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def replay(
    moments: Iterable[Moment],
    ttl: float,
    *,
    invalidation: bool,
    counted_from: float = 0.0,
    max_bytes: int = 2**30,
) -> float:
    """Which share of reads the cache's own memory would have answered, from `counted_from` on.

    `moments` in the order of their time. A load takes no time.
    """
    clock = _Clock()
    memory = Memory(max_bytes, clock=clock)
    tables: Sequence[str] = ("public.t",)
    hits = reads = 0
    for moment in moments:
        clock.now = moment.at
        if moment.key is None:
            if invalidation:
                memory.changed([Change(tables[0], "")])
            continue
        counted = moment.at >= counted_from
        reads += counted
        key = moment.key.encode()
        if memory.get(key) is not None:
            hits += counted
        else:
            memory.put(key, memory.ticket(), tables, _ANSWER, ttl)
    return hits / reads if reads else 0.0
