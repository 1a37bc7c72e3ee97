"""What limits the advice: permissions, extensions, the age of counters, and what was left out."""

from collections.abc import Iterable

from foretide.dbadvisor.drops import in_days
from foretide.dbadvisor.observed import Settings
from foretide.dbadvisor.report import Remark, Topic
from foretide.dbadvisor.snapshot import Snapshot, Workload

_LISTED = 5
_PERMISSION = ("GRANT ", "may not read", "permission denied", "hidden from")
_EXTENSION = ("CREATE EXTENSION", "shared_preload_libraries")


def of_snapshot(snapshot: Snapshot, workload: Workload) -> list[Remark]:
    """Of what was collected, those that matter most first."""
    texts = dict.fromkeys((*snapshot.missing, *workload.caveats))
    found = [Remark(_topic(text), text) for text in texts]
    if "pg_qualstats" not in snapshot.extensions:
        found.append(
            Remark(
                Topic.EXTENSION_MISSING,
                "pg_qualstats is not in this database: constants that queries are called with are "
                "not known, so plans are those for any value, and keys to cache are guessed from "
                "statistics. It is not needed.",
            )
        )
    found.append(_age(snapshot))
    if snapshot.is_replica:
        found.append(
            Remark(
                Topic.INCOMPLETE,
                "this is a replica: what the primary and other replicas execute is not counted "
                "here, and indexes are created and dropped on the primary",
            )
        )
    order = list(Topic)
    return sorted(found, key=lambda remark: order.index(remark.topic))


def of_settings(settings: Settings, snapshot: Snapshot) -> list[Remark]:
    """Of what was to be looked at, and is not there: a name that was misspelt, most likely."""
    relations = [table.relation for table in snapshot.tables]
    schemas = sorted({relation.schema for relation in relations})
    found = [
        f"no table is in the schema {name}: those with tables are {some(schemas)}"
        for name in settings.schemas
        if schemas and name not in schemas
    ]
    if not found and relations and not any(map(settings.wants, relations)):
        found = ["every table is excluded, so that there is nothing to speak of"]
    return [Remark(Topic.INCOMPLETE, text) for text in found]


def some(names: Iterable[str]) -> str:
    """The first few of them, and how many more there are."""
    every = list(names)
    more = f" and {len(every) - _LISTED} more" if len(every) > _LISTED else ""
    return ", ".join(every[:_LISTED]) + more


def _topic(text: str) -> Topic:
    if any(sign in text for sign in _EXTENSION):
        return Topic.EXTENSION_MISSING
    if any(sign in text for sign in _PERMISSION):
        return Topic.PERMISSION_MISSING
    return Topic.INCOMPLETE


def _age(snapshot: Snapshot) -> Remark:
    if snapshot.stats_reset is None:
        message = "since when the use of tables and indexes is counted is not known"
    else:
        counted = in_days(snapshot.at - snapshot.stats_reset)
        message = f"the use of tables and indexes has been counted for {counted}"
    never = sorted(
        str(table.relation) for table in snapshot.tables if table.rows < 0 and table.live > 0
    )
    if never:
        message += f"; never analyzed, so that plans are guesses: {some(never)}"
    return Remark(Topic.STATISTICS_AGE, message)
