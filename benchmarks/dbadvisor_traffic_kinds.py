"""Kinds of reads for `dbadvisor_traffic.py` beside its own: which keys, and when.

Each takes moments at which somebody comes, as often as reads are to come, and gives reads.
"""

import random
from collections.abc import Callable, Iterator, Sequence

from foretide.dbadvisor.cache_replay import Moment

Keys = Callable[[], int]
SESSION, SESSION_SECONDS = 4.0, 20.0  # reads on average, and the distance between two
ECHO, ECHO_SECONDS = 0.5, 30.0  # reads that each read brings about
NEW, OLD = 0.2, 0.8  # keys a second; how slowly they are forgotten
CRON, CRON_SECONDS = 60.0, 2.0
FEW, MANY = 100, 1_000_000
PAGE, PAGES = 0.6, (3.0, 20.0)  # how likely one goes on to the next, and after how many s
AGAIN, AGAIN_SECONDS = 0.3, (0.05, 0.3)


def sessions(times: Sequence[float], any_key: Keys, chance: random.Random) -> Iterator[Moment]:
    """Visits of any length, with pauses of any length."""
    for at in times:
        if chance.random() < 1 / SESSION:
            key = str(any_key())
            yield Moment(at, key)
            while chance.random() > 1 / SESSION:
                at += chance.expovariate(1 / SESSION_SECONDS)
                yield Moment(at, key)


def trending(times: Sequence[float], any_key: Keys, chance: random.Random) -> Iterator[Moment]:
    """What is read is talked about, and read again (Hawkes, "Spectra of some self-exciting and
    mutually exciting point processes", 1971).
    """
    reads = [Moment(at, str(any_key())) for at in times if chance.random() > ECHO]
    while reads:
        read = reads.pop()
        yield read
        echoes, left = 0, chance.expovariate(1.0)
        while left < ECHO:
            echoes, left = echoes + 1, left + chance.expovariate(1.0)
        reads += [
            Moment(read.at + chance.expovariate(1 / ECHO_SECONDS), read.key) for _ in range(echoes)
        ]


def fresh(times: Sequence[float], any_key: Keys, chance: random.Random) -> Iterator[Moment]:
    """The newest is read most, and there is always something newer."""
    for at in times:
        age = int(chance.paretovariate(OLD)) - 1
        yield Moment(at, str(int(at * NEW) - age))


def minutely(times: Sequence[float], any_key: Keys, chance: random.Random) -> Iterator[Moment]:
    """Half of the reads is people's; half is a program's that reads some keys each minute."""
    each = int(len(times) / 2 / (times[-1] / CRON))
    for begin in range(int(times[-1] / CRON)):
        for key in range(each):
            yield Moment(begin * CRON + chance.random() * CRON_SECONDS, f"cron {key}")
    for at in times:
        if chance.random() < 0.5:
            yield Moment(at, str(any_key()))


def two_crowds(times: Sequence[float], any_key: Keys, chance: random.Random) -> Iterator[Moment]:
    """Half of the reads is of a few keys, half of a million that are all alike."""
    for at in times:
        if chance.random() < 0.5:
            yield Moment(at, f"few {any_key() % FEW}")
        else:
            yield Moment(at, str(chance.randrange(MANY)))


def pages(times: Sequence[float], any_key: Keys, chance: random.Random) -> Iterator[Moment]:
    """A list, of which the first page is read, and often the next one."""
    for at in times:
        if chance.random() < 1 - PAGE:
            key, page = any_key(), 1
            yield Moment(at, f"{key} {page}")
            while chance.random() < PAGE:
                at, page = at + chance.uniform(*PAGES), page + 1
                yield Moment(at, f"{key} {page}")


def retries(times: Sequence[float], any_key: Keys, chance: random.Random) -> Iterator[Moment]:
    """Some reads come twice, as somebody did not wait for the first one."""
    for at in times:
        if chance.random() < 1 / (1 + AGAIN):
            read = Moment(at, str(any_key()))
            yield read
            if chance.random() < AGAIN:
                yield Moment(at + chance.uniform(*AGAIN_SECONDS), read.key)


def uneven(keys: int, rate: float, seconds: float, chance: random.Random) -> Iterator[Moment]:
    """Each key comes again after very different times (log-normal: most are far below the mean)."""
    for key in range(keys):
        apart = keys / rate * chance.uniform(0.3, 1.7)
        at = -10 * apart
        while at < seconds:
            if at >= 0:
                yield Moment(at, str(key))
            at += apart * chance.lognormvariate(-2.0, 2.0)


KINDS = {
    "sessions": sessions,
    "trending": trending,
    "fresh": fresh,
    "minutely": minutely,
    "two crowds": two_crowds,
    "pages": pages,
    "retries": retries,
}
