"""Queries really run, to see how long they take: in read-only transactions, with a time limit.

Only what reads is run, and calls no function that may do something beside (a volatile one). A plan
that was run before is not run again: the same plan on the same data takes as long.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from foretide.dbadvisor import cacheable, normalized
from foretide.dbadvisor.database import Database, DatabaseAway, DatabaseError
from foretide.dbadvisor.verifying import Trial
from foretide.dbadvisor.whatif import index_names

TIMEOUT_MS = 60_000
RUNS = 2
READING = frozenset({"select", "with", "values", "table"})
_WRITES = "25006"  # read_only_sql_transaction
_TOO_LONG = "57014"  # query_canceled


@dataclass(frozen=True, slots=True)
class Untried:
    """Why a query was not run, or could not be."""

    query: str
    reason: str


class Trier:
    """Runs queries through one connection. `runs` of each plan; one that takes longer than
    `timeout_ms` is ended and counts as that long. `untried` has the last reason for each query.
    """

    def __init__(
        self, database: Database, *, runs: int = RUNS, timeout_ms: float = TIMEOUT_MS
    ) -> None:
        self.untried: dict[str, Untried] = {}
        self._database = database
        self._runs = runs
        self._timeout_ms = timeout_ms
        self._known: dict[tuple[str, str], Trial] = {}
        self._volatile: dict[str, bool] = {}

    def trials(
        self, queries: Mapping[str, str], only: Iterable[str] | None = None, *, again: bool = False
    ) -> dict[str, Trial]:
        """Those that could be run, in order. `queries` are texts with constants by id; `only` names
        some of them; `again`: also plans that were run before.

        Raises:
            DatabaseAway: nobody answers.
        """
        found = {}
        for query in sorted(queries) if only is None else only:
            answer = self.trial(query, queries[query], again=again)
            if isinstance(answer, Trial):
                found[query] = answer
        return found

    def trial(self, query: str, text: str, *, again: bool = False) -> Trial | Untried:
        """One query. Raises as `trials` does."""
        try:
            answer = self._refused(query, text) or self._tried(query, text, again=again)
        except normalized.Unreadable as error:
            answer = Untried(query, f"its text cannot be read: {error}")
        except DatabaseAway:
            raise
        except DatabaseError as error:
            writes = error.code == _WRITES
            reason = "it writes" if writes else f"PostgreSQL refused it: {error}"
            answer = Untried(query, reason)
        if isinstance(answer, Untried):
            self.untried[query] = answer
        return answer

    def _refused(self, query: str, text: str) -> Untried | None:
        words = normalized.statement(text)
        if normalized.first_word(words) not in READING:
            return Untried(query, "it is no query that only reads")
        if any(word.kind == "parameter" for word in words):
            return Untried(query, "its constants are not known")
        called = cacheable.functions(text)
        unknown = called - self._volatile.keys()
        if unknown:
            kinds = cacheable.volatilities(self._database, unknown)
            self._volatile |= {name: "v" in kinds.get(name, "") for name in unknown}
        volatile = sorted(name for name in called if self._volatile[name])
        if volatile:
            return Untried(query, f"it calls {volatile[0]}, which is volatile")
        return None

    def _tried(self, query: str, text: str, *, again: bool) -> Trial:
        plan = self._explained(f"EXPLAIN (FORMAT JSON) {text}")["Plan"]
        key = (query, json.dumps(plan, sort_keys=True))
        known = self._known.get(key)
        if known is not None and not again:
            return known
        runs: list[float] = []
        for _ in range(self._runs):
            runs.append(self._run(text))
            if runs[-1] >= self._timeout_ms:
                break
        trial = Trial(tuple(runs), float(plan["Total Cost"]), frozenset(index_names(plan)))
        if known is not None:
            trial = Trial((*known.ms, *trial.ms), trial.cost, trial.indexes)
        self._known[key] = trial
        return trial

    def _run(self, text: str) -> float:
        """Milliseconds in the executor: without the way of the rows to the client."""
        try:
            answer = self._explained(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {text}")
        except DatabaseError as error:
            if error.code == _TOO_LONG:
                return self._timeout_ms
            raise
        return float(answer["Execution Time"])

    def _explained(self, statement: str) -> dict[str, Any]:
        limit = f"SET LOCAL statement_timeout = {math.ceil(self._timeout_ms)}"
        rows = self._database.together([limit, statement])[-1]
        try:
            value = rows[0][0]
            answer: dict[str, Any] = (json.loads(value) if isinstance(value, str) else value)[0]
        except (IndexError, KeyError, TypeError, ValueError):
            raise DatabaseError("EXPLAIN did not answer with a plan") from None
        return answer
