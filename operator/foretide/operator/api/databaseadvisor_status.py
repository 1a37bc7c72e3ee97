"""The status of a DatabaseAdvisor: what was found, with the figures that it came from.

Figures are strings, as the API conventions want them. Costs are the planner's, shares are
percentages, sizes are quantities.
"""

from pydantic import Field

from .databaseadvisor import MOST_SHOWN, DatabaseAdvisorSpec
from .fields import ApiModel
from .status import Condition

MOST_STATEMENTS = 20
MOST_QUERIES = 5
MOST_REMARKS = 20
MOST_APPLIED = 20


class QueryChangeStatus(ApiModel):
    """What a query costs now, and what it would cost."""

    id: str = Field(description="Its queryid in pg_stat_statements.")
    before: str = Field(description="The planner's cost now.")
    after: str = Field(description="Its cost with all advised indexes.")


class IndexStatus(ApiModel):
    """An index to create."""

    name: str = Field(description="Name of the index.")
    table: str = Field(description="The table, with its schema.")
    statements: list[str] = Field(
        max_length=MOST_STATEMENTS,
        description="Statements that create it, each to be run by itself outside of a transaction.",
    )
    undo: list[str] | None = Field(
        default=None, max_length=MOST_STATEMENTS, description="Statements that drop it again."
    )
    size: str = Field(description="How large it will be.")
    saved_percent: str | None = Field(
        default=None, description="Share of the workload's time that it saves, upkeep taken off."
    )
    saved_seconds_per_hour: str | None = Field(
        default=None, description="The same in seconds of the database in each hour."
    )
    queries: list[QueryChangeStatus] | None = Field(
        default=None, max_length=MOST_QUERIES, description="The queries that gain most."
    )
    worst: QueryChangeStatus | None = Field(
        default=None,
        description="The query of its table that is worst off with all advised indexes.",
    )
    why: str = Field(default="", description="What it is for.")
    verified: bool = Field(description="Whether the planner was asked (HypoPG).")
    replaces: list[str] | None = Field(
        default=None, max_length=MOST_SHOWN, description="Indexes that are of no use beside it."
    )


class DropStatus(ApiModel):
    """An index to drop."""

    name: str = Field(description="Name of the index, with its schema.")
    table: str = Field(description="Its table.")
    reason: str = Field(description="Invalid, Duplicate, Covered or Unused.")
    message: str = Field(description="Why, with figures.")
    size: str = Field(description="What it takes.")
    statements: list[str] = Field(
        max_length=MOST_STATEMENTS, description="Statements that drop it."
    )
    caveats: list[str] | None = Field(
        default=None, max_length=MOST_STATEMENTS, description="What a person should look at first."
    )


class RepeatStatus(ApiModel):
    """A statement that is sent once for each row of another one (N+1)."""

    look_up: str = Field(description="The statement that is sent again and again.")
    parent: str | None = Field(default=None, description="The statement whose rows it looks up.")
    calls: str = Field(description="How often it was sent.")
    per_parent: str = Field(description="How often for each execution of the parent.")
    evidence: list[str] | None = Field(
        default=None, max_length=MOST_QUERIES, description="What speaks for it, with figures."
    )
    batch: str | None = Field(default=None, description="One statement that does the same.")
    speedup: str | None = Field(
        default=None, description="How many times faster the batch was on sampled keys."
    )
    keys: int | None = Field(
        default=None, description="On how many keys both returned the same rows."
    )
    reason: str | None = Field(default=None, description="Why there is no batch, or no proof.")


class CacheStatus(ApiModel):
    """A query whose results are worth caching."""

    id: str = Field(description="Its queryid in pg_stat_statements.")
    text: str = Field(description="The query, without constants.")
    ttl: str = Field(description="For how long, as a duration.")
    hit_percent: str = Field(description="Share of its reads that the cache would answer.")
    saved_seconds_per_hour: str = Field(description="Seconds of the database saved in each hour.")
    tables: list[str] = Field(
        max_length=MOST_SHOWN, description="The tables whose changes make answers stale."
    )
    basis: str = Field(default="", description="What the projection is known from.")


class BlockerStatus(ApiModel):
    """A session that others wait for."""

    pid: int = Field(description="Its process id; 0 for prepared transactions.")
    state: str = Field(description="What it does, as pg_stat_activity says.")
    statement: str = Field(description="Its last statement.")
    application: str | None = Field(default=None, description="Its application_name.")
    user: str | None = Field(default=None, description="Its user.")
    waiting: int = Field(description="How many sessions wait for it, or for one another behind it.")
    waited_seconds: str = Field(description="For how long they have waited, all together.")
    wants: str = Field(default="", description="What the one that waits longest wants.")
    remedy: str = Field(description="What to do about it.")


class DistributionStatus(ApiModel):
    """How data lies: stale statistics, skew, rows out of order, bloat, sequences near their end."""

    kind: str = Field(
        description="StaleStatistics, Skew, Correlation, TableBloat, IndexBloat or SequenceNearEnd."
    )
    relation: str = Field(description="The table, index or sequence.")
    column: str | None = Field(default=None, description="The column, where it is about one.")
    message: str = Field(description="What was found, with figures.")
    remedy: str = Field(description="What to do about it.")
    statements: list[str] | None = Field(
        default=None,
        max_length=MOST_STATEMENTS,
        description="The remedy as SQL, where there is any.",
    )


class ScanStatus(ApiModel):
    """A table that a query reads whole."""

    table: str = Field(description="The table.")
    query: str = Field(description="The query's id.")
    text: str = Field(default="", description="The query, without constants.")
    calls: str = Field(description="How often it was executed.")
    seconds: str = Field(description="Time that its scans took, by the planner's shares.")
    wasted_rows: str = Field(description="Rows that were read to no use.")


class UnplannedStatus(ApiModel):
    """A query of which there is no plan."""

    id: str = Field(description="Its queryid.")
    reason: str = Field(description="Why.")


class JudgedStatus(ApiModel):
    """What has become of a query since an index was created."""

    id: str = Field(description="Its queryid.")
    before_ms: str = Field(description="Mean time of a call before, in milliseconds.")
    after_ms: str = Field(description="The same after, with what changed for all queries left out.")
    change: str = Field(description="Faster or Slower.")


class AppliedStatus(ApiModel):
    """An index that was created, and what came of it."""

    name: str = Field(description="Name of the index, with its schema.")
    table: str = Field(default="", description="Its table.")
    state: str = Field(
        description="Building, Verifying (it is there, and its queries are watched), Kept, Unproven (it stays, but nobody could tell what it does), Reverting, Reverted, Failed or Gone (somebody else dropped it)."
    )
    at: str | None = Field(default=None, description="Since when (RFC 3339).")
    size: str | None = Field(default=None, description="How large it is, or is expected to be.")
    message: str = Field(default="", description="Why, with figures.")
    queries: list[JudgedStatus] | None = Field(
        default=None, max_length=MOST_QUERIES, description="The queries that have changed most."
    )
    statements: list[str] | None = Field(
        default=None,
        max_length=MOST_STATEMENTS,
        description="Of an index that somebody else has created: what would drop it again, where it does harm.",
    )


class CountsStatus(ApiModel):
    """How many findings there are, of which status shows the first."""

    indexes: int | None = Field(default=None, description="Indexes to create.")
    drops: int | None = Field(default=None, description="Indexes to drop.")
    repeats: int | None = Field(default=None, description="N+1.")
    caches: int | None = Field(default=None, description="Queries worth caching.")
    blockers: int | None = Field(default=None, description="Sessions that others wait for.")
    distribution: int | None = Field(default=None, description="Findings about how data lies.")
    scans: int | None = Field(default=None, description="Tables read whole by a query.")
    unplanned: int | None = Field(default=None, description="Queries without a plan.")


class WorkloadStatus(ApiModel):
    """What the advice is made of."""

    source: str = Field(description="Where it was counted.")
    period: str | None = Field(default=None, description="Over how long, as a duration.")
    queries: int = Field(description="How many queries are known.")
    calls: str = Field(description="How often they were executed.")
    seconds: str = Field(description="The time that they took.")
    planned_percent: str | None = Field(
        default=None, description="Share of those looked at of which there is a plan."
    )


class AdviceStatus(ApiModel):
    """The advice as a whole."""

    at: str = Field(description="When it was made (RFC 3339).")
    saved_percent: str | None = Field(
        default=None, description="Share of the workload's time that all advised indexes save."
    )
    size: str = Field(description="What all of them will take.")
    budget: str = Field(description="What they may take.")
    beyond_budget: str | None = Field(
        default=None,
        description="What indexes would take without the budget, where that would save 1 % more at least.",
    )
    beyond_saved_percent: str | None = Field(
        default=None, description="Share of the workload's time that those would save."
    )
    plans_asked: int = Field(description="How many plans were asked for.")
    candidates: int = Field(description="Among how many candidates was chosen.")
    regressions: list[QueryChangeStatus] | None = Field(
        default=None,
        max_length=MOST_QUERIES,
        description="Queries that the planner expects to be dearer with all of them.",
    )
    unverified: str | None = Field(default=None, description="Why the planner was not asked.")
    report: str | None = Field(
        default=None,
        description="Where the whole of it is kept, as the store's path; absent without a store.",
    )


class DatabaseAdvisorStatus(ApiModel):
    """What was found."""

    observed_generation: int | None = Field(
        default=None, description="The generation of the spec that this status speaks of."
    )
    database: str | None = Field(default=None, description="Name of the database.")
    version: str | None = Field(default=None, description="PostgreSQL's version.")
    host: str | None = Field(default=None, description="Where it is: host and port.")
    last_collected: str | None = Field(
        default=None, description="When it was last looked at (RFC 3339); written seldom by itself."
    )
    watched_since: str | None = Field(
        default=None, description="Since when it has been watched without a gap (RFC 3339)."
    )
    workload: WorkloadStatus | None = Field(default=None, description="What the advice is made of.")
    advice: AdviceStatus | None = Field(default=None, description="The advice as a whole.")
    counts: CountsStatus | None = Field(default=None, description="How many findings there are.")
    indexes: list[IndexStatus] | None = Field(
        default=None, max_length=MOST_SHOWN, description="Indexes to create, the best first."
    )
    drops: list[DropStatus] | None = Field(
        default=None, max_length=MOST_SHOWN, description="Indexes to drop, the largest first."
    )
    drops_unproven: str | None = Field(
        default=None, description="Why unused indexes cannot be told yet."
    )
    repeats: list[RepeatStatus] | None = Field(
        default=None, max_length=MOST_SHOWN, description="N+1, those with most calls first."
    )
    caches: list[CacheStatus] | None = Field(
        default=None, max_length=MOST_SHOWN, description="Queries worth caching, the best first."
    )
    blockers: list[BlockerStatus] | None = Field(
        default=None,
        max_length=MOST_SHOWN,
        description="Sessions that others wait for now, the costliest first.",
    )
    distribution: list[DistributionStatus] | None = Field(
        default=None, max_length=MOST_SHOWN, description="How data lies, by kind."
    )
    scans: list[ScanStatus] | None = Field(
        default=None, max_length=MOST_SHOWN, description="Tables read whole, the costliest first."
    )
    unplanned: list[UnplannedStatus] | None = Field(
        default=None, max_length=MOST_SHOWN, description="Queries without a plan."
    )
    applied: list[AppliedStatus] | None = Field(
        default=None,
        max_length=MOST_APPLIED,
        description="Indexes that were created in mode Apply, the newest first.",
    )
    followed: list[AppliedStatus] | None = Field(
        default=None,
        max_length=MOST_APPLIED,
        description="Indexes that somebody else has created meanwhile, the newest first: Verifying, Kept, Unproven, or Reverting, which is only proposed.",
    )
    memory: str | None = Field(
        default=None, description="What Foretide itself has to remember of indexes in `applied`."
    )
    followed_memory: str | None = Field(
        default=None, description="What Foretide itself has to remember of indexes in `followed`."
    )
    remarks: list[str] | None = Field(
        default=None, max_length=MOST_REMARKS, description="What limits the advice, and what helps."
    )
    conditions: list[Condition] | None = Field(
        default=None, description="Conditions by the Kubernetes API conventions."
    )


class DatabaseAdvisor(ApiModel):
    """Watches a PostgreSQL database and says, with figures, what would make it faster."""

    spec: DatabaseAdvisorSpec = Field(description="What is asked for.")
    status: DatabaseAdvisorStatus | None = Field(default=None, description="What was found.")
