"""Made traffic for `dbadvisor_caching.py`: reads of keys and changes of their table in time."""

import bisect
import itertools
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from benchmarks.dbadvisor_traffic_kinds import KINDS, uneven
from foretide.dbadvisor.cache_replay import Moment

PEAK = 8.0  # no rhythm is busier than that, against its mean
BATCH, BATCH_SECONDS = 50, 0.3
TRICKLE = 10
AFTER = (0.01, 0.5)  # s, that a change comes after the read that has brought it about
VISIT, VISIT_SECONDS = 3, 6.0
HOT, CROWD = 0.9, 0.8
GLIDE = 10  # reads, after which other keys are asked for, by one


@dataclass(frozen=True)
class Traffic:
    """`reads` a second of `keys` keys with Zipf's exponent, and `changes` a second.

    `rhythm`: how reads come. "even" (Poisson), "swell" (a slow wave, from 0.4 to 1.6 of it),
    "bursts" (5 to 15 s, a minute apart), "ticks" (2 s in each 15), "storms" (90 s, then minutes
    of silence), "on and off" (20 s and 100 s, on average), "day" (a day's wave), "office" (a third
    of the day).
    `writing`: how changes come. "single", "batches" (50 in 0.3 s), "before reads" (each is followed
    by a read, within 50 ms), "busy" (with the reads' rhythm), "shifts" (in two minutes of ten),
    "after reads" (some of them bring one about), "trickles" (ten or so in some seconds).
    `asking`: which key is read. "any", "drift" (other keys are asked for every five minutes), "fast
    drift" (every two), "gliding" (a little further with each read), "visits" (three times within
    6 s), "scan" (one after the other), "polled" (each at even distances of its own), "one hot"
    (nine of ten reads), "crowds" (for two minutes of twelve, four of five reads are of one key),
    "uneven" and others of `dbadvisor_traffic_kinds`.
    `sampled`: the share of executions whose constants are seen; `ordered`: in their order.
    `day`: calls were looked at for a day before, and a day is replayed.
    `held`: never looked at while the projection was made.
    """

    keys: int
    exponent: float
    reads: float
    rhythm: str = "even"
    changes: float = 0.0
    sampled: float = 0.2
    writing: str = "single"
    asking: str = "any"
    ordered: bool = False
    day: bool = False
    held: bool = False

    @property
    def name(self) -> str:
        asking = "" if self.asking == "any" else f" {self.asking}"
        writing = "" if self.writing == "single" else f" {self.writing}"
        return (
            f"{self.keys} keys, zipf {self.exponent:g}{asking}, {self.reads:g}/s {self.rhythm},"
            f" {self.changes:g} changes/s{writing}, 1 of {1 / self.sampled:.0f} seen"
            f"{' in order' if self.ordered else ''}{', a whole day' if self.day else ''}"
        )


def cases() -> list[Traffic]:
    popularity = [(20, 0.0), (2000, 0.0), (200, 0.8), (5000, 1.0), (50_000, 0.9), (1_000_000, 1.1)]
    weather = [("even", 0.0, 1.0), ("even", 0.02, 0.03), ("swell", 0.005, 0.2)]
    weather += [("swell", 0.2, 0.1), ("bursts", 0.05, 0.2)]
    plain = [
        Traffic(keys, exponent, 8.0, rhythm, changes, sampled)
        for (keys, exponent), (rhythm, changes, sampled) in itertools.product(popularity, weather)
    ]
    return plain + _others() + _once_held() + _held()


def _others() -> list[Traffic]:
    return [
        Traffic(1, 0.0, 0.1, "bursts", 0.02),
        Traffic(1, 0.0, 0.4, "even", 0.2, writing="before reads"),
        Traffic(1, 0.0, 5.0, "even", 5.0, writing="batches"),
        Traffic(200, 0.8, 8.0, "even", 5.0, writing="batches"),
        Traffic(200, 0.8, 8.0, "bursts", 0.2, writing="busy"),
        Traffic(2000, 0.8, 8.0, "even", 0.5, writing="before reads"),
        Traffic(5000, 1.0, 8.0, "even", 0.005, asking="drift", sampled=1.0, ordered=True),
        Traffic(5000, 1.0, 8.0, "swell", 0.005, asking="drift", sampled=0.2, ordered=True),
        Traffic(100_000, 0.0, 8.0, "even", 0.005, asking="visits", sampled=1.0, ordered=True),
        Traffic(100_000, 0.0, 8.0, "bursts", 0.005, asking="visits", sampled=0.5, ordered=True),
        Traffic(3000, 0.0, 8.0, "even", 0.0, asking="scan", sampled=1.0, ordered=True),
        Traffic(1000, 0.5, 8.0, "bursts", 0.02, asking="one hot"),
    ]


def _once_held() -> list[Traffic]:
    """Held back while the projection was made, until they had shown faults."""
    return [
        Traffic(50, 0.3, 3.0, "ticks", 0.0),
        Traffic(800, 0.7, 20.0, "ticks", 0.1, writing="busy"),
        Traffic(300, 1.2, 2.0, "storms", 0.01, sampled=0.5),
        Traffic(20_000, 1.0, 30.0, "storms", 0.03, sampled=0.05),
        Traffic(400, 0.9, 5.0, "day", 0.01),
        Traffic(1, 0.0, 0.03, "ticks", 0.005),
        Traffic(1, 0.0, 1.5, "even", 0.6, writing="before reads"),
        Traffic(40, 0.6, 1.0, "even", 0.3, writing="before reads", sampled=0.5),
        Traffic(1500, 0.9, 12.0, "ticks", 4.0, writing="batches"),
        Traffic(1, 0.0, 0.5, "bursts", 2.0, writing="batches"),
        Traffic(100, 0.0, 40.0, "bursts", 1.0, writing="busy", sampled=0.05),
        Traffic(8000, 1.1, 15.0, "day", 0.02, asking="drift", sampled=0.3, ordered=True),
        Traffic(3000, 0.8, 6.0, "even", 0.0, asking="fast drift", sampled=1.0, ordered=True),
        Traffic(40_000, 0.4, 5.0, "swell", 0.003, asking="visits", sampled=0.5, ordered=True),
        Traffic(500_000, 0.2, 25.0, "ticks", 0.0, asking="visits", sampled=0.2, ordered=True),
        Traffic(900, 0.0, 4.0, "even", 0.002, asking="scan", sampled=0.5, ordered=True),
        Traffic(12_000, 0.0, 10.0, "bursts", 0.0, asking="scan", sampled=0.2, ordered=True),
        Traffic(5000, 0.9, 10.0, "even", 0.05, asking="one hot", sampled=0.02),
        Traffic(250, 1.0, 0.7, "storms", 0.05, asking="one hot", writing="busy"),
        Traffic(10_000, 0.8, 60.0, "day", 0.5, sampled=0.02),
        Traffic(600, 1.0, 9.0, "bursts", 1.0, writing="batches", sampled=0.1),
        Traffic(2000, 0.9, 1.5, "day", 0.005, day=True, sampled=0.5),
        Traffic(700, 0.6, 7.0, "even", 0.01, asking="crowds", sampled=0.3),
        Traffic(20_000, 0.9, 12.0, "swell", 0.0, asking="crowds", sampled=0.5, ordered=True),
        Traffic(6000, 1.2, 10.0, "even", 0.02, asking="gliding", sampled=0.4, ordered=True),
        Traffic(1000, 0.8, 20.0, "bursts", 0.0, asking="gliding", sampled=1.0, ordered=True),
        Traffic(400, 0.7, 6.0, "even", 0.05, writing="shifts", sampled=0.2),
        Traffic(3000, 1.0, 15.0, "ticks", 0.2, writing="shifts", sampled=0.1),
        Traffic(1, 0.0, 0.2, "even", 0.03, writing="shifts"),
        Traffic(300, 0.0, 3.0, asking="polled", sampled=1.0, ordered=True),
        Traffic(1500, 0.0, 9.0, "even", 0.01, asking="polled", sampled=0.3, ordered=True),
        Traffic(120, 0.4, 2.5, "storms", 0.8, writing="batches", sampled=0.4),
        Traffic(30_000, 1.4, 25.0, "even", 0.1, sampled=0.01),
        Traffic(9000, 0.0, 18.0, "bursts", 0.005, sampled=0.15),
        Traffic(60, 1.0, 0.4, "even", 0.002, sampled=1.0),
        Traffic(250_000, 0.7, 40.0, "swell", 0.05, sampled=0.02),
        Traffic(5000, 0.6, 10.0, "bursts", 0.3, writing="busy", asking="visits", ordered=True),
        Traffic(800, 0.9, 1.2, "day", 0.004, day=True, sampled=0.3),
        Traffic(50, 0.2, 0.5, "day", 0.01, writing="busy", day=True, sampled=1.0),
        Traffic(4000, 1.1, 30.0, "day", 0.03, sampled=0.05),
        Traffic(2500, 0.85, 9.0, "swell", 0.03, asking="visits", sampled=0.3, ordered=True),
        Traffic(600, 0.0, 2.0, "even", 0.003, asking="scan", sampled=0.7, ordered=True),
        Traffic(20_000, 0.9, 12.0, "on and off", asking="sessions", sampled=0.5, ordered=True),
        Traffic(360, 0.0, 10.0, "even", 0.02, asking="fresh", sampled=0.5, ordered=True),
        Traffic(1000, 0.8, 20.0, "on and off", 0.01, asking="two crowds", sampled=0.1),
        Traffic(300, 1.0, 5.0, "on and off", 0.3, writing="trickles", sampled=0.3),
        Traffic(500, 1.0, 6.0, "even", 0.01, asking="pages", sampled=0.4, ordered=True),
    ]


def _held() -> list[Traffic]:
    never_seen = [
        Traffic(900, 1.05, 5.0, "storms", 0.02, writing="shifts", sampled=0.25),
        Traffic(70, 0.9, 1.5, "bursts", 0.4, writing="before reads", sampled=0.6),
        Traffic(15_000, 0.75, 22.0, "even", 0.0, asking="crowds", sampled=0.04),
        Traffic(2200, 0.0, 5.0, "even", 0.005, asking="polled", sampled=0.6, ordered=True),
        Traffic(10_000, 1.0, 14.0, "ticks", 0.02, asking="drift", sampled=0.5, ordered=True),
        Traffic(350, 0.5, 0.9, "day", 0.02, writing="shifts", day=True, sampled=0.5),
        Traffic(120_000, 1.15, 35.0, "bursts", 0.08, sampled=0.03),
        Traffic(5, 0.0, 0.05, "even", 0.01, sampled=1.0),
    ]
    return [replace(each, held=True) for each in [*never_seen, *_of_other_kinds()]]


def _of_other_kinds() -> list[Traffic]:
    return [
        Traffic(3000, 0.7, 6.0, "even", 0.01, asking="sessions", sampled=0.3, ordered=True),
        Traffic(4000, 0.8, 8.0, "even", 0.02, asking="trending", sampled=0.4, ordered=True),
        Traffic(500, 0.0, 5.0, "even", 0.005, asking="uneven", sampled=0.5, ordered=True),
        Traffic(150, 0.9, 3.0, "even", 0.01, asking="minutely", sampled=0.3, ordered=True),
        Traffic(800, 0.9, 1.5, "office", 0.01, day=True, sampled=0.5),
        Traffic(400, 0.8, 6.0, "even", 0.1, writing="after reads", sampled=0.3),
        Traffic(5000, 0.9, 10.0, "even", 0.02, asking="retries", sampled=0.3, ordered=True),
    ]


def moments(traffic: Traffic, seconds: float, chance: random.Random) -> Iterator[Moment]:
    """Reads and changes in the order of their time."""
    level = _level(traffic.rhythm, seconds, chance)
    changes = list(_changes(traffic, seconds, level, chance))
    keys: list[Moment] = []
    times: list[float] = []
    if traffic.asking == "polled":
        keys += _polled(traffic, seconds, chance)
    elif traffic.asking == "uneven":
        keys += uneven(traffic.keys, traffic.reads, seconds, chance)
    else:
        times += _arrivals(traffic.reads, seconds, level, chance)
    if traffic.writing == "before reads":
        times += [at + chance.uniform(0.005, 0.05) for at in changes]
    keys += _keys(traffic, sorted(times), chance)
    if traffic.writing == "after reads":
        some = traffic.changes / traffic.reads
        changes = [each.at + chance.uniform(*AFTER) for each in keys if chance.random() < some]
    found = [*keys, *(Moment(at, None) for at in changes)]
    return iter(sorted((each for each in found if each.at < seconds), key=lambda each: each.at))


def _arrivals(
    rate: float, seconds: float, level: Callable[[float], float], chance: random.Random
) -> Iterator[float]:
    if rate <= 0:
        return
    at = chance.expovariate(rate * PEAK)
    while at < seconds:
        if chance.random() * PEAK < level(at):
            yield at
        at += chance.expovariate(rate * PEAK)


def _changes(
    traffic: Traffic, seconds: float, level: Callable[[float], float], chance: random.Random
) -> Iterator[float]:
    if traffic.writing == "busy":
        yield from _arrivals(traffic.changes, seconds, level, chance)
    elif traffic.writing == "shifts":
        yield from _arrivals(
            traffic.changes, seconds, lambda at: 5.0 if at % 600 < 120 else 0.0, chance
        )
    elif traffic.writing == "trickles":
        for at in _arrivals(traffic.changes / TRICKLE, seconds, lambda _: 1.0, chance):
            yield at
            while chance.random() > 1 / TRICKLE:
                at += chance.expovariate(1.0)
                yield at
    elif traffic.writing == "batches":
        for at in _arrivals(traffic.changes / BATCH, seconds, lambda _: 1.0, chance):
            yield from (at + chance.random() * BATCH_SECONDS for _ in range(BATCH))
    else:
        yield from _arrivals(traffic.changes, seconds, lambda _: 1.0, chance)


def _polled(traffic: Traffic, seconds: float, chance: random.Random) -> Iterator[Moment]:
    """Each key at even distances of its own, but for a little."""
    for key in range(traffic.keys):
        apart = traffic.keys / traffic.reads * chance.uniform(0.5, 1.5)
        at = chance.uniform(0, apart)
        while at < seconds:
            yield Moment(at, str(key))
            at += apart * chance.uniform(0.95, 1.05)


def _keys(traffic: Traffic, times: list[float], chance: random.Random) -> Iterator[Moment]:
    """A read at each of these moments; of visits there is a third, and each reads three times."""
    weights = (1 / rank**traffic.exponent for rank in range(1, traffic.keys + 1))
    summed = list(itertools.accumulate(weights))

    def any_key() -> int:
        return bisect.bisect(summed, chance.random() * summed[-1])

    if traffic.asking in KINDS:
        yield from KINDS[traffic.asking](times, any_key, chance)
        return
    shifts = {"drift": 300.0, "fast drift": 120.0}
    for number, at in enumerate(times):
        if traffic.asking == "visits":
            if number % VISIT == 0:
                key = str(any_key())
                yield Moment(at, key)
                for _ in range(VISIT - 1):
                    yield Moment(at + chance.random() * VISIT_SECONDS, key)
        elif traffic.asking == "scan":
            yield Moment(at, str(number % traffic.keys))
        elif traffic.asking == "one hot" and chance.random() < HOT:
            yield Moment(at, "hot")
        elif traffic.asking == "crowds" and at % 720 < 120 and chance.random() < CROWD:
            yield Moment(at, f"crowd {at // 720:.0f}")
        elif traffic.asking == "gliding":
            yield Moment(at, str((any_key() + number // GLIDE) % traffic.keys))
        elif traffic.asking in shifts:
            shift = int(at // shifts[traffic.asking]) * (traffic.keys // 7)
            yield Moment(at, str((any_key() + shift) % traffic.keys))
        else:
            yield Moment(at, str(any_key()))


def _level(rhythm: str, seconds: float, chance: random.Random) -> Callable[[float], float]:
    """How busy it is at a moment, 1 on average."""
    if rhythm == "swell":
        return lambda at: 1.0 + 0.6 * (1 - 2 * abs((at / 900) % 2 - 1))
    if rhythm == "day":
        begin = chance.uniform(0, 86_400)
        return lambda at: 1.0 + 0.6 * math.sin(2 * math.pi * (begin + at) / 86_400)
    if rhythm == "ticks":
        return lambda at: 7.5 if at % 15 < 2 else 0.0
    if rhythm == "bursts":
        return _switched(seconds, lambda: chance.uniform(5, 15), lambda: chance.uniform(30, 70), 6)
    if rhythm == "on and off":
        return _switched(
            seconds, lambda: chance.expovariate(1 / 20), lambda: chance.expovariate(1 / 100), 6
        )
    if rhythm == "office":
        begin = chance.uniform(0, 86_400)
        return lambda at: 2.2 if (begin + at) % 86_400 < 28_800 else 0.4
    if rhythm == "storms":
        return _switched(
            seconds, lambda: chance.uniform(60, 120), lambda: chance.uniform(120, 480), 4.3
        )
    return lambda _: 1.0


def _switched(
    seconds: float, busy: Callable[[], float], quiet: Callable[[], float], factor: float
) -> Callable[[float], float]:
    """Busy for a time, then still for a time."""
    switches = [0.0]
    while switches[-1] < seconds:
        lasts = busy if len(switches) % 2 == 0 else quiet
        switches.append(switches[-1] + lasts())
    return lambda at: factor if bisect.bisect(switches, at) % 2 == 0 else 0.0
