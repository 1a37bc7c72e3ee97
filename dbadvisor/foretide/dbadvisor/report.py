"""All that is advised for one database, ranked, with the figures that each piece comes from.

Costs are the planner's, in its own unit; times are milliseconds of the database over the whole
workload (`WorkloadFacts.seconds` says how long that was), estimated where nothing was executed:
a query is taken to get faster as its estimated cost gets lower. Sizes are bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from foretide.dbadvisor.caching import CacheAdvice
from foretide.dbadvisor.candidate import Candidate
from foretide.dbadvisor.distribution import Finding as Distribution
from foretide.dbadvisor.drops import Drops
from foretide.dbadvisor.locks import Blocker, Lingering, Wait
from foretide.dbadvisor.nplusone.advice import Advice as Batch
from foretide.dbadvisor.nplusone.findings import Finding as Repeated
from foretide.dbadvisor.planning import Unplanned
from foretide.dbadvisor.scans import TableScan
from foretide.dbadvisor.snapshot import Relation


class Topic(StrEnum):
    """What a remark is about; named as reasons of conditions are."""

    PERMISSION_MISSING = "PermissionMissing"
    EXTENSION_MISSING = "ExtensionMissing"
    STATISTICS_AGE = "StatisticsAge"  # since when something is counted, or that nobody knows
    INCOMPLETE = "Incomplete"  # something was left out: not counted, not read, not looked at
    ENDED_EARLY = "EndedEarly"  # what is here was known when the work was ended


@dataclass(frozen=True, slots=True)
class Remark:
    """What limits the advice, in one sentence, with what to do about it where there is anything."""

    topic: Topic
    message: str


@dataclass(frozen=True, slots=True)
class QueryFacts:
    """A query of the workload. `share` of the workload's time. `before` and `after` are its cost
    now and with all advised indexes, the mean over its `forms`: its generic plan, and one for each
    text with constants that is known of it. None: it was not planned, or nothing was tried.
    `text` has no constants where the server left them out; it may be shortened.
    """

    id: str
    text: str
    calls: float
    total_ms: float
    rows: float
    share: float
    before: float | None = None
    after: float | None = None
    forms: int = 0


@dataclass(frozen=True, slots=True)
class WorkloadFacts:
    """What the advice is for. `source` says where it was counted, in words; `seconds` over how
    long, None if that is not known. `queries` are those looked at, costliest first; `known` is how
    many there are in all, and `total_ms` what all of them took. `planned` and `plannable`: of those
    looked at, how many could be planned, of how many that can be at all.
    """

    source: str
    seconds: float | None
    known: int
    calls: float
    total_ms: float
    planned: int
    plannable: int
    queries: tuple[QueryFacts, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """The cost of one query before and after, in the form of it that is worst off: `form` 0 is the
    generic plan, others are its texts with constants in their order.
    """

    query: str
    form: int
    before: float
    after: float

    @property
    def ratio(self) -> float:
        """Above 1: it gets worse."""
        return self.after / self.before if self.before > 0 else 1.0


@dataclass(frozen=True, slots=True)
class IndexAdvice:
    """An index to create. `statements` create it, `undo` drops it again; each is to be run by
    itself, outside a transaction.

    `saved_ms`: what would be lost without it alone, the others being there; `upkeep_ms`: what
    writes will cost more with it, already taken off. `queries` get cheaper by it (cost now, and
    with the whole set), those that gain most first. `worst` is the query of its tables that is
    worst off with the whole set. `replaces`: indexes that are of no use beside it.
    Where `verified` is False the planner was not asked: then `saved_ms` is the time of the full
    scans that it might replace, and there are no costs.
    """

    candidate: Candidate
    name: str
    statements: tuple[str, ...]
    undo: tuple[str, ...]
    bytes: float
    saved_ms: float
    upkeep_ms: float
    queries: tuple[Change, ...]
    worst: Change | None
    why: str
    verified: bool
    replaces: tuple[Relation, ...] = ()


@dataclass(frozen=True, slots=True)
class IndexSet:
    """The indexes to create, those that save most first, and what all of them do together.

    `before_ms` and `after_ms`: the workload's time now and with all of them, upkeep included;
    `budget` and `bytes` of storage. `regressions`: queries whose cost the whole set makes worse,
    the worst first. `unverified` says why the planner was not asked, "" if it was; `asked` how many
    plans it made, to choose among so many `candidates`. `refused`: those that could not be tried,
    by their definition, with the reason. `beyond_bytes` is what indexes would take without the
    budget, and `beyond_ms` the workload's time with those: 0 where the budget keeps nothing away.
    """

    indexes: tuple[IndexAdvice, ...] = ()
    budget: float = 0.0
    bytes: float = 0.0
    before_ms: float = 0.0
    after_ms: float = 0.0
    regressions: tuple[Change, ...] = ()
    unverified: str = ""
    asked: int = 0
    candidates: int = 0
    refused: Mapping[str, str] = field(default_factory=dict)
    beyond_bytes: float = 0.0
    beyond_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Locks:
    """What sessions wait for. `looks`: at how many moments they were looked at."""

    blockers: tuple[Blocker, ...] = ()
    lingering: tuple[Lingering, ...] = ()
    waits: tuple[Wait, ...] = ()
    looks: int = 0


@dataclass(frozen=True, slots=True)
class Repeats:
    """Statements that are sent again and again. `batches`: N+1, with the batch that replaces them;
    `redundant`: with the same parameters. `unproven` says why none can be told, where that is so.
    """

    batches: tuple[Batch, ...] = ()
    redundant: tuple[Repeated, ...] = ()
    unproven: str = ""


@dataclass(frozen=True, slots=True)
class Advice:
    """The whole advice for `database`, of `at` (Unix seconds). All that is ranked comes best first.

    `caches` are all queries that were looked at for caching, those worth it first
    (`CacheAdvice.saved` > 0). `unplanned` are queries without a plan, those that never have one
    (`expected`) last. `remarks` say what limits the advice.
    """

    database: str
    version: int  # server_version_num
    at: float
    workload: WorkloadFacts
    scans: tuple[TableScan, ...] = ()
    indexes: IndexSet = field(default_factory=IndexSet)
    drops: Drops = field(default_factory=lambda: Drops(()))
    repeats: Repeats = field(default_factory=Repeats)
    caches: tuple[CacheAdvice, ...] = ()
    locks: Locks = field(default_factory=Locks)
    distribution: tuple[Distribution, ...] = ()
    unplanned: tuple[Unplanned, ...] = ()
    remarks: tuple[Remark, ...] = ()
