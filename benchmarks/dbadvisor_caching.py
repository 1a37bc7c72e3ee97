"""Projected hit rates of a cache against those of the cache itself, on made traffic.

The projection sees what a collector sees: how often the query was called, constants of a sample of
its executions, and how often its tables changed. The replay runs the cache's own memory on every
read and change, in an hour that the projection has not seen.
"""

import argparse
import bisect
import itertools
import random
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.telling import write_json
from foretide.dbadvisor.cache_replay import Moment, replay
from foretide.dbadvisor.caching import MOST_UNCERTAIN
from foretide.dbadvisor.hit_rate import bounds, estimated, lifetime

SEEN = 1800.0  # s that the projection is made of
REPLAYED = 3600.0
WARM_UP = 0.5  # of what is replayed
TTLS = (1.0, 10.0, 60.0, 300.0, 1200.0)


@dataclass(frozen=True)
class Traffic:
    """Reads a second of `keys` keys with Zipf's exponent, how they come, and changes a second.

    `rhythm`: "even" (Poisson), "swell" (a slow wave, from 0.4 to 1.6 of it).
    """

    keys: int
    exponent: float
    reads: float
    rhythm: str
    changes: float
    sampled: float

    @property
    def name(self) -> str:
        return (
            f"{self.keys} keys, zipf {self.exponent:g}, {self.reads:g}/s {self.rhythm},"
            f" {self.changes:g} changes/s, 1 of {1 / self.sampled:.0f} seen"
        )


def cases() -> list[Traffic]:
    popularity = [(20, 0.0), (2000, 0.0), (200, 0.8), (5000, 1.0), (50_000, 0.9), (1_000_000, 1.1)]
    weather = [("even", 0.0, 1.0), ("even", 0.02, 0.03), ("swell", 0.005, 0.2)]
    weather += [("swell", 0.2, 0.1)]
    return [
        Traffic(keys, exponent, 8.0, rhythm, changes, sampled)
        for (keys, exponent), (rhythm, changes, sampled) in itertools.product(popularity, weather)
    ]


def _level(rhythm: str, at: float) -> float:
    """How busy it is, 1 on average."""
    if rhythm == "swell":
        return 1.0 + 0.6 * (1 - 2 * abs((at / 900) % 2 - 1))
    return 1.0


def moments(traffic: Traffic, seconds: float, chance: random.Random) -> Iterator[Moment]:
    """Reads and changes in the order of their time."""
    weights = itertools.accumulate(
        1 / rank**traffic.exponent for rank in range(1, traffic.keys + 1)
    )
    summed = list(weights)
    peak = 1.6
    rate = traffic.reads * peak + traffic.changes
    at = chance.expovariate(rate)
    while at < seconds:
        which = chance.random() * rate
        if which < traffic.changes:
            yield Moment(at, None)
        elif chance.random() * peak < _level(traffic.rhythm, at):
            yield Moment(at, str(bisect.bisect(summed, chance.random() * summed[-1])))
        at += chance.expovariate(rate)


def errors(traffic: Traffic, seed: int) -> Mapping[str, tuple[float, float]]:
    """Projected and replayed hit rate by TTL, with and without invalidation."""
    chance = random.Random(seed)
    before = list(moments(traffic, SEEN, chance))
    reads = [moment.key for moment in before if moment.key is not None]
    changes = (len(before) - len(reads)) / SEEN
    popularity = estimated(Counter(k for k in reads if chance.random() < traffic.sampled).values())
    after = list(moments(traffic, REPLAYED, chance))
    found = {}
    for ttl, invalidation in itertools.product(TTLS, (False, True)):
        life = lifetime(ttl, changes if invalidation else 0.0)
        least, most = bounds(popularity, len(reads) / SEEN, life)
        if most - least > 2 * MOST_UNCERTAIN:
            continue  # the advisor does not speak of this TTL either
        projected = (least + most) / 2
        real = replay(after, ttl, invalidation=invalidation, counted_from=REPLAYED * WARM_UP)
        found[f"{ttl:g} s{' with invalidation' if invalidation else ''}"] = (projected, real)
    return found


def measure(seed: int = 1) -> dict[str, float]:
    """How far the worst of a traffic's projections is off, in percentage points, by its name."""
    return {
        traffic.name: max(
            100 * abs(projected - real) for projected, real in errors(traffic, seed).values()
        )
        for traffic in cases()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    for traffic in cases():
        print(traffic.name)
        for ttl, (projected, real) in errors(traffic, options.seed).items():
            print(f"  {ttl:28} projected {projected:6.1%}  replayed {real:6.1%}")
    found = measure(options.seed)
    print(f"worst: {max(found.values()):.1f} points")
    if options.json is not None:
        write_json({"cache_hit_error_pp": found}, options.json)


if __name__ == "__main__":
    main()
