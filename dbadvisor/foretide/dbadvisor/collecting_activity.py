"""What sessions do at this moment, and whom they wait for."""

from dataclasses import replace

from foretide.dbadvisor.database import Database
from foretide.dbadvisor.snapshot import Activity, Session

# Whom somebody waits for is asked of those only that wait for a lock: it locks the lock table.
# Sessions in other databases are there if they block one of this.
SESSIONS = """
WITH waiting AS (
    SELECT pid, pg_blocking_pids(pid) AS blocked_by FROM pg_catalog.pg_stat_activity
    WHERE wait_event_type = 'Lock' AND datname = current_database()
), wanted AS (
    SELECT l.pid, min(l.mode || ' on ' || coalesce(n.nspname || '.' || c.relname, l.locktype))
        AS what
    FROM pg_catalog.pg_locks l
    LEFT JOIN pg_catalog.pg_class c ON c.oid = l.relation
        AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
    LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE NOT l.granted GROUP BY l.pid
)
SELECT s.pid, coalesce(s.state, ''), coalesce(s.query, ''), %s, coalesce(s.application_name, ''),
    coalesce(s.usename, ''), s.wait_event_type, s.wait_event,
    extract(epoch FROM s.backend_start)::float8, extract(epoch FROM s.xact_start)::float8,
    extract(epoch FROM s.query_start)::float8, extract(epoch FROM s.state_change)::float8,
    coalesce(w.blocked_by, '{}'), t.what
FROM pg_catalog.pg_stat_activity s
LEFT JOIN waiting w ON w.pid = s.pid LEFT JOIN wanted t ON t.pid = s.pid
WHERE s.pid <> pg_backend_pid() AND (
    s.backend_type = 'client backend' AND s.datname = current_database()
    OR s.pid IN (SELECT unnest(blocked_by) FROM waiting))
ORDER BY s.pid"""


def activity(database: Database, now: float) -> Activity:
    """All client sessions of this database, and whoever else blocks one of them.

    Where `query` says `<insufficient privilege>`, the server does not tell us.

    Raises:
        DatabaseError: it could not be read.
    """
    identified = "s.query_id" if database.version >= 140000 else "NULL::bigint"
    rows = database.rows(SESSIONS % identified)
    sessions = (replace(Session(*row), blocked_by=tuple(row[-2])) for row in rows)
    return Activity(now, tuple(sessions))
