"""How reads of a query spread over its constants, from whatever has been seen of them.

Where executions were seen in their order it shows whether keys have their times: what is asked for
today is not what was asked for yesterday, a visitor reads the same rows again and again, a report
goes through all of them. Then a cache lives by what is asked for while an answer lives.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from itertools import pairwise

from foretide.dbadvisor import lives
from foretide.dbadvisor.cacheable import Reading
from foretide.dbadvisor.executed import Execution, Parameters
from foretide.dbadvisor.hit_rate import ONE_KEY, Groups, Popularity, both, uniform
from foretide.dbadvisor.shares import estimated
from foretide.dbadvisor.snapshot import Constant, Snapshot, Table
from foretide.dbadvisor.visits import Visits, visits

PAGES = "its LIMIT is taken to be the same each time"
Look = tuple[float, Sequence[Constant]]  # what pg_qualstats had seen of a query by a moment (s)
# Lifetimes that are looked at together; with fewer executions in them nothing is said of them.
BLOCK_LIVES, FEWEST, FEWEST_BLOCKS, SHORT_BLOCKS = 1.25, 2.0, 2, 32
LOOKED_AT = 200  # executions between looks: with fewer, those from before them tell more
ALL = 0.9  # of a query's executions: so many are replayed as they are
# Pairs of reads of one key within a block against those that chance makes: what is told apart.
CHANCE, SIGNIFICANT = (0.85, 1.2), 4.0
NEVER = 0.1  # of that: so few that no key comes back
# Keys that come back just as an answer ends look like chance; a little before that they do not.
BEFORE, EVENLY = 0.75, 0.8


@dataclass(frozen=True, slots=True)
class Unknown:
    """How reads spread is not known, and what is missing for that."""

    reason: str


@dataclass(frozen=True)
class Repeats:
    """`popularity` over all the time that was seen, and what that is known from; executions in the
    order of time, where their moments are known, to `grain` s; which share of all these are; and
    how many keys there can be. `lost`: rarer keys are missing, and may be anything up to
    `scattered` (None: not even that is known). `visits`, where reads of a key come together, and
    `firsts`, the same of visits as of reads. `apart`: within so many seconds (of a visit) keys do
    not come again.
    """

    popularity: Popularity
    basis: str = ""
    executed: tuple[Execution, ...] = ()
    seen: float = 0.0
    most_keys: float = math.inf
    grain: float = 0.0
    lost: bool = False
    scattered: Popularity | None = None
    visits: Visits | None = None
    firsts: "Repeats | None" = None
    apart: float = 0.0

    @cached_property
    def plain(self) -> "Repeats":
        """The same, if visits told nothing."""
        return replace(self, seen=0.0, visits=None, firsts=None)

    @cached_property
    def _compared_by_life(self) -> dict[float, float]:
        """What was found before: it is asked for again for each TTL, and takes most of the time."""
        return {}

    @cached_property
    def _while_living(self) -> dict[float, Popularity]:
        return {}

    @property
    def seconds(self) -> float:
        """Over which moments of executions are known."""
        return self.executed[-1].at - self.executed[0].at + self.grain if self.executed else 0.0

    def replayed(self, life: float) -> float | None:
        """Which share of the executions would have found an answer that lives for `life` s. None
        where too few of all were seen, or for too short a time. Answers that the beginning finds
        missing may have been there: a life is not counted.
        """
        if self.seen < ALL or self.seconds < 2 * life:
            return None
        return self.answered(life)

    def answered(self, life: float) -> float:
        """The same of those that were seen, however few they are of all."""
        moments = [each.at for each in self.executed]
        return lives.hits(moments, [each.parameters for each in self.executed], life)

    def while_living(self, life: float) -> Popularity:
        """The popularity while an answer lives for `life` s; that of all the time where keys have
        no times of their own, or too little was seen to tell.
        """
        life = max(life, self.apart)
        if self.seconds < FEWEST_BLOCKS * self._width(life) or self._compared(life) == 1:
            return self.popularity
        if life not in self._while_living:
            self._while_living[life] = self._of_living(life)
        return self._while_living[life]

    def _of_living(self, life: float) -> Popularity:
        if not self.grain:
            return lives.popularity(self.executed, life, self.most_keys) or self.popularity
        blocks = self._blocks(self._width(life))
        reads = sum(sum(block.values()) for block in blocks)
        # All blocks together are one sample of "a key in its block", of which one block is there
        # at a time; of those with most reads there are so many.
        alike = reads**2 / sum(sum(block.values()) ** 2 for block in blocks)
        pooled = estimated(
            (count for block in blocks for count in block.values()), self.most_keys * len(blocks)
        )

        def of_one(groups: Groups) -> Groups:
            return tuple((share * alike, keys / alike) for share, keys in groups)

        return Popularity(
            of_one(pooled.groups), pooled.sample / alike, of_one(pooled.fewest), alike
        )

    def is_beyond(self, life: float) -> bool:
        """Whether keys have times of their own, which were not seen for as long as an answer lives,
        or not as closely, or are too even for a sample: what comes back then, nobody can tell.
        """
        if not self.executed:
            return False
        if BLOCK_LIVES * life < self.grain:
            return self._compared(self.grain) != 1
        if self.seconds >= FEWEST_BLOCKS * BLOCK_LIVES * life:
            return self.comes_evenly(life)
        shorter = (self.seconds / number / BLOCK_LIVES for number in (FEWEST_BLOCKS, SHORT_BLOCKS))
        return any(self._compared(each) != 1 for each in shorter)

    def comes_evenly(self, life: float) -> bool:
        """Whether keys come back at even distances, about as long as an answer lives: a sample does
        not show which reads are missed.
        """
        life = max(life, self.apart)
        if not self.executed or self.seconds < FEWEST_BLOCKS * BLOCK_LIVES * life:
            return False
        compared = self._compared(life)
        return compared > NEVER and (compared < 1 or self._compared(BEFORE * life) < EVENLY)

    def _compared(self, life: float) -> float:
        """How often a key comes again in about a life, against chance; 1 where it may be chance."""
        known = self._compared_by_life
        if life not in known:
            if self.grain:
                known[life] = _together(self._blocks(self._width(life)))
            else:
                known[life] = lives.against_chance(self.executed, life)
        return known[life]

    def _width(self, life: float) -> float:
        """Of the blocks for an answer's life: what is known to a grain is not cut within one."""
        width = BLOCK_LIVES * life
        return max(1, round(width / self.grain)) * self.grain if self.grain else width

    def _blocks(self, width: float) -> list[Counter[Parameters]]:
        """How often each key was read in stretches of so many seconds; none if too few were."""
        number = int(self.seconds / width + 1e-6) if width else 0
        blocks: list[Counter[Parameters]] = [Counter() for _ in range(number)]
        for each in self.executed:
            since = each.at - self.executed[0].at + self.grain / 2
            place = int(since / width) if width else number
            if place < number:
                blocks[place][each.parameters] += 1
        blocks = [block for block in blocks if block]
        return blocks if len(self.executed) >= FEWEST * len(blocks) else []


def _together(blocks: Sequence[Counter[Parameters]]) -> float:
    """How often reads of one key come together, in the same block, against chance; 1 where it may
    be chance.
    """
    if sum(sum(block.values()) for block in blocks) < 2:
        return 1.0
    total = Counter[Parameters]()
    for block in blocks:
        total.update(block)
    together = sum(math.comb(sum(block.values()), 2) for block in blocks)
    pairs = sum(math.comb(count, 2) for count in total.values())
    expected = pairs * together / math.comb(sum(total.values()), 2)
    seen = sum(math.comb(count, 2) for block in blocks for count in block.values())
    low, high = CHANCE
    if low * expected <= seen <= high * expected:
        return 1.0
    if abs(seen - expected) <= SIGNIFICANT * math.sqrt(max(expected, 1.0)):
        return 1.0
    return seen / expected if expected else math.inf


def of_executions(
    executed: Sequence[Execution], calls: float, most_keys: float = math.inf
) -> Repeats:
    """From executions in the order of time, of `calls` that there were.

    Raises:
        ValueError: there is none.
    """
    every = _by_moment(executed, most_keys)
    if not calls:
        return every
    seen = len(executed) / calls
    found = visits(executed, seen)
    firsts = None
    if found is not None:
        firsts = replace(_by_moment(found.firsts, most_keys), apart=found.seconds)
    return replace(every, seen=seen, visits=found, firsts=firsts)


def _by_moment(executed: Sequence[Execution], most_keys: float) -> Repeats:
    return Repeats(
        estimated(Counter(each.parameters for each in executed).values(), most_keys),
        f"the constants of {len(executed)} executions",
        tuple(executed),
        most_keys=most_keys,
    )


def repeats(
    reading: Reading,
    snapshot: Snapshot,
    constants: Sequence[Look],
    executed: Sequence[Execution],
    calls: float,
) -> Repeats | Unknown:
    """How reads of a query spread over its constants: from executions in the order of time, of as
    many `calls`; from what pg_qualstats has counted of them, at one look or at several, the last
    of which is the snapshot's; or from how many values its columns have.
    """
    if not reading.parameters:
        return Repeats(ONE_KEY, "it has no constants")
    tables = {table.relation: table for table in snapshot.tables}
    limits = {
        number: _distinct(tables[owner], column)
        for number, (owner, column) in reading.equals.items()
    }
    most = math.prod(limits.get(number, math.inf) for number in reading.parameters)
    if len(executed) >= 2:
        return of_executions(executed, calls, most)
    varied = [number for number in reading.parameters if number not in reading.limits]
    if len(varied) == 1 and len(constants) > 1:
        counted = [(at, _counts(reading, some, varied[0])) for at, some in constants]
        between = of_looks(counted, limits.get(varied[0], math.inf))
        if between is not None and not snapshot.constants_lost:
            basis = "; ".join((between.basis, *([PAGES] if reading.limits else [])))
            return replace(between, basis=basis)
    return _by_column(reading, snapshot, constants[-1][1] if constants else (), limits)


def _by_column(
    reading: Reading,
    snapshot: Snapshot,
    constants: Sequence[Constant],
    limits: Mapping[int, float],
) -> Repeats | Unknown:
    """As if each parameter were chosen by itself."""
    parts, scattered, bases = [ONE_KEY], [ONE_KEY], {PAGES} if reading.limits else set()
    lost = False
    for number in reading.parameters:
        if number in reading.limits:
            continue
        seen = _counts(reading, constants, number)
        limit = limits.get(number, math.inf)
        if not seen and math.isinf(limit):
            return Unknown(_unknown(reading, snapshot, number))
        scattered.append(uniform(limit))
        if seen:
            parts.append(estimated(seen.values(), limit))
            bases.add(f"the constants of {sum(seen.values())} executions")
            lost = lost or snapshot.constants_lost
        else:
            parts.append(uniform(limit))
            bases.add("how many values there are, each asked for alike: there will be more hits")
    if lost:
        bases.add("pg_qualstats has thrown rarer ones away: raise pg_qualstats.max")
    if len(parts) > 2:
        bases.add("its constants are taken to be independent: there will be more hits")
    bounded = all(math.isfinite(each.keys) for each in scattered)
    return Repeats(
        reduce(both, parts),
        "; ".join(sorted(bases)),
        lost=lost,
        scattered=reduce(both, scattered) if lost and bounded else None,
    )


def of_looks(
    counted: Sequence[tuple[float, Counter[Parameters]]], most_keys: float = math.inf
) -> Repeats | None:
    """From how often each key had been seen by several moments (s). None where that was too seldom
    in between, or counts have shrunk, so that some were thrown away.
    """
    executed: list[Execution] = []
    grain = 0.0
    for (at, before), (until, after) in pairwise(counted):
        grown = Counter(after)
        grown.subtract(before)
        if grown and min(grown.values()) < 0:
            return None
        grain = max(grain, until - at)
        middle = Execution((at + until) / 2, ())
        executed += [replace(middle, parameters=key) for key in sorted(grown.elements())]
    if len(executed) < LOOKED_AT:
        return None
    found = of_executions(executed, 0.0, most_keys)
    return replace(found, grain=grain)


def _unknown(reading: Reading, snapshot: Snapshot, number: int) -> str:
    """Why nobody knows which constants stand for a parameter, and what would help."""
    log = "give a log with the statements' parameters"
    known = f"which constants stand for ${number} is not known"
    if number not in reading.equals:
        # Not even pg_qualstats tells of it in a way that reads could be told apart by.
        return f"{known}, as it is not compared with one column by =: {log}"
    if "pg_qualstats" not in snapshot.extensions:
        return f"{known}: install pg_qualstats, or {log}"
    refused = next((text for text in snapshot.missing if text.startswith("constants: ")), None)
    if refused is not None:
        return f"{known}, as pg_qualstats could not be read ({refused}): mend that, or {log}"
    return (
        f"{known}: pg_qualstats has seen none yet (it looks at pg_qualstats.sample_rate of the"
        f" statements, and not at values of generic plans): wait, or {log}"
    )


def _counts(reading: Reading, constants: Sequence[Constant], number: int) -> Counter[Parameters]:
    """How often each constant was seen in the place of a parameter (pg_qualstats)."""
    counts: Counter[Parameters] = Counter()
    if number in reading.equals:
        owner, column = reading.equals[number]
        for each in constants:
            if (each.operator, each.table, each.column) == ("=", owner, column):
                counts[(each.value,)] += each.occurrences
    return counts


def _distinct(table: Table, column: str) -> float:
    """How many different values a column has, as far as statistics tell."""
    for each in table.columns:
        if each.name == column and each.statistics is not None and table.rows > 0:
            distinct = each.statistics.distinct
            return max(1.0, distinct if distinct >= 0 else -distinct * table.rows)
    return math.inf
