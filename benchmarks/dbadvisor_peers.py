"""Other ways to choose indexes, each after its published description, over one memory of costs.

- `by_query_columns`: supabase/index_advisor 0.2: for each query an index on every single column,
  and those that its plan uses are kept.
- `two_columns`: ankane/dexter 0.6: for each query all indexes of one column, then of two, those
  that the plan uses; of these each alone, and the best one of them if it saves half of the cost.
- `extend`: Schlosser, Kossmann, Boissier, "Efficient Scalable Multi-Attribute Index Selection
  Using Recursive Strategies" (ICDE 2019), as in hyrise/index_selection_evaluation: each step adds
  an index of one column, or appends a column to one, whichever saves most cost for its size.

The first two know no budget and no order: here the index that saves most comes first, and what no
longer fits is left out. Each is told how many plans it would have asked for with a memory of its
own, and how many seconds of CPU these took when they were asked.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

from benchmarks.dbadvisor_data import Columns
from foretide.dbadvisor import ddl
from foretide.dbadvisor.candidate import Candidate
from foretide.dbadvisor.database import Database
from foretide.dbadvisor.snapshot import IndexKey, Relation
from foretide.dbadvisor.whatif import MOST_AT_ONCE, Answer, WhatIf, bits

MOST_COLUMNS = 2
LEAST_IMPROVEMENT = 1.003  # hyrise's min_cost_improvement
DEXTER_SAVINGS = 0.5
DEXTER_LEAST_COST = 100.0
PROGRESS = 30.0  # seconds between two words about it


class Plans:
    """Costs by query and exactly the indexes that concern it, each asked for once for all peers.

    `clock` tells seconds, as all times here are; `tell` hears now and then how far it has come.
    """

    def __init__(
        self, source: WhatIf, clock: Callable[[], float], tell: Callable[[str], None]
    ) -> None:
        self.source = source
        self.clock = clock
        self.spent = 0.0
        self._tell = tell
        self._told = time.monotonic()
        self._known: dict[tuple[str, int], tuple[Answer | None, float]] = {}

    def ask(self, query: str, indexes: int) -> tuple[Answer | None, float]:
        """The answer, None if the query cannot be planned, and the seconds that it took."""
        key = (query, indexes)
        if key not in self._known:
            if time.monotonic() - self._told > PROGRESS:
                self._told = time.monotonic()
                self._tell(f"  {len(self._known)} different plans so far")
            begun = self.clock()
            answer = self.source.ask(query, indexes)
            took = self.clock() - begun
            self.spent += took
            self._known[key] = (answer, took)
        return self._known[key]


class Peer:
    """One peer's view of the plans, with an account of what it has asked for itself."""

    def __init__(self, plans: Plans) -> None:
        self.plans = plans
        self._asked: dict[tuple[str, int], float] = {}
        self._begun, self._spent = plans.clock(), plans.spent

    def __call__(self, query: str, indexes: int) -> Answer:
        indexes &= self.plans.source.relevant(query)
        answer, took = self.plans.ask(query, indexes)
        self._asked[(query, indexes)] = took
        return answer or Answer(0.0, 0)

    @property
    def calls(self) -> int:
        return len(self._asked)

    @property
    def seconds(self) -> float:
        """With the time of its plans when they were asked for, though others may have done so."""
        own = self.plans.clock() - self._begun - (self.plans.spent - self._spent)
        return own + sum(self._asked.values())


@dataclass(frozen=True)
class Choice:
    """What a peer chose, as a mask, and what it took to find it."""

    indexes: int
    calls: int
    seconds: float


def candidates_of(columns: Columns, width: int = MOST_COLUMNS) -> set[Candidate]:
    """Indexes on all columns that a query has to do with, and on all their orders up to `width`."""
    found: set[Candidate] = set()
    for of_query in columns.values():
        for table, names in of_query.items():
            found |= _indexes(table, names, range(1, width + 1))
    return found


def _indexes(table: Relation, names: Iterable[str], widths: Iterable[int]) -> set[Candidate]:
    return {
        Candidate(table, tuple(IndexKey(name) for name in some))
        for width in widths
        for some in permutations(sorted(names), width)
    }


def hypopg_sizes(database: Database, candidates: Sequence[Candidate]) -> list[float]:
    """What HypoPG says that each would take."""
    found: list[float] = []
    for start in range(0, len(candidates), MOST_AT_ONCE):
        texts = (ddl.literal(ddl.definition(one)) for one in candidates[start:][:MOST_AT_ONCE])
        made = (
            "SELECT hypopg_relation_size(made.indexrelid)"
            f" FROM unnest(ARRAY[{', '.join(texts)}]::text[])"
            " WITH ORDINALITY AS wanted (text, place),"
            " LATERAL hypopg_create_index(wanted.text) AS made ORDER BY wanted.place"
        )
        rows = database.together(["SELECT hypopg_reset()", made])[1]
        found += [float(row[0]) for row in rows]
    return found


def by_query_columns(
    plans: Plans, columns: Columns, prices: Sequence[float], budgets: Sequence[float]
) -> dict[float, Choice]:
    """Ordered by what the indexes save, which those of one plan share equally."""
    peer = Peer(plans)
    savings: dict[int, float] = {}
    for query in sorted(columns):
        singles = plans.source.mask(
            one for table, names in columns[query].items() for one in _indexes(table, names, [1])
        )
        cost, used = peer(query, singles)
        for place in bits(used):
            saved = (peer(query, 0).cost - cost) / used.bit_count()
            savings[place] = savings.get(place, 0.0) + saved
    return _ranked(peer, savings, prices, budgets)


def two_columns(
    plans: Plans, columns: Columns, prices: Sequence[float], budgets: Sequence[float]
) -> dict[float, Choice]:
    """Ordered by what each index saves the queries that it was found for."""
    peer = Peer(plans)
    savings: dict[int, float] = {}
    for query in sorted(columns):
        base = peer(query, 0).cost
        if base < DEXTER_LEAST_COST:
            continue
        used = 0
        for width in (1, 2):
            used |= peer(
                query,
                used
                | plans.source.mask(
                    one
                    for table, names in columns[query].items()
                    for one in _indexes(table, names, [width])
                ),
            ).used
        alone = sorted((peer(query, 1 << place).cost, place) for place in bits(used))
        if alone and alone[0][0] <= (1 - DEXTER_SAVINGS) * base:
            cost, place = alone[0]
            savings[place] = savings.get(place, 0.0) + base - cost
    return _ranked(peer, savings, prices, budgets)


def _ranked(
    peer: Peer, savings: Mapping[int, float], prices: Sequence[float], budgets: Sequence[float]
) -> dict[float, Choice]:
    """What saves most comes first, as long as there is room in real bytes."""
    found = {}
    for budget in budgets:
        indexes, room = 0, budget
        for place in sorted(savings, key=lambda one: (-savings[one], one)):
            if prices[place] <= room:
                indexes |= 1 << place
                room -= prices[place]
        found[budget] = Choice(indexes, peer.calls, peer.seconds)
    return found


def extend(
    plans: Plans, columns: Columns, prices: Sequence[float], budgets: Sequence[float]
) -> dict[float, Choice]:
    """Each budget from the beginning, as its steps depend on what fits."""
    return {budget: _extend(plans, sorted(columns), prices, budget) for budget in budgets}


def _extend(plans: Plans, queries: Sequence[str], prices: Sequence[float], budget: float) -> Choice:
    peer, steps = Peer(plans), _Steps(plans.source)
    chosen = 0
    costs = {query: peer(query, 0).cost for query in queries}
    while True:
        best: tuple[float, int] | None = None
        total, size = sum(costs.values()), _size(chosen, prices)
        for changed in steps.after(chosen):
            larger = _size(changed, prices)
            if larger > budget:
                continue
            cost = sum(_new_costs(peer, costs, chosen, changed).values())
            if total < cost * LEAST_IMPROVEMENT:
                continue
            ratio = (total - cost) / max(larger - size, 1.0)
            if best is None or (ratio, -changed) > (best[0], -best[1]):
                best = (ratio, changed)
        if best is None:
            return Choice(chosen, peer.calls, peer.seconds)
        costs = _new_costs(peer, costs, chosen, best[1])
        chosen = best[1]


def _new_costs(peer: Peer, costs: Mapping[str, float], old: int, new: int) -> dict[str, float]:
    """Only queries that the change concerns are looked at anew."""
    relevant = peer.plans.source.relevant
    return {
        query: peer(query, new).cost if relevant(query) & (old ^ new) else cost
        for query, cost in costs.items()
    }


def _size(indexes: int, prices: Sequence[float]) -> float:
    return sum(prices[place] for place in bits(indexes))


class _Steps:
    """What Extend may do next: add an index of one column, or append a column to one."""

    def __init__(self, source: WhatIf) -> None:
        places = {candidate: place for place, candidate in enumerate(source.candidates)}
        self._singles = [
            1 << place for candidate, place in places.items() if len(candidate.keys) == 1
        ]
        self._longer: dict[int, list[int]] = {}
        for candidate, place in places.items():
            shorter = Candidate(candidate.table, candidate.keys[:-1])
            if shorter in places:
                self._longer.setdefault(places[shorter], []).append(1 << place)

    def after(self, chosen: int) -> list[int]:
        added = [chosen | one for one in self._singles if not one & chosen]
        for place in bits(chosen):
            without = chosen & ~(1 << place)
            added += [without | one for one in self._longer.get(place, ()) if not one & chosen]
        return added
