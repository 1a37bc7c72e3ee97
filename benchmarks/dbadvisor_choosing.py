"""What Foretide chooses for a workload, and what its peers do: what-if costs, nothing built."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import dbadvisor_data as data
from benchmarks import dbadvisor_peers as peers
from foretide.dbadvisor import (
    candidates,
    choosing,
    margins,
    parsing,
    planning,
    pricing,
    questions,
)
from foretide.dbadvisor.candidate import Candidate
from foretide.dbadvisor.collecting import collect
from foretide.dbadvisor.connection import Connection
from foretide.dbadvisor.database import DatabaseError
from foretide.dbadvisor.observed import Settings
from foretide.dbadvisor.planning import Planned, Unplanned
from foretide.dbadvisor.scopes import Catalog
from foretide.dbadvisor.snapshot import Query, Relation, Snapshot, Table
from foretide.dbadvisor.uses import Parsed
from foretide.dbadvisor.whatif import Question, WhatIf

Way = Callable[
    [peers.Plans, data.Columns, Sequence[float], Sequence[float]], dict[float, peers.Choice]
]
CORRECTED = "extend, real sizes"
SHIPPED = ("supabase's way", "dexter's way", "extend, HypoPG's sizes")


@dataclass(frozen=True)
class Chosen:
    """A way's indexes for a budget, how many plans it asked for, and the seconds of CPU that it
    took to choose, by `Clock`. `aborted`: no query's cost came back.
    """

    indexes: tuple[Candidate, ...]
    calls: int
    seconds: float
    aborted: bool = False


@dataclass(frozen=True)
class Prepared:
    """A workload in its database, with all that is known before the search begins: queries parsed
    and planned, and the candidates that come of it.
    """

    workload: data.Workload
    snapshot: Snapshot
    columns: data.Columns
    parsed: tuple[Parsed, ...]
    planned: tuple[Planned, ...]
    candidates: tuple[Candidate, ...]
    unplanned: tuple[Unplanned, ...] = ()

    @property
    def tables(self) -> Mapping[Relation, Table]:
        return {one.relation: one for one in self.snapshot.tables}


def prepared(connection: Connection, workload: data.Workload) -> Prepared:
    """A query that cannot be planned is told, and left out of the workload."""
    snapshot = collect(connection, 0.0)
    asked = [Query(name, text, 1.0, 1.0) for name, text in sorted(workload.queries.items())]
    plans = planning.plan_all(connection, asked)
    read = parsing.parse_all(asked, Catalog.of(snapshot))
    parsed = tuple(one for one in read if isinstance(one, Parsed))
    tables = {one.relation: one for one in snapshot.tables}
    known = {one.query.id: one.query.text for one in plans.planned}
    workload = replace(workload, queries=known)
    return Prepared(
        workload,
        snapshot,
        data.columns_of(workload, tables),
        parsed,
        plans.planned,
        candidates.candidates(snapshot, parsed),
        plans.unplanned,
    )


class Clock:
    """Seconds of CPU that this process and the server's process behind a connection have used.

    To choose is to take turns with one process of the server, so that this is the time which it
    takes on a machine of one's own; but work of others beside it and pauses do not count.
    """

    def __init__(self, connection: Connection) -> None:
        pid = connection.rows("SELECT pg_backend_pid()")[0][0]
        self._server = Path(f"/proc/{pid}/schedstat")

    def __call__(self) -> float:
        return time.process_time() + int(self._server.read_text().split()[0]) / 1e9


class Ours:
    """One search for each budget, each from the beginning, as if it were the only one."""

    def __init__(self, connection: Connection, known: Prepared) -> None:
        self._connection = connection
        self._known = known
        self._clock = Clock(connection)
        self._sources: dict[float, WhatIf] = {}

    def choose(self, budget: float) -> Chosen:
        """The plans that are asked for, and the time from the first of them on."""
        begun = self._clock()
        known = self._known
        asked = questions.questions(known.snapshot, known.planned, known.parsed)
        source = WhatIf(self._connection, asked, known.candidates, known.snapshot.tables)
        self._sources[budget] = source
        found = self._select(source, budget, 0, ())
        return replace(found, seconds=self._clock() - begun)

    def instead(
        self, budget: float, kept: Sequence[Candidate], reverted: Sequence[Candidate]
    ) -> tuple[Candidate, ...]:
        """What to have besides what is kept, after some have been reverted."""
        source = self._sources[budget]
        return self._select(source, budget, source.mask(kept), reverted).indexes

    def _select(
        self, source: WhatIf, budget: float, start: int, banned: Sequence[Candidate]
    ) -> Chosen:
        # As `foretide advise` weighs them.
        tables = margins.cautious(self._known.snapshot.tables)
        prices = pricing.weighed(source.candidates, tables, lambda candidate, size: 0.0)
        for place, candidate in enumerate(source.candidates):
            if candidate in banned:
                prices[place] = replace(prices[place], bytes=float("inf"))
        weights = dict.fromkeys(source.questions, 1.0)
        found = choosing.choose(
            source, weights, prices, budget, Settings().least_share, start=start
        )
        indexes = tuple(source.chosen(found.indexes))
        return Chosen(indexes, source.calls, 0.0, aborted=not found.costs_after)


class Peers:
    """All other ways, with one memory of plans; each counts what it would have asked for alone.
    `tell` hears now and then how far one has come.
    """

    def __init__(
        self, connection: Connection, known: Prepared, tell: Callable[[str], None]
    ) -> None:
        asked = [
            Question(name, (f"EXPLAIN (FORMAT JSON) {text}",), known.columns[name])
            for name, text in sorted(known.workload.queries.items())
        ]
        self._columns = known.columns
        self._source = WhatIf(connection, asked, peers.candidates_of(known.columns))
        self._plans = peers.Plans(self._source, Clock(connection), tell)
        real = [pricing.foreseen_bytes(one, known.tables) for one in self._source.candidates]
        nominal = peers.hypopg_sizes(connection, self._source.candidates)
        self._ways: dict[str, tuple[Way, Sequence[float]]] = {
            SHIPPED[0]: (peers.by_query_columns, real),
            SHIPPED[1]: (peers.two_columns, real),
            SHIPPED[2]: (peers.extend, nominal),
            CORRECTED: (peers.extend, real),
        }

    def choose(self, way: str, budget: float) -> Chosen:
        """Raises DatabaseError: the planner failed, and what was made of that is no choice."""
        function, prices = self._ways[way]
        found = function(self._plans, self._columns, prices, [budget])[budget]
        if self._source.failed:
            raise DatabaseError(f"not planned: {self._source.failed}")
        return Chosen(tuple(self._source.chosen(found.indexes)), found.calls, found.seconds)
