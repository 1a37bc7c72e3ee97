"""What queries would cost if indexes were there: HypoPG's answers, few of them and remembered.

Sets of candidates are bit masks over `WhatIf.candidates`, which is sorted, so that everything
that is decided from them is the same in each run.

An answer is worth more than itself. A plan that was made with the indexes S at hand and took only
those in U of them is also the plan for every set between U and S; with more indexes a query costs
no more, with fewer no less (as in "Wii", SIGMOD 2024, and the what-if caches of AutoAdmin). Only
questions that this leaves open are asked.
"""

import json
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from foretide.dbadvisor import ddl
from foretide.dbadvisor.candidate import Candidate
from foretide.dbadvisor.database import Database, DatabaseAway, DatabaseError
from foretide.dbadvisor.snapshot import Relation, Table

# HypoPG has about 2,500 OIDs to give, and gives them anew after a reset.
MOST_AT_ONCE = 500
MOST_RELEVANT = 2000
# HypoPG knows no index of a partitioned table: each partition gets its own, the largest ones first.
MOST_PARTITIONS = 32


@dataclass(frozen=True, slots=True)
class Question:
    """A query as the planner is asked: `statements` run one after the other in one transaction, and
    the only one that answers with a row is EXPLAIN, in JSON. `columns` are those it has to do with,
    of each table (the partitioned one, too, where it reads a partition). `source`: the id of the
    query that it is a form of, where that is not its own.
    """

    id: str
    statements: tuple[str, ...]
    columns: Mapping[Relation, frozenset[str]]
    source: str = ""


class Answer(NamedTuple):
    """A query's estimated cost, and which of the indexes at hand its plan uses."""

    cost: float
    used: int


class Costs(Protocol):
    """What selection asks."""

    def relevant(self, query: str) -> int:
        """Which candidates could change the plan of a query."""
        ...

    def cost(self, query: str, indexes: int) -> Answer | None:
        """With these candidates; None if the query cannot be planned."""
        ...

    def proposed(self, query: str) -> int:
        """Those of the relevant candidates that were thought of for the query itself."""
        ...

    def answers(self, query: str) -> Sequence["Asked"]:
        """All that was answered for the query: which bounds the answers that were not asked for."""
        ...

    def used(self, query: str) -> Sequence[Answer]:
        """The sets that plans of the query have used, and what it costs at most with each."""
        ...


class Asked(NamedTuple):
    """What a query costs with the candidates at hand, of which its plan uses some."""

    at_hand: int
    used: int
    cost: float


@dataclass
class Remembered:
    """Answers of one source by query, with what follows from them. Counts the questions."""

    asked: dict[str, list[Asked]] = field(default_factory=dict)
    calls: int = 0

    def find(self, query: str, indexes: int) -> Answer | None:
        """The answer for a set of relevant indexes, if earlier ones settle it."""
        for at_hand, used, cost in self.asked.get(query, ()):
            if not used & ~indexes and not indexes & ~at_hand:
                return Answer(cost, used)
        return None

    def used(self, query: str) -> list[Answer]:
        found: dict[int, float] = {}
        for _, used, cost in self.asked.get(query, ()):
            found[used] = min(cost, found.get(used, math.inf))
        return [Answer(cost, used) for used, cost in sorted(found.items())]

    def answers(self, query: str) -> Sequence[Asked]:
        return self.asked.get(query, ())

    def keep(self, query: str, indexes: int, answer: Answer) -> None:
        self.asked.setdefault(query, []).append(Asked(indexes, answer.used, answer.cost))


class WhatIf:
    """Asks HypoPG. Candidates that it refuses and queries that cannot be planned are left out, and
    told in `refused` and `failed` with the server's reason. `tables` tell the partitions, without
    which candidates of partitioned tables are of no use. `schema`, quoted, is HypoPG's own.
    """

    def __init__(
        self,
        database: Database,
        questions: Iterable[Question],
        candidates: Iterable[Candidate],
        tables: Iterable[Table] = (),
        *,
        schema: str = "",
    ) -> None:
        self.candidates = tuple(sorted(set(candidates), key=Candidate.sort_key))
        self.questions = {question.id: question for question in questions}
        self.refused: dict[Candidate, str] = {}
        self.failed: dict[str, str] = {}
        self.seconds = 0.0
        self._database = database
        self._functions = f"{schema}." if schema else ""
        parts = leaves(tables)
        self._definitions = [
            [
                ddl.definition(candidate, table=table)
                for table in parts.get(candidate.table, [candidate.table])
            ]
            for candidate in self.candidates
        ]
        self._remembered = Remembered()
        self._usable = self._check()
        self._relevant = {
            query: self._relevant_to(question) for query, question in self.questions.items()
        }
        self._proposed = {
            query: sum(
                1 << place
                for place in bits(relevant)
                if not self.candidates[place].queries
                or (self.questions[query].source or query) in self.candidates[place].queries
            )
            for query, relevant in self._relevant.items()
        }

    @property
    def calls(self) -> int:
        """How many plans were asked for."""
        return self._remembered.calls

    def relevant(self, query: str) -> int:
        return self._relevant[query]

    def proposed(self, query: str) -> int:
        return self._proposed[query]

    def answers(self, query: str) -> Sequence[Asked]:
        return self._remembered.answers(query)

    def used(self, query: str) -> Sequence[Answer]:
        return self._remembered.used(query)

    def cost(self, query: str, indexes: int) -> Answer | None:
        """Raises DatabaseAway: the server does not answer. Anything else fails this query alone."""
        if query in self.failed:
            return None
        indexes &= self._relevant[query]
        answer = self._remembered.find(query, indexes)
        if answer is None:
            answer = self.ask(query, indexes)
            if answer is not None:
                self._remembered.keep(query, indexes, answer)
        return answer

    def mask(self, chosen: Iterable[Candidate]) -> int:
        """Of candidates that are among ours; others are left out."""
        places = {candidate: place for place, candidate in enumerate(self.candidates)}
        return sum(1 << places[candidate] for candidate in set(chosen) if candidate in places)

    def chosen(self, indexes: int) -> list[Candidate]:
        """The candidates of a mask, in order."""
        return [self.candidates[place] for place in bits(indexes)]

    def ask(self, query: str, indexes: int) -> Answer | None:
        """A plan with exactly these, whatever is known; see `cost`."""
        begun = time.perf_counter()
        places = bits(indexes)
        make = self._creation(places)
        self._remembered.calls += 1
        try:
            answers = self._database.together([*make, *self.questions[query].statements])
            plan = _plan(next((rows for rows in answers[len(make) :] if rows), []))
        except DatabaseAway:
            raise
        except DatabaseError as error:
            self.failed[query] = str(error)
            return None
        finally:
            self.seconds += time.perf_counter() - begun
        made = [place for place in places for _ in self._definitions[place]]
        names = {row[1]: 1 << place for place, row in zip(made, answers[1], strict=True)}
        used = 0
        for name in index_names(plan):
            used |= names.get(name, 0)
        return Answer(float(plan["Total Cost"]), used)

    def _creation(self, places: Sequence[int]) -> list[str]:
        reset = f"SELECT {self._functions}hypopg_reset()"
        if not places:
            return [reset, "SELECT 0, '' WHERE false"]
        texts = ", ".join(
            ddl.literal(text) for place in places for text in self._definitions[place]
        )
        return [
            reset,
            "SELECT made.indexrelid, made.indexname"
            f" FROM unnest(ARRAY[{texts}]::text[]) WITH ORDINALITY AS wanted (text, place),"
            f" LATERAL {self._functions}hypopg_create_index(wanted.text) AS made"
            " ORDER BY wanted.place",
        ]

    def _check(self) -> int:
        """Which candidates HypoPG takes, by halves: mostly all of them at once."""
        usable, count = 0, 0
        some: list[int] = []
        for place, definitions in enumerate(self._definitions):
            if some and count + len(definitions) > MOST_AT_ONCE:
                usable |= self._check_some(some)
                some, count = [], 0
            some.append(place)
            count += len(definitions)
        return usable | (self._check_some(some) if some else 0)

    def _check_some(self, places: list[int]) -> int:
        try:
            self._database.together([*self._creation(places), *self._creation([])])
        except DatabaseAway:
            raise
        except DatabaseError as error:
            if len(places) == 1:
                self.refused[self.candidates[places[0]]] = str(error)
                return 0
            middle = len(places) // 2
            return self._check_some(places[:middle]) | self._check_some(places[middle:])
        return sum(1 << place for place in places)

    def _relevant_to(self, question: Question) -> int:
        """If there are too many, those that were thought of for it come first."""
        concerning = [
            place
            for place, candidate in enumerate(self.candidates)
            if self._usable >> place & 1 and _concerns(candidate, question)
        ]
        own = question.source or question.id
        found, count = 0, 0
        for place in sorted(concerning, key=lambda each: own not in self.candidates[each].queries):
            count += len(self._definitions[place])
            if count > MOST_RELEVANT:
                break
            found |= 1 << place
        return found


def leaves(tables: Iterable[Table]) -> dict[Relation, list[Relation]]:
    """The partitions that hold the rows of each partitioned table."""
    known = {table.relation: table for table in tables}
    found: dict[Relation, list[Table]] = {}
    for table in known.values():
        if table.kind != "p":
            above = table.parent
            for _ in range(len(known)):
                if above is None or above not in known:
                    break
                found.setdefault(above, []).append(table)
                above = known[above].parent
    return {
        relation: [
            each.relation for each in sorted(parts, key=lambda each: (-each.pages, each.relation))
        ][:MOST_PARTITIONS]
        for relation, parts in found.items()
    }


def bits(mask: int) -> list[int]:
    """The places of the bits that are set, lowest first."""
    places = []
    while mask:
        lowest = mask & -mask
        places.append(lowest.bit_length() - 1)
        mask ^= lowest
    return places


def _concerns(candidate: Candidate, question: Question) -> bool:
    """Whether the query has to do with the first key, or with all that an expression reads."""
    columns = question.columns.get(candidate.table)
    if columns is None:
        return False
    first = candidate.keys[0].column
    return (first is None or first in columns) and columns.issuperset(candidate.reads)


def index_names(plan: Any) -> set[str]:
    """Names of the indexes that a plan (EXPLAIN's `Plan` object) reads."""
    found = set()
    waiting = [plan]
    while waiting:
        node = waiting.pop()
        if "Index Name" in node:
            found.add(node["Index Name"])
        waiting.extend(node.get("Plans", ()))
    return found


def _plan(rows: Sequence[tuple[Any, ...]]) -> dict[str, Any]:
    try:
        value = rows[0][0]
        plan = (json.loads(value) if isinstance(value, str) else value)[0]["Plan"]
        return dict(plan)
    except (IndexError, KeyError, TypeError, ValueError):
        raise DatabaseError("the statements of a query did not answer with a plan") from None
