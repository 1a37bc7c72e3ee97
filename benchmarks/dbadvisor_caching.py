"""Projected hit rates of a cache against those of the cache itself, on made traffic.

    python benchmarks/dbadvisor_caching.py --json out/dbadvisor_caching.json

The projection sees what a collector sees in half an hour: how often the query was called and its
tables were changed in each minute, and twice a second for five of them; constants of a sample of
its executions. The replay runs the cache's own memory on every read and change, in the hour and a
half that follows, which the projection has not seen: it is of traffic that goes on as it was seen.
Of some cases calls were looked at for a day before, each quarter of an hour, and the day that
follows is replayed. Some cases were held back while the projection was made; others were until
they had shown faults, which have been mended.

Fields of the JSON:
  cache_hit_error_pp       the worst projection of each case that the advisor would have made
  cache_hit_error_held_pp  the same of the cases that were held back
  cache_refused            the share of projections that the advisor would not have made
  cache_hit_ms             what a hit takes, on loopback (median)
  cache_miss_ms            what a miss takes more than the query itself
"""

import argparse
import bisect
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

# For `python benchmarks/dbadvisor_caching.py`, which puts only this folder on the path.
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.dbadvisor_traffic import Traffic, cases, moments
from benchmarks.telling import write_json
from foretide.dbadvisor import projecting
from foretide.dbadvisor.cache import Cache, install
from foretide.dbadvisor.cache_replay import Moment, replay
from foretide.dbadvisor.caching import MOST_UNCERTAIN
from foretide.dbadvisor.executed import Execution
from foretide.dbadvisor.hit_rate import ONE_KEY
from foretide.dbadvisor.popularity import Repeats, of_executions
from foretide.dbadvisor.pulses import SECONDS, STEP, seen
from foretide.dbadvisor.rhythm import Rhythm
from foretide.dbadvisor.shares import estimated
from foretide.dbadvisor.snapshot import Pulse, Query, Workload
from sandbox.postgres import running
from sandbox.postgres_binaries import debian

SEEN = 1800.0  # s that the projection is made of
MINUTE = 60.0
REPLAYED = 5400.0
DAY = 86_400.0
QUARTER = 900.0
WARM_UP = 1800.0  # of what is replayed; a TTL if that is longer
TTLS = (1.0, 10.0, 60.0, 300.0, 1200.0)
LONG_TTLS = (5.0, 30.0, 3600.0)
LOOK_SECONDS = 0.03  # how late a look may be
TIMED = 2000


@dataclass(frozen=True)
class Outcome:
    """A hit rate as projected, with half the width of its interval, and as replayed."""

    projected: float
    doubt: float
    real: float

    @property
    def told(self) -> bool:
        """Whether the advisor would have spoken of this TTL."""
        return self.doubt <= MOST_UNCERTAIN

    @property
    def error(self) -> float:
        """Percentage points."""
        return 100 * abs(self.projected - self.real)


def outcomes(traffic: Traffic, seed: int, *, close: bool = True) -> Mapping[str, Outcome]:
    """By TTL, with and without invalidation."""
    chance = random.Random(f"{seed} {traffic.name}")
    ahead = DAY if traffic.day else 0.0
    lasts = DAY if traffic.day else REPLAYED
    every = [
        Moment(each.at - ahead, each.key) for each in moments(traffic, ahead + SEEN + lasts, chance)
    ]
    before = [each for each in every if 0 <= each.at < SEEN]
    repeats = _repeats(traffic, before, chance)
    expected = projecting.Traffic(
        sum(each.key is not None for each in before) / SEEN,
        sum(each.key is None for each in before) / SEEN,
        _rhythm(every, chance, close, ahead),
    )
    after = [Moment(each.at - SEEN, each.key) for each in every if each.at >= SEEN]
    found: dict[str, Outcome] = {}
    for ttl in (*TTLS, *LONG_TTLS) if traffic.held else TTLS:
        for invalidated in (False, True):
            least, most = projecting.projected(repeats, expected, ttl, invalidated=invalidated)
            if invalidated and not traffic.changes:
                real = found[f"{ttl:g} s"].real
            else:
                real = replay(after, ttl, invalidation=invalidated, counted_from=max(WARM_UP, ttl))
            name = f"{ttl:g} s{' with invalidation' if invalidated else ''}"
            found[name] = Outcome((least + most) / 2, (most - least) / 2, real)
    return found


def _repeats(traffic: Traffic, before: list[Moment], chance: random.Random) -> Repeats:
    if traffic.keys == 1:
        return Repeats(ONE_KEY)
    sample = [
        Execution(each.at, (each.key,))
        for each in before
        if each.key is not None and chance.random() < traffic.sampled
    ]
    if traffic.ordered:
        return of_executions(sample, sum(each.key is not None for each in before))
    return Repeats(estimated(Counter(each.parameters for each in sample).values()))


def _rhythm(every: list[Moment], chance: random.Random, close: bool, ahead: float) -> Rhythm | None:
    """As counters show it: of the query, "1", and of the statement that changes its table, "2"."""
    reads = [each.at for each in every if each.key is not None]
    changes = [each.at for each in every if each.key is None]

    def counted(until: float) -> tuple[int, int]:
        return bisect.bisect_left(reads, until), bisect.bisect_left(changes, until)

    windows = []
    for minute in range(int(SEEN / MINUTE)):
        begun, ended = counted(minute * MINUTE), counted((minute + 1) * MINUTE)
        calls = [float(after - had) for had, after in zip(begun, ended, strict=True)]
        queries = tuple(Query(str(n + 1), "", count, 0.0) for n, count in enumerate(calls))
        windows.append(Workload(queries, MINUTE))
    pulses = []
    begin = chance.uniform(0, SEEN - SECONDS - 1)
    for number in range(round(SECONDS / STEP) + 1 if close else 0):
        at = begin + number * STEP + chance.random() * LOOK_SECONDS
        pulses.append(Pulse(at, dict(enumerate(counted(at), 1))))
    marks = []
    for number in range(int((ahead + SEEN) / QUARTER) + 1 if ahead else 0):
        at = number * QUARTER - ahead
        marks.append(Pulse(at, dict(enumerate(counted(at), 1))))
    return seen(windows, pulses, marks).rhythm("1", ["2"])


def measure(seed: int = 1) -> dict[Traffic, Mapping[str, Outcome]]:
    """What came of each traffic."""
    return dict(one_by_one(cases(), seed))


def one_by_one(
    traffics: Sequence[Traffic], seed: int
) -> Iterator[tuple[Traffic, Mapping[str, Outcome]]]:
    """What comes of each, in their order; on all cores, and the same on any number."""
    with ProcessPoolExecutor() as pool:
        yield from zip(traffics, pool.map(partial(outcomes, seed=seed), traffics), strict=True)


def worst(
    found: Mapping[Traffic, Mapping[str, Outcome]], *, held: bool | None = None
) -> dict[str, float]:
    """The worst of each traffic's projections, percentage points, by the traffic's name."""
    return {
        traffic.name: max((each.error for each in some.values() if each.told), default=0.0)
        for traffic, some in found.items()
        if held is None or traffic.held == held
    }


def refused(found: Mapping[Traffic, Mapping[str, Outcome]]) -> float:
    """The share of projections that the advisor would not have made."""
    told = [each.told for some in found.values() for each in some.values()]
    return 1 - sum(told) / len(told)


def times() -> dict[str, float]:
    """What the cache itself takes, ms: against a real PostgreSQL on loopback."""
    with (
        running(debian(), {}) as server,
        psycopg.connect(server.url(), autocommit=True) as connection,
        Cache(listen=server.url()) as cache,
    ):
        connection.execute("CREATE TABLE item (id int PRIMARY KEY, name text)")
        connection.execute("INSERT INTO item SELECT n, 'name' FROM generate_series(1, 1000) n")
        connection.execute(install(["public.item"]))
        query = "SELECT name FROM item WHERE id = %s"

        def miss() -> None:
            cache.clear()
            cache.fetch(connection, query, (7,))

        direct = _median(lambda: connection.execute(query, (7,)).fetchall())
        missed = _median(miss)
        cache.fetch(connection, query, (7,))
        hit = _median(lambda: cache.fetch(connection, query, (7,)))
    return {"cache_hit_ms": hit, "cache_miss_ms": missed - direct}


def _median(call: Callable[[], Any]) -> float:
    """Milliseconds of one of many calls."""
    taken = []
    for _ in range(TIMED):
        begun = time.perf_counter()
        call()
        taken.append(1000 * (time.perf_counter() - begun))
    return statistics.median(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description="Projected hit rates against replayed ones.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-held", action="store_true", help="leave out what was held back")
    parser.add_argument("--only", metavar="TEXT", help="cases whose names have this in them")
    options = parser.parse_args()
    found = {}
    wanted = [each for each in cases() if not (each.held and options.no_held)]
    wanted = [each for each in wanted if (options.only or "") in each.name]
    for traffic, outcome in one_by_one(wanted, options.seed):
        found[traffic] = outcome
        print(traffic.name + (", held back" if traffic.held else ""), flush=True)
        for ttl, each in outcome.items():
            told = f"± {100 * each.doubt:4.1f}" if each.told else "not told"
            print(
                f"  {ttl:28} projected {each.projected:6.1%} {told:8}  replayed {each.real:6.1%}"
                f"{'   !' if each.told and each.error > 10 else ''}"
            )
    figures: dict[str, Any] = {
        "cache_hit_error_pp": worst(found),
        "cache_hit_error_held_pp": worst(found, held=True),
        "cache_refused": refused(found),
        **times(),
    }
    for name, figure in figures.items():
        shown = max(figure.values(), default=0.0) if isinstance(figure, dict) else figure
        print(f"{name:26}{shown:8.3f}")
    if options.json is not None:
        write_json(figures, options.json)


if __name__ == "__main__":
    main()
