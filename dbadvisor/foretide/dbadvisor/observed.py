"""What advice is made of, and what may be chosen about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from foretide.dbadvisor.drops import MINIMUM_AGE
from foretide.dbadvisor.nplusone.events import Event
from foretide.dbadvisor.snapshot import Activity, Constant, Pulse, Relation, Snapshot, Workload


@dataclass(frozen=True, slots=True)
class Settings:
    """`budget`: bytes that new indexes may take; None: a fifth of what tables take. `queries`: how
    many are looked at, costliest first. `least_share` of the workload's time that an index must
    save. `schemas`, if any are named, and `exclude` (patterns such as `audit.*`) say of which
    tables to speak. `minimum_age`: seconds for which an index must have been unused to be called
    so. `caches`: how many processes would cache on their own.
    """

    budget: float | None = None
    queries: int = 500
    least_share: float = 0.001
    schemas: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    minimum_age: float = MINIMUM_AGE
    caches: int = 1

    def wants(self, relation: Relation) -> bool:
        """Whether to speak of a table."""
        if self.schemas and relation.schema not in self.schemas:
            return False
        return not any(
            fnmatchcase(name, pattern)
            for pattern in self.exclude
            for name in (str(relation), relation.name)
        )


@dataclass(frozen=True, slots=True)
class Observed:
    """`source` says where `workload` comes from, in words; `timed`: its times were measured;
    `counted`: it is what this database has executed, so that its counters speak of it, too.

    `before`: a snapshot from its beginning. `windows` are stretches of it that follow one another,
    `activities` looks at the sessions meanwhile, `pulses` closer looks at the calls of some
    statements, `marks` such looks a quarter of an hour or so apart, over all of its time, `events`
    single executions out of logs or spans, `constants` what pg_qualstats had seen by several
    moments, the last of which is the snapshot's.
    `first_seen`: since when (Unix seconds) indexes are known. `missing`: what could not be looked
    at, beside what the snapshot tells.
    """

    snapshot: Snapshot
    workload: Workload
    source: str
    timed: bool = True
    counted: bool = True
    before: Snapshot | None = None
    windows: tuple[Workload, ...] = ()
    activities: tuple[Activity, ...] = ()
    pulses: tuple[Pulse, ...] = ()
    marks: tuple[Pulse, ...] = ()
    events: tuple[Event, ...] = ()
    constants: tuple[tuple[float, tuple[Constant, ...]], ...] = ()
    first_seen: Mapping[Relation, float] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
