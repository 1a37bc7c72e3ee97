"""What an index costs at writes: the time that statements and vacuum need more because of it.

In the planner's units first, which `pace` turns into milliseconds of this database. For each new
entry, the descent as PostgreSQL's planner costs it (btcostestimate in selfuncs.c: a comparison for
each doubling of the entries, and 50 of them for each page on the way), and the entry itself. For
each page that is changed between two checkpoints, its image in the WAL and its way back to the
disk; how many different ones a number of entries touches is Cardenas' formula (CACM 18(5), 1975).
For each vacuum, all pages. No constant is fitted: `benchmarks/dbadvisor_upkeep.py` holds it against
what writes really take.

An update that changes no indexed column may stay on its page (HOT), and then costs no index
anything. An index on a column that updates set ends that for them: from then on they put an entry
into every index of the table. Columns that are included, or read by a predicate or an expression,
count as well. Which columns are set is read from the texts of UPDATE statements. That the value
really changes nobody knows (mappers set all columns): where updates that set an indexed column stay
HOT all the same, that is believed of them.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from foretide.dbadvisor.candidate import Candidate
from foretide.dbadvisor.snapshot import Index, Relation, Snapshot, Table, Workload
from foretide.dbadvisor.writes import Written, upwards

# PostgreSQL's defaults of cpu_operator_cost and cpu_index_tuple_cost.
OPERATOR = 0.0025
INDEX_TUPLE = 0.005
OPERATORS_A_PAGE = 50
FANOUT = 250  # of inner pages, for keys of some 20 bytes
CHECKPOINT = 300.0  # seconds between two, by default
PAGE_WRITES = 2.0  # of a page that was changed: into the WAL, and back to the disk
NAP = 60.0  # seconds between two looks of autovacuum
# From here on new rows are taken to come in the order of the column: they all go to one page.
IN_ORDER = 0.95
# A millisecond has about a hundred units, where everything is in memory.
USUAL_PACE = 0.01
_NAME = re.compile(r'"((?:[^"]|"")*)"|([^\W\d][\w$]*)')
_SIZE = re.compile(r"(\d+)\s*([kMGT]?B)")
_UNITS = {"B": 1, "kB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40}


@dataclass(frozen=True, slots=True)
class Upkeep:
    """What writes cost more with an index, over the time of the workload. Costs are in the
    planner's units: `cost` is all of it, `hot_cost` the part that comes from updates which are no
    longer HOT (`hot_lost` of them). `entries` are added to the index, `pages` changed between
    checkpoints, `vacuums` read it through.
    """

    cost: float = 0.0
    entries: float = 0.0
    pages: float = 0.0
    vacuums: float = 0.0
    hot_lost: float = 0.0
    hot_cost: float = 0.0


def upkeep(
    candidate: Candidate,
    size: float,
    snapshot: Snapshot,
    writes: Mapping[Relation, Written],
) -> Upkeep:
    """What the index will cost, `size` bytes large; on all partitions of a partitioned table.

    Nothing is told of tables that are not in `writes`.
    """
    return Upkeeps(snapshot, writes).of(candidate, size)


class Upkeeps:
    """The same for many candidates of one database."""

    def __init__(self, snapshot: Snapshot, writes: Mapping[Relation, Written]) -> None:
        self._writes = writes
        self._costs = _Costs.of(snapshot)
        self._leaves: dict[Relation, list[Table]] = {}
        self._indexes: dict[Relation, list[Index]] = {}
        tables = {table.relation: table for table in snapshot.tables}
        for table in snapshot.tables:
            if table.relation in writes:
                for relation in upwards(table, tables):
                    self._leaves.setdefault(relation, []).append(table)
        for index in snapshot.indexes:
            self._indexes.setdefault(index.table, []).append(index)

    def of(self, candidate: Candidate, size: float) -> Upkeep:
        """See `upkeep`."""
        leaves = self._leaves.get(candidate.table, [])
        pages = sum(max(1, table.pages) for table in leaves)
        parts = [
            _of_table(
                candidate,
                size * max(1, table.pages) / pages,
                table,
                self._indexes.get(table.relation, []),
                self._writes[table.relation],
                self._costs.with_more(size),
            )
            for table in leaves
        ]
        return Upkeep(
            sum(each.cost for each in parts),
            sum(each.entries for each in parts),
            sum(each.pages for each in parts),
            sum(each.vacuums for each in parts),
            sum(each.hot_lost for each in parts),
            sum(each.hot_cost for each in parts),
        )


def pace(workload: Workload, costs: Mapping[str, float]) -> float:
    """Milliseconds of this database for one unit of the planner's costs: the median over the
    workload's time. `costs` are those of one call of each query, by its id.

    A few queries whose costs are far from the truth, or that waited for locks, do not move it.
    """
    rates = sorted(
        (query.total_ms / (query.calls * costs[query.id]), query.total_ms)
        for query in workload.queries
        if query.calls > 0 and query.total_ms > 0 and costs.get(query.id, 0.0) > 0
    )
    half = sum(weight for _, weight in rates) / 2
    for rate, weight in rates:
        half -= weight
        if half <= 0:
            return rate
    return USUAL_PACE


@dataclass(frozen=True, slots=True)
class _Costs:
    """Of a page read in order and of one read anywhere; bytes of all that there is, and of what
    fits into memory.
    """

    sequential: float
    random: float
    whole: float
    cache: float

    @classmethod
    def of(cls, snapshot: Snapshot) -> "_Costs":
        block = _number(snapshot.settings.get("block_size"), 8192.0)
        whole = block * sum(table.pages for table in snapshot.tables)
        return cls(
            _number(snapshot.settings.get("seq_page_cost"), 1.0),
            _number(snapshot.settings.get("random_page_cost"), 4.0),
            whole + sum(index.bytes for index in snapshot.indexes),
            _bytes(snapshot.settings.get("effective_cache_size", "")) or 2.0**32,
        )

    def with_more(self, size: float) -> "_Costs":
        return replace(self, whole=self.whole + size)

    @property
    def missing(self) -> float:
        """Which share of pages is not in memory."""
        return max(0.0, 1 - self.cache / self.whole) if self.whole > 0 else 0.0


def _of_table(
    candidate: Candidate,
    size: float,
    table: Table,
    indexes: Sequence[Index],
    writes: Written,
    costs: _Costs,
) -> Upkeep:
    pages = max(1.0, size / 8192)
    rows = float(max(table.rows, table.live, 1))
    lost = _hot_lost(candidate, table, indexes, writes)
    entries = writes.inserted + max(0.0, writes.updated - writes.hot) + lost
    in_order = _in_order(candidate, table)
    own = _entry(rows, pages)
    touched = _touched(entries, pages, writes.seconds, in_order)
    vacuums = _vacuums(writes, rows)
    others = lost * sum(_entry(rows, max(1.0, index.bytes / 8192)) for index in indexes)
    cost = entries * own + touched * PAGE_WRITES * costs.sequential + others
    if not in_order:
        cost += entries * costs.missing * costs.random
    cost += vacuums * (pages * costs.sequential + rows * INDEX_TUPLE)
    return Upkeep(cost, entries, touched, vacuums, lost, lost * own + others)


def _entry(rows: float, pages: float) -> float:
    height = math.ceil(math.log(pages, FANOUT)) if pages > 1 else 0
    descent = math.ceil(math.log2(max(2.0, rows))) + (height + 1) * OPERATORS_A_PAGE
    return descent * OPERATOR + INDEX_TUPLE


def _touched(entries: float, pages: float, seconds: float | None, in_order: bool) -> float:
    """Pages that are changed, each once between two checkpoints."""
    checkpoints = max(1.0, (seconds or 0.0) / CHECKPOINT)
    each = entries / checkpoints
    if in_order:
        # They fill one page after the other; the one that is being filled is changed in any case.
        return checkpoints * min(each, 1.0) + entries * 20 / 8192
    if pages <= 1:
        return checkpoints * min(each, 1.0)
    return checkpoints * min(each, -pages * math.expm1(each * math.log1p(-1 / pages)))


def _in_order(candidate: Candidate, table: Table) -> bool:
    first = candidate.keys[0].column
    known = {column.name: column.statistics for column in table.columns}
    statistics = known.get(first) if first is not None else None
    return (
        statistics is not None
        and statistics.correlation is not None
        and statistics.correlation >= IN_ORDER
        and (statistics.distinct < 0 or statistics.distinct > 0.1 * max(1.0, table.rows))
    )


def _vacuums(writes: Written, rows: float) -> float:
    """How often autovacuum comes, by its defaults; not more often than it looks."""
    dead = writes.deleted + max(0.0, writes.updated - writes.hot)
    often = dead / (50 + 0.2 * rows)
    return often if writes.seconds is None else min(often, writes.seconds / NAP)


def _hot_lost(
    candidate: Candidate, table: Table, indexes: Sequence[Index], writes: Written
) -> float:
    """HOT updates that are none any more, once these columns are indexed."""
    names = {column.name for column in table.columns}
    held = {name for index in indexes if index.valid for name in _columns(index, names)}
    new = set(candidate.columns) - held
    if not new or writes.hot <= 0:
        return 0.0
    free = sum(each.rows for each in writes.sets if not each.columns & held)
    bound = sum(each.rows for each in writes.sets if each.columns & held)
    # Those that set no indexed column are HOT first; what is left over others must have been.
    share = min(1.0, writes.hot / free) if free > 0 else 0.0
    left = max(0.0, writes.hot - free)
    share_bound = min(1.0, left / bound) if bound > 0 else 0.0
    known = lost = 0.0
    for each in writes.sets:
        hot = each.rows * (share_bound if each.columns & held else share)
        known += hot
        lost += hot if each.columns & new else 0.0
    # Of updates by functions, triggers and other clients nothing is known: they are like the rest,
    # and without any rest each column is as likely to be set as any other.
    rest = max(0.0, writes.hot - known)
    likely = lost / known if known > 0 else min(1.0, len(new) / max(1, len(names)))
    return lost + rest * likely


def _columns(index: Index, names: set[str]) -> set[str]:
    """All columns whose change the index takes notice of."""
    texts = [key.expression for key in index.keys if key.expression]
    texts += [index.predicate] if index.predicate else []
    words = {
        quoted.replace('""', '"') if quoted else plain.lower()
        for text in texts
        for quoted, plain in _NAME.findall(text)
    }
    keys = {key.column for key in index.keys if key.column is not None}
    return (keys | set(index.include) | words) & names


def _number(text: str | None, otherwise: float) -> float:
    try:
        return float(text) if text else otherwise
    except ValueError:
        return otherwise


def _bytes(text: str) -> float:
    found = _SIZE.fullmatch(text.strip())
    return float(found[1]) * _UNITS[found[2]] if found else 0.0
