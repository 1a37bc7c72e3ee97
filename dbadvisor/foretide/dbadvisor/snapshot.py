"""What was seen of a database at one moment: counters, statistics and the catalog.

Everything here is plain data, so that all advice is a pure function of it. Times are in
milliseconds where PostgreSQL gives them so, and moments are Unix seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, order=True)
class Relation:
    """A table, materialized view or index by its schema and name, unquoted."""

    schema: str
    name: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True, slots=True)
class Statement:
    """A normalized query of pg_stat_statements and what it has cost since the counters began.

    `text` may be cut off by the server (track_activity_query_size does not apply; a lost text file
    gives an empty one). `queryid`, `userid` and `toplevel` together identify it in its database.
    """

    queryid: int
    userid: int
    toplevel: bool
    text: str
    calls: int
    total_ms: float
    rows: int
    blocks_hit: int = 0
    blocks_read: int = 0
    temp_blocks: int = 0
    stddev_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class ColumnStatistics:
    """pg_stats of one column. `distinct` as there: above 0 a number, below 0 a share of the rows.

    `common` and their `frequencies` belong together, most frequent first; `bounds` are the
    histogram's. Values are in their text form. None where statistics were never gathered.
    """

    null_share: float
    width: int
    distinct: float
    common: tuple[str, ...] = ()
    frequencies: tuple[float, ...] = ()
    bounds: tuple[str, ...] = ()
    correlation: float | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """A column in its table's order. `type` is format_type's, `length` typlen (below 0: varies),
    `collation` the name of its own one, if that is not the database's.
    """

    name: str
    type: str
    length: int
    align: int
    not_null: bool
    statistics: ColumnStatistics | None = None
    collation: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """A view that is read through to its tables, with the query that defines it."""

    relation: Relation
    definition: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table, partitioned table, partition or materialized view, and how it is used.

    `rows` is reltuples (-1: never analyzed). Counters are since `Snapshot.stats_reset`; moments of
    the last vacuum and analyze are None where there was none.
    """

    relation: Relation
    kind: str  # relkind: r, p, m
    rows: float
    pages: int
    columns: tuple[Column, ...] = ()
    primary_key: tuple[str, ...] = ()
    parent: Relation | None = None  # of a partition
    row_security: bool = False
    fill_factor: int = 100
    sequential_scans: int = 0
    rows_read_sequentially: int = 0
    index_scans: int = 0
    inserted: int = 0
    updated: int = 0
    hot_updated: int = 0
    deleted: int = 0
    live: int = 0
    dead: int = 0
    modified_since_analyze: int = 0
    analyzed_at: float | None = None
    vacuumed_at: float | None = None


@dataclass(frozen=True, slots=True)
class IndexKey:
    """A key of an index: a column's name, or an expression as PostgreSQL writes it."""

    column: str | None
    expression: str | None = None
    descending: bool = False
    nulls_first: bool = False
    operator_class: str = ""  # where it is not the type's usual one
    collation: str = ""


@dataclass(frozen=True, slots=True)
class Index:
    """An index. `predicate` as PostgreSQL writes it, of a partial one. `constraint`: it upholds a
    primary key, a unique or an exclusion constraint, so that it cannot be dropped by itself.
    """

    relation: Relation
    table: Relation
    method: str
    keys: tuple[IndexKey, ...]
    include: tuple[str, ...] = ()
    predicate: str | None = None
    unique: bool = False
    constraint: bool = False
    valid: bool = True
    parent: Relation | None = None
    bytes: int = 0
    scans: int = 0
    rows_read: int = 0
    last_scan: float | None = None  # PostgreSQL 16 and newer
    definition: str = ""
    replica_identity: bool = False


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """`columns` of `table` refer to `referenced_columns` of `referenced`."""

    name: str
    table: Relation
    columns: tuple[str, ...]
    referenced: Relation
    referenced_columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sequence:
    """How far a sequence has come towards `maximum` of what its column can hold."""

    relation: Relation
    last: int | None
    increment: int
    maximum: int
    column: str | None = None
    table: Relation | None = None


@dataclass(frozen=True, slots=True)
class Constant:
    """A constant that was seen in a predicate (pg_qualstats), and how often: `count` rows were
    compared with it, in `occurrences` executions.
    """

    queryid: int
    table: Relation
    column: str
    operator: str
    value: str
    count: int
    occurrences: int = 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A database at one moment. `stats_reset`: since when tables and indexes were counted,
    `statements_reset`: since when statements were; None where it is not known. `dealloc`: how often
    statements were thrown away since, so that some are missing. `missing` says what could not be
    read, with the reason and the remedy. `collates_as_c`: text sorts by its bytes, so that a usual
    index serves LIKE 'prefix%'. `constants_lost`: of the constants that were seen some are missing.
    """

    at: float
    database: str
    version: int  # server_version_num, such as 150018
    statements: tuple[Statement, ...] = ()
    tables: tuple[Table, ...] = ()
    indexes: tuple[Index, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    sequences: tuple[Sequence, ...] = ()
    constants: tuple[Constant, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    extensions: Mapping[str, str] = field(default_factory=dict)  # installed ones: name -> version
    stats_reset: float | None = None
    statements_reset: float | None = None
    dealloc: int | None = None
    is_replica: bool = False
    missing: tuple[str, ...] = ()
    # A whole text with its constants (pg_qualstats), by queryid.
    examples: Mapping[int, str] = field(default_factory=dict)
    views: tuple[View, ...] = ()
    collates_as_c: bool = False
    constants_lost: bool = False


@dataclass(frozen=True, slots=True)
class Session:
    """One row of pg_stat_activity, and of the locks that it waits for."""

    pid: int
    state: str
    query: str
    queryid: int | None
    application: str
    user: str
    wait_event_type: str | None
    wait_event: str | None
    backend_started: float | None = None
    transaction_started: float | None = None
    query_started: float | None = None
    state_changed: float | None = None
    blocked_by: tuple[int, ...] = ()
    waits_for: str | None = None  # "ShareLock on transaction", "AccessExclusiveLock on public.t"


@dataclass(frozen=True, slots=True)
class Activity:
    """All client sessions at one moment."""

    at: float
    sessions: tuple[Session, ...] = ()


@dataclass(frozen=True, slots=True)
class Pulse:
    """How often some statements had been called, by queryid, at a moment (s, of any clock)."""

    at: float
    calls: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Query:
    """What one normalized query has cost in a stretch of time: the advisor's unit of work.

    `id` is the queryid in decimal, or a hash of the text where the query came from a file.
    `stddev_ms` is that of the times of single calls.
    `samples` are texts with real constants, where some are known.
    """

    id: str
    text: str
    calls: float
    total_ms: float
    rows: float = 0.0
    blocks_hit: float = 0.0
    blocks_read: float = 0.0
    samples: tuple[str, ...] = ()
    stddev_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Workload:
    """Queries, costliest first, seen over `seconds`; `caveats` say what may be missing."""

    queries: tuple[Query, ...]
    seconds: float | None
    caveats: tuple[str, ...] = ()
