"""Which indexes to create, with what each is good for, and what all of them do to each query.

A query's time is taken to shrink as its estimated cost does, so that benefits are milliseconds of
the workload. The whole set is looked at once more in the end, query by query: none may cost more.
Where the planner cannot be asked (without HypoPG), a rule answers, and the advice says so.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from foretide.dbadvisor import choosing, ddl, drops, forms, margins, pricing, selection
from foretide.dbadvisor.candidate import Candidate
from foretide.dbadvisor.candidates import candidates
from foretide.dbadvisor.database import Database, DatabaseAway, DatabaseError
from foretide.dbadvisor.estimates import Weighed
from foretide.dbadvisor.forms import Form
from foretide.dbadvisor.report import Change, IndexAdvice, IndexSet
from foretide.dbadvisor.scans import TableScan
from foretide.dbadvisor.selection import Benefit, Beyond, Selection
from foretide.dbadvisor.snapshot import Index, Relation, Snapshot
from foretide.dbadvisor.uses import Parsed, Unparsed
from foretide.dbadvisor.whatif import WhatIf

NO_HYPOPG = (
    "hypopg is not in this database, so that the planner was not asked what an index would bring: "
    "install it (Debian's package is postgresql-NN-hypopg) and run CREATE EXTENSION hypopg"
)
# What estimates may differ by without any reason.
SAME = 1e-6
# What a larger budget must save more of the workload's time to be spoken of.
WORTH_MORE = 0.01
# Of a table: more would be more than HypoPG can hold for a query that reads several tables.
MOST_OF_TABLE = 400
# By the rule, a scan that returns a larger part of its rows is no work for an index.
FEW = 0.1
_SCHEMA = """
SELECT quote_ident(n.nspname) FROM pg_catalog.pg_extension e
JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'hypopg'"""


@dataclass(frozen=True)
class Matter:
    """What is decided about. `wanted` tells which tables may get indexes, `least_share` which part
    of the workload's time an index must save; `budget` in bytes. `charge`: milliseconds that writes
    take for a candidate of so many bytes.
    """

    snapshot: Snapshot
    forms: Sequence[Form]
    parsed: Sequence[Parsed | Unparsed]
    scans: Sequence[TableScan]
    budget: float
    least_share: float
    wanted: Callable[[Relation], bool]
    charge: Callable[[Candidate, float], float]

    def candidates(self) -> list[Candidate]:
        """At most some hundred of a table: those that the costliest queries ask for."""
        ms: dict[str, float] = {}
        for form in self.forms:
            ms[form.query.id] = ms.get(form.query.id, 0.0) + form.ms
        understood = [each for each in self.parsed if isinstance(each, Parsed) and each.id in ms]
        found: dict[Relation, list[Candidate]] = {}
        for one in candidates(self.snapshot, understood):
            if self.wanted(one.table):
                found.setdefault(one.table, []).append(one)
        kept = []
        for some in found.values():
            some.sort(key=lambda one: (-sum(ms[query] for query in one.queries), one.sort_key()))
            kept += some[:MOST_OF_TABLE]
        return kept


@dataclass(frozen=True)
class Found:
    """The set, and what each query costs before and after it, the mean over its forms."""

    indexes: IndexSet
    costs: Mapping[str, tuple[float, float]] = field(default_factory=dict)


def advise(database: Database, matter: Matter, stop: Callable[[], bool] = lambda: False) -> Found:
    """The set of indexes. Once `stop` says so, it is the best one that is known by then.

    Raises:
        DatabaseAway: the server does not answer.
    """
    if "hypopg" not in matter.snapshot.extensions:
        return Found(_by_rule(matter, NO_HYPOPG))
    found = matter.candidates()
    try:
        source = WhatIf(
            database,
            forms.asked(matter.snapshot, matter.forms, matter.parsed),
            found,
            matter.snapshot.tables,
            schema=database.rows(_SCHEMA)[0][0],
        )
    except DatabaseAway:
        raise
    except (DatabaseError, IndexError) as error:
        return Found(_by_rule(matter, f"the planner could not be asked: {error}"))
    if found and len(source.refused) == len(found):
        reason = next(iter(source.refused.values()))
        return Found(_by_rule(matter, f"hypopg takes no index: {reason}"))
    return _Verified(matter, source).advise(stop)


class _Verified:
    """Asks the planner. Forms are named by their ids."""

    def __init__(self, matter: Matter, source: WhatIf) -> None:
        self._matter = matter
        self._source = source
        self._weights = forms.weights(matter.forms)
        tables = margins.cautious(matter.snapshot.tables)
        self._prices = pricing.weighed(source.candidates, tables, matter.charge)
        self._changes: dict[str, Change] = {}

    def advise(self, stop: Callable[[], bool]) -> Found:
        chosen = choosing.choose(
            self._source,
            self._weights,
            self._prices,
            self._matter.budget,
            self._matter.least_share,
            stop=stop,
        )
        for form in self._matter.forms:
            if form.id in chosen.costs_after:
                before, after = chosen.costs_before[form.id], chosen.costs_after[form.id]
                self._changes[form.id] = Change(form.query.id, form.number, before, after)
        worse = [one for one in self._changes.values() if one.ratio > 1 + SAME]
        after = chosen.after + chosen.write_cost
        beyond = self._beyond(chosen, stop)
        indexes = IndexSet(
            tuple(self._told(benefit) for benefit in chosen.benefits),
            self._matter.budget,
            chosen.bytes,
            chosen.before,
            after,
            tuple(sorted(worse, key=lambda one: (-one.ratio, one.query, one.form))),
            asked=self._source.calls,
            candidates=len(self._source.candidates),
            refused={ddl.definition(one): why for one, why in self._source.refused.items()},
            beyond_bytes=beyond.bytes if beyond else 0.0,
            beyond_ms=after - beyond.gain if beyond else 0.0,
        )
        return Found(indexes, _means(self._changes.values()))

    def _beyond(self, chosen: Selection, stop: Callable[[], bool]) -> Beyond | None:
        """What a larger budget would bring, where that is worth a word."""
        if stop():
            return None
        worth, budget = WORTH_MORE * chosen.before, self._matter.budget
        found = selection.beyond(
            self._source, self._weights, self._prices, chosen, budget, worth=worth, stop=stop
        )
        return found if found.gain >= worth and found.bytes > budget else None

    def _told(self, benefit: Benefit) -> IndexAdvice:
        place = benefit.candidate
        best_first = sorted(benefit.queries, key=lambda name: (-self._saved(name), name))
        helped: dict[str, Change] = {}
        for name in best_first:
            helped.setdefault(self._changes[name].query, self._changes[name])
        concerned = [
            one for name, one in self._changes.items() if self._source.relevant(name) >> place & 1
        ]
        return _index_advice(
            self._matter.snapshot,
            self._source.candidates[place],
            self._prices[place],
            saved_ms=benefit.gain,
            verified=True,
            queries=tuple(helped.values()),
            worst=max(concerned, key=lambda one: (one.ratio, one.query, one.form), default=None),
        )

    def _saved(self, name: str) -> float:
        change = self._changes[name]
        return self._weights[name] * (change.before - change.after)


def _means(changes: Iterable[Change]) -> dict[str, tuple[float, float]]:
    found: dict[str, list[Change]] = {}
    for one in changes:
        found.setdefault(one.query, []).append(one)
    return {
        query: (
            sum(one.before for one in some) / len(some),
            sum(one.after for one in some) / len(some),
        )
        for query, some in found.items()
    }


def _by_rule(matter: Matter, reason: str) -> IndexSet:
    """An index for each full scan that throws most of its rows away, costliest first: that which
    serves most time of such scans, holds most of what they ask for, and is smallest.
    """
    asked = {one: _asked(one, matter.parsed) for one in matter.candidates()}
    found = [one for one in asked if asked[one] and not one.include and one.predicate is None]
    weighed = pricing.weighed(found, margins.cautious(matter.snapshot.tables), matter.charge)
    prices = dict(zip(found, weighed, strict=True))
    unserved = {
        (scan.query, scan.table): scan.ms
        for scan in matter.scans
        if scan.reads > 0 and scan.returns <= FEW * scan.reads
    }
    chosen: list[IndexAdvice] = []
    used = 0.0
    while unserved:
        served = {
            one: sum(unserved.get((query, one.table), 0.0) for query in one.queries)
            for one in found
        }
        fitting = [
            (-served[one], -len(asked[one]), prices[one].bytes, one.sort_key(), one)
            for one in found
            if served[one] > prices[one].write_cost and used + prices[one].bytes <= matter.budget
        ]
        if not fitting:
            break
        best = min(fitting, key=lambda each: each[:-1])[-1]
        used += prices[best].bytes
        for query in best.queries:
            unserved.pop((query, best.table), None)
        advice = _index_advice(
            matter.snapshot, best, prices[best], saved_ms=served[best], verified=False
        )
        chosen.append(advice)
    before = sum(form.ms for form in matter.forms)
    return IndexSet(
        tuple(chosen), matter.budget, used, before, before, (), reason, candidates=len(found)
    )


def _asked(candidate: Candidate, parsed: Iterable[Parsed | Unparsed]) -> set[str]:
    """The columns of the index that conditions of its queries speak of; none if its first is not
    among them.
    """
    asked = {
        name
        for each in parsed
        if isinstance(each, Parsed) and each.id in candidate.queries
        for use in each.uses
        for predicate in use.predicates
        for name in predicate.key.columns
    }
    first = candidate.keys[0].column
    if first is not None and first not in asked:
        return set()
    return asked & set(candidate.columns)


def _index_advice(
    snapshot: Snapshot,
    candidate: Candidate,
    price: Weighed,
    *,
    saved_ms: float,
    verified: bool,
    queries: tuple[Change, ...] = (),
    worst: Change | None = None,
) -> IndexAdvice:
    tables = {table.relation: table for table in snapshot.tables}
    name = ddl.name_of(candidate)
    made = Index(
        Relation(candidate.table.schema, name),
        candidate.table,
        "btree",
        candidate.keys,
        candidate.include,
        candidate.predicate,
    )
    replaced = [
        index.relation
        for index in snapshot.indexes
        if index.parent is None and index.valid and drops.covers(made, index)
    ]
    return IndexAdvice(
        candidate,
        name,
        ddl.creation(candidate, tables, snapshot.indexes),
        ddl.removal(made, tables),
        price.bytes,
        saved_ms,
        price.write_cost,
        queries,
        worst,
        candidate.why,
        verified,
        tuple(sorted(replaced)),
    )
