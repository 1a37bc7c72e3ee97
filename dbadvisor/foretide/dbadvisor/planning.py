"""Plans of normalized queries, whose constants are not known.

PREPARE with `plan_cache_mode = force_generic_plan` makes the plan that does not look at the
parameters' values, in all versions since 12. NULL stands for them, and a plan made for NULL itself
would be an empty one (`x > NULL` is never true). EXPLAIN (GENERIC_PLAN) of PostgreSQL 16 makes the
same plan, but works only in the protocol in which one text may hold several statements, and there
a text that breaks out of EXPLAIN would be run. Nothing that is planned here is.
"""

import bisect
import contextlib
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from foretide.dbadvisor import normalized, plan_tree, reading, repairing
from foretide.dbadvisor.database import Database, DatabaseAway, DatabaseError, Row
from foretide.dbadvisor.ddl import quoted
from foretide.dbadvisor.plan_tree import Node
from foretide.dbadvisor.repairing import Draft
from foretide.dbadvisor.snapshot import Query

PLANNABLE = frozenset({"select", "insert", "update", "delete", "with", "values", "table", "merge"})
# Of one text until it is given up: each takes about a millisecond.
MOST_TRIES = 80
HIDDEN = "<insufficient privilege>"
NO_PERMISSION = "42501"
# Of a table, a function or operator, a type, a schema.
NOT_FOUND = frozenset({"42P01", "42883", "42704", "3F000"})


@dataclass(frozen=True, slots=True)
class Planned:
    """A query and its plan. `text` is what was planned; `statements` make the plan again, when sent
    by `Database.together`: the only answer with rows is EXPLAIN's. `tries`: how often it was sent.
    """

    query: Query
    text: str
    parameters: int
    statements: tuple[str, ...]
    plan: Node
    tries: int = 1


@dataclass(frozen=True, slots=True)
class Unplanned:
    """A query without a plan, and why. `expected`: it is none that has a plan, such as VACUUM."""

    id: str
    reason: str
    expected: bool = False
    tries: int = 0


@dataclass(frozen=True, slots=True)
class Plans:
    """What became of each query, in their order."""

    planned: tuple[Planned, ...]
    unplanned: tuple[Unplanned, ...]

    @property
    def share(self) -> float | None:
        """Of the queries that can have a plan: that of those planned. None without any."""
        missed = sum(not each.expected for each in self.unplanned)
        total = len(self.planned) + missed
        return len(self.planned) / total if total else None


def plan_all(database: Database, queries: Iterable[Query], schemas: Iterable[str] = ()) -> Plans:
    """Plans each query; one that cannot be planned stops no other. `schemas` as in `plan`.

    Raises:
        DatabaseAway: the server does not answer.
    """
    others = tuple(schemas)
    results = [plan(database, query, others) for query in queries]
    return Plans(
        tuple(each for each in results if isinstance(each, Planned)),
        tuple(each for each in results if isinstance(each, Unplanned)),
    )


def plan(database: Database, query: Query, schemas: Sequence[str] = ()) -> Planned | Unplanned:
    """The generic plan of one query, its text repaired where the server refuses it.

    Those who sent it may look for names in other schemas than we do: what is not found is looked
    for in `schemas`, too.

    Raises:
        DatabaseAway: the server does not answer.
    """
    if query.text.strip() == HIDDEN:
        return Unplanned(query.id, "its text is hidden from us: GRANT pg_read_all_stats", True)
    try:
        draft = Draft.of(query.text)
    except normalized.Unreadable as error:
        return Unplanned(query.id, str(error))
    draft = _of_cursor(draft)
    first = normalized.first_word(draft.words)
    if first not in PLANNABLE:
        return Unplanned(query.id, f"{first.upper()[:30]} has no plan", True)
    return _Attempts(database, query, schemas).repaired(draft)


def explaining(
    text: str,
    parameters: int,
    *,
    verbose: bool = False,
    pruning: bool = True,
    schemas: Sequence[str] = (),
) -> tuple[str, ...]:
    """The statements that plan a text with `$1` to `$parameters`; for `Database.together`.

    `verbose`: with the schemas of tables. `pruning`: whether partitions may be left out when the
    plan starts, by the NULLs that it is given. `schemas`: where names are looked for, too.
    """
    explain = "EXPLAIN (FORMAT JSON, VERBOSE)" if verbose else "EXPLAIN (FORMAT JSON)"
    path = ", ".join(['"$user"', "public", *map(quoted, schemas)])
    found = (f"SET LOCAL search_path = {path}",) if schemas else ()
    if not parameters:
        return (*found, f"{explain} {text}")
    # Prepared statements outlive a transaction that is rolled back: no two may meet.
    name = f"foretide_{uuid.uuid4().hex}"
    nulls = ", ".join(["NULL"] * parameters)
    return (
        *found,
        "SET LOCAL plan_cache_mode = force_generic_plan",
        *(() if pruning else ("SET LOCAL enable_partition_pruning = off",)),
        f"PREPARE {name} AS {text}",
        f"{explain} EXECUTE {name}({nulls})",
        f"DEALLOCATE {name}",
    )


def answered(answers: Iterable[list[Row]]) -> Node:
    """The plan among the answers to `explaining`.

    Raises:
        NoPlan: there is none.
    """
    for rows in answers:
        if rows:
            return plan_tree.read(rows[0][0])
    raise plan_tree.NoPlan("EXPLAIN did not answer")


class _Refusal(NamedTuple):
    """What the server said, and of which word of the draft."""

    error: DatabaseError
    place: int | None


class _Attempts:
    """Tries of one query."""

    def __init__(self, database: Database, query: Query, schemas: Sequence[str]) -> None:
        self._database = database
        self._query = query
        self._tries = 0
        self._others = schemas
        self._schemas: Sequence[str] = ()

    def repaired(self, draft: Draft) -> Planned | Unplanned:
        """Follows the first repair that gets farther, then looks at the next error."""
        result = self._once(draft)
        if isinstance(result, _Refusal) and result.error.code in NOT_FOUND and self._others:
            self._schemas = self._others
            again = self._once(draft)
            if isinstance(again, _Refusal) and again.error.code == result.error.code:
                self._schemas = ()
            else:
                result = again
        seen = {draft}
        while isinstance(result, _Refusal):
            following = self._of_what_is_read(draft, result) or self._farther(draft, result, seen)
            if following is None:
                return self._given_up(draft, result)
            draft, result = following
        return result

    def _of_what_is_read(
        self, draft: Draft, refusal: _Refusal
    ) -> tuple[Draft, Planned | _Refusal] | None:
        """We may read alone, as we should: then what a statement reads is planned."""
        read = reading.reading(draft) if refusal.error.code == NO_PERMISSION else None
        return None if read is None else (read, self._once(read))

    def _given_up(self, draft: Draft, refusal: _Refusal) -> Unplanned:
        if refusal.error.code == NO_PERMISSION and reading.only_adds(draft):
            return Unplanned(self._query.id, "INSERT of given rows looks for none", True)
        writes = reading.writes(draft)
        return Unplanned(self._query.id, _told(refusal.error, writes), tries=self._tries)

    def _farther(
        self, draft: Draft, refusal: _Refusal, seen: set[Draft]
    ) -> tuple[Draft, Planned | _Refusal] | None:
        for repair in repairing.repairs(draft, refusal.error, refusal.place):
            if repair in seen or self._tries >= MOST_TRIES:
                continue
            seen.add(repair)
            after = self._once(repair)
            if isinstance(after, Planned) or _moved(refusal, after, draft, repair):
                return repair, after
        return None

    def _once(self, draft: Draft) -> Planned | _Refusal:
        self._tries += 1
        text, starts = draft.written()
        count = draft.parameters
        try:
            node = self._explained(text, count, pruning=True)
            whole = not any(each.removed_subplans for each in node.walk())
            if not whole:
                node = self._explained(text, count, pruning=False)
        except DatabaseAway:
            raise
        except DatabaseError as error:
            return _Refusal(error, _place(error.position, starts))
        except plan_tree.NoPlan as error:
            return _Refusal(DatabaseError(str(error)), None)
        statements = explaining(text, count, pruning=whole, schemas=self._schemas)
        return Planned(self._query, text, count, statements, node, self._tries)

    def _explained(self, text: str, parameters: int, *, pruning: bool) -> Node:
        """Positions of errors are those in `text`, from 1."""
        statements = explaining(
            text, parameters, verbose=True, pruning=pruning, schemas=self._schemas
        )
        try:
            return answered(self._database.together(statements))
        except DatabaseAway:
            raise
        except DatabaseError as error:
            if error.position is None and parameters:
                self._forgotten(statements[-1])
                raise
            sent = next(each for each in statements if each.endswith(text))
            position = error.position and error.position - (len(sent) - len(text))
            raise DatabaseError(str(error), error.code, position) from None

    def _forgotten(self, deallocate: str) -> None:
        """What may have been prepared before the error must not stay."""
        with contextlib.suppress(DatabaseError):
            self._database.together([deallocate])


def _moved(before: _Refusal, after: _Refusal, draft: Draft, repair: Draft) -> bool:
    """Whether the server stumbled over another word than before, and not over the repair."""
    if before.place is None or after.place is None:
        return before.place is not after.place or str(before.error) != str(after.error)
    if repairing.spoilt(draft, repair, after.error, after.place):
        return False
    return draft.words[before.place].start != repair.words[after.place].start


def _place(position: int | None, starts: list[int]) -> int | None:
    """Of the word at a position (characters, from 1)."""
    return None if position is None else max(0, bisect.bisect_right(starts, position - 1) - 1)


def _of_cursor(draft: Draft) -> Draft:
    """The query that a cursor is declared for: drivers fetch large results in this way."""
    if normalized.first_word(draft.words) != "declare":
        return draft
    for place, word in enumerate(draft.words):
        if word.says("for"):
            return Draft.stripped(draft.words[place + 1 :])
    return draft


def _told(error: DatabaseError, writes: bool) -> str:
    if error.code == NO_PERMISSION and writes:
        return f"{error}: only a user who may write can plan such a statement"
    if error.code == NO_PERMISSION:
        return f"{error}: GRANT pg_read_all_data to the advisor's user, or SELECT on the table"
    return str(error)
