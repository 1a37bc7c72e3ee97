"""Watching a database: a Snapshot of all that advice is made of, and cheap enough for each minute.

What changes seldom is kept from one collection to the next: the catalog until something in it has
changed (or `CATALOG_SECONDS` are over), statistics of columns until their table is analyzed again,
texts of statements for good. So the usual collection reads counters alone.

What cannot be read leaves its part of the snapshot empty, and `missing` says why, and what helps.
"""

import math
from collections.abc import Callable, Mapping
from collections.abc import Sequence as Sequence_
from dataclasses import dataclass, field
from typing import TypeVar

from foretide.dbadvisor import collecting_activity, collecting_catalog, collecting_usage
from foretide.dbadvisor.collecting_catalog import Catalog
from foretide.dbadvisor.collecting_statements import (
    EXTENSIONS,
    Constants,
    NotInstalled,
    Statements,
    constants,
    examples,
)
from foretide.dbadvisor.database import Database, DatabaseAway, DatabaseError, Row
from foretide.dbadvisor.snapshot import (
    Activity,
    Pulse,
    Relation,
    Snapshot,
    Statement,
)

T = TypeVar("T")

# Sizes of indexes and sequences are as old as this at most, and constants unless told otherwise.
CATALOG_SECONDS = 900.0
BLOCK_BYTES = 8192

# Where statistics were never reset, PostgreSQL 15 has no moment for it. They are lost when the
# server crashes, and bgwriter's moment is then set: so they are no older than that.
IDENTITY = """
SELECT current_database(), current_user, pg_is_in_recovery(),
    extract(epoch FROM coalesce(
        (SELECT stats_reset FROM pg_catalog.pg_stat_database WHERE datname = current_database()),
        (SELECT stats_reset FROM pg_catalog.pg_stat_bgwriter)))::float8,
    (SELECT CASE to_jsonb(d) ->> 'datlocprovider' WHEN 'i' THEN false WHEN 'b' THEN true
        ELSE datcollate IN ('C', 'POSIX') END
     FROM pg_catalog.pg_database d WHERE datname = current_database())"""

# Our own session has set some of them, and everybody else has not.
SETTINGS = """
SELECT name, CASE WHEN name LIKE '%%_timeout' OR name LIKE '%%.track'
    THEN reset_val || coalesce(unit, '') WHEN unit = 'B' THEN setting ELSE current_setting(name) END
FROM pg_catalog.pg_settings WHERE name = ANY(%s)"""
SETTING_NAMES = [
    "autovacuum",
    "autovacuum_analyze_scale_factor",
    "autovacuum_analyze_threshold",
    "autovacuum_vacuum_scale_factor",
    "autovacuum_vacuum_threshold",
    "block_size",
    "deadlock_timeout",
    "default_statistics_target",
    "default_toast_compression",
    "effective_cache_size",
    "enable_indexonlyscan",
    "enable_indexscan",
    "idle_in_transaction_session_timeout",
    "jit",
    "lock_timeout",
    "log_min_duration_statement",
    "maintenance_work_mem",
    "max_connections",
    "max_parallel_maintenance_workers",
    "max_parallel_workers_per_gather",
    "max_replication_slots",
    "pg_qualstats.max",
    "pg_stat_statements.max",
    "pg_stat_statements.track",
    "random_page_cost",
    "seq_page_cost",
    "server_encoding",
    "server_version",
    "shared_buffers",
    "statement_timeout",
    "track_activities",
    "track_activity_query_size",
    "track_counts",
    "track_io_timing",
    "wal_level",
    "work_mem",
]

REMEDIES = {
    "42501": ": GRANT pg_monitor to the user that looks",  # insufficient_privilege
    "55P03": ": it is tried again",  # lock_not_available
    "57014": ": it is tried again, and may need a longer statement timeout",  # query_canceled
}
PRELOADED = "55000"  # object_not_in_prerequisite_state: it must be in shared_preload_libraries
INSTALL = (
    "add pg_stat_statements to shared_preload_libraries, restart PostgreSQL, and run "
    "CREATE EXTENSION pg_stat_statements in this database"
)


@dataclass
class Collector:
    """Collects from one database, again and again. Not for several threads at once.
    `constants_seconds`: so old may be what is known of constants.
    """

    database: Database
    constants_seconds: float = CATALOG_SECONDS
    _statements: Statements = field(default_factory=Statements)
    _catalog: Catalog | None = None
    _read_at: float = 0.0
    _settings: Mapping[str, str] = field(default_factory=dict)
    _constants: Constants = field(default_factory=Constants)
    _constants_at: float = -math.inf
    _examples: Mapping[int, str] = field(default_factory=dict)
    _known: dict[Relation, collecting_usage.Statistics] = field(default_factory=dict)
    _analyzed: dict[int, int] = field(default_factory=dict)

    def collect(self, now: float) -> Snapshot:
        """What there is to see, at `now` (Unix seconds).

        Raises:
            DatabaseAway: nobody answers.
            DatabaseError: not even its name could be read.
        """
        name, user, replica, stats_reset, as_c = self._identity()
        missing: list[str] = []
        extensions, schemas = self._extensions(missing)
        statements, dealloc, reset = self._workload(schemas, user, missing)
        self._refresh(now, replica, missing)
        self._see_constants(now, schemas, missing)
        usage = self._usage(missing)
        catalog = self._catalog
        if catalog is not None and catalog.forbidden:
            missing.append(_unreadable(catalog.forbidden, user, self.database.version))
        if catalog is not None and catalog.locked:
            missing.append(f"tables: {_some(catalog.locked)}: locked exclusively, tried again")
        if self._settings.get("track_counts") == "off":
            missing.append("use of tables and indexes: track_counts is off, set it to on")
        return Snapshot(
            at=now,
            database=name,
            version=self.database.version,
            statements=statements,
            tables=tuple(
                sorted(
                    (
                        collecting_usage.with_statistics(each, self._known.get(each.relation, {}))
                        for each in usage.tables.values()
                    ),
                    key=lambda each: each.relation,
                )
            ),
            indexes=tuple(sorted(usage.indexes.values(), key=lambda each: each.relation)),
            foreign_keys=catalog.foreign_keys if catalog else (),
            sequences=catalog.sequences if catalog else (),
            constants=self._constants.seen,
            constants_lost=self._constants.lost,
            settings=self._settings,
            extensions=extensions,
            stats_reset=stats_reset,
            statements_reset=reset,
            dealloc=dealloc,
            is_replica=replica,
            missing=tuple(missing),
            views=catalog.views if catalog else (),
            collates_as_c=as_c,
            examples={
                each.queryid: self._examples[each.queryid]
                for each in statements
                if each.queryid in self._examples
            },
        )

    def activity(self, now: float) -> Activity:
        """Who does what at this moment. Raises as `collect` does."""
        return collecting_activity.activity(self.database, now)

    def pulse(self, now: float, ids: Sequence_[int]) -> Pulse:
        """How often these statements have been called by now. Cheap enough to look twice a second
        for a while (`pulses.follow`); a snapshot must have been collected before.

        Raises:
            DatabaseError: it could not be read, or pg_stat_statements is not there.
        """
        if not self._statements.schema:
            raise DatabaseError(f"pg_stat_statements is not in this database: {INSTALL}")
        found = self._statements.calls(self.database, ids)
        return Pulse(now, {each: found.get(each, 0) for each in ids})

    def _identity(self) -> tuple[str, str, bool, float | None, bool]:
        try:
            row = self.database.rows(IDENTITY)[0]
        except DatabaseAway:
            # Whoever ended an idle session (a pooler, a firewall) may let us in again.
            row = self.database.rows(IDENTITY)[0]
        return row[0], row[1], row[2], row[3], row[4]

    def _extensions(self, missing: list[str]) -> tuple[dict[str, str], dict[str, str]]:
        """Their versions and their schemas (quoted), by name."""
        nothing: list[Row] = []
        rows = sorted(_part("extensions", lambda: self.database.rows(EXTENSIONS), nothing, missing))
        versions = {name: version for name, version, _ in rows}
        return versions, {name: schema for name, _, schema in rows}

    def _workload(
        self, schemas: Mapping[str, str], user: str, missing: list[str]
    ) -> tuple[tuple[Statement, ...], int | None, float | None]:
        try:
            self._statements.find(self.database, schemas)
            found, hidden = self._statements.read(self.database)
            if hidden:
                missing.append(
                    f"statements: {hidden} of other users are hidden from {user}: "
                    f"GRANT pg_read_all_stats TO {_quoted(user)}"
                )
            return found, *self._statements.since(self.database)
        except NotInstalled:
            missing.append(f"statements: pg_stat_statements is not in this database: {INSTALL}")
        except DatabaseAway:
            raise
        except DatabaseError as refused:
            remedy = f": {INSTALL}" if refused.code == PRELOADED else ""
            missing.append(f"statements: {refused}{remedy}")
        return (), None, None

    def _refresh(self, now: float, replica: bool, missing: list[str]) -> None:
        """Read again what has changed, or is old."""
        if self._is_current(now, missing):
            return
        fresh = _part("catalog", lambda: collecting_catalog.read(self.database), None, missing)
        if fresh is None:
            return
        # What was left out is looked for again soon.
        self._catalog, self._read_at = fresh, -CATALOG_SECONDS if fresh.locked else now
        self._constants_at = -math.inf
        self._settings = _part(
            "settings",
            lambda: dict(sorted(self.database.rows(SETTINGS, [SETTING_NAMES]))),
            self._settings,
            missing,
        )
        if replica:
            # There nobody counts what was analyzed on the primary.
            self._analyzed = {}

    def _see_constants(self, now: float, schemas: Mapping[str, str], missing: list[str]) -> None:
        """Read them again where they are old."""
        catalog = self._catalog
        if "pg_qualstats" not in schemas or catalog is None:
            self._constants, self._examples = Constants(), {}
            return
        if 0 <= now - self._constants_at < self.constants_seconds:
            return
        schema = schemas["pg_qualstats"]
        longest = int(self._settings.get("track_activity_query_size", 1024))
        room = int(self._settings.get("pg_qualstats.max", 0))
        before = len(missing)
        self._constants, self._examples = _part(
            "constants",
            lambda: (
                constants(self.database, schema, catalog, room),
                examples(self.database, schema, longest),
            ),
            (self._constants, self._examples),
            missing,
        )
        if len(missing) == before:
            self._constants_at = now

    def _is_current(self, now: float, missing: list[str]) -> bool:
        known = self._catalog
        if known is None or not 0 <= now - self._read_at < CATALOG_SECONDS:
            return False
        seen = _part(
            "catalog",
            lambda: collecting_catalog.signature(self.database),
            known.signature,
            missing,
        )
        return seen == known.signature

    def _usage(self, missing: list[str]) -> collecting_usage.Usage:
        empty = collecting_usage.Usage({}, {}, {})
        catalog = self._catalog
        if catalog is None:
            return empty
        block = int(self._settings.get("block_size", BLOCK_BYTES))
        usage = _part(
            "use of tables and indexes",
            lambda: collecting_usage.read(self.database, catalog, block),
            empty,
            missing,
        )
        new = {
            oid: count for oid, count in usage.analyzed.items() if self._analyzed.get(oid) != count
        }
        there = {table.relation for table in usage.tables.values()}
        self._known = {name: known for name, known in self._known.items() if name in there}
        found = _part(
            "statistics of columns",
            lambda: collecting_usage.statistics(
                self.database, [usage.tables[oid] for oid in sorted(new)]
            ),
            None,
            missing,
        )
        if found is not None:
            self._known.update(found)
            self._analyzed = dict(usage.analyzed)
        return usage


def collect(database: Database, now: float) -> Snapshot:
    """One snapshot of a database that is looked at once. Raises as `Collector.collect` does."""
    return Collector(database).collect(now)


def _part(what: str, read: Callable[[], T], otherwise: T, missing: list[str]) -> T:
    """What `read` gives, or `otherwise`, and the reason in `missing`."""
    try:
        return read()
    except DatabaseAway:
        raise
    except DatabaseError as refused:
        missing.append(f"{what}: {refused}{REMEDIES.get(refused.code, '')}")
        return otherwise


def _unreadable(tables: Sequence_[Relation], user: str, version: int) -> str:
    role = "pg_read_all_data" if version >= 140000 else "SELECT ON ALL TABLES IN SCHEMA ..."
    return (
        f"statistics of columns and plans: {user} may not read {len(tables)} tables "
        f"({_some(tables)}): GRANT {role} TO {_quoted(user)}"
    )


def _some(tables: Sequence_[Relation]) -> str:
    return ", ".join(map(str, tables[:3])) + (", ..." if len(tables) > 3 else "")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
