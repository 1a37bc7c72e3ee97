"""What there is to see of indexes: those being built, those that Foretide has created, those that
queries use. Reads only.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from foretide.dbadvisor import normalized, planning
from foretide.dbadvisor.applying_state import COMMENT
from foretide.dbadvisor.database import Database
from foretide.dbadvisor.plan_tree import Node
from foretide.dbadvisor.snapshot import Query, Relation

RUNNING = """
SELECT p.pid, n.nspname, c.relname, m.nspname, i.relname, p.phase,
    CASE WHEN p.blocks_total > 0 THEN p.blocks_done::float8 / p.blocks_total
         WHEN p.tuples_total > 0 THEN p.tuples_done::float8 / p.tuples_total END
FROM pg_catalog.pg_stat_progress_create_index p
LEFT JOIN pg_catalog.pg_class c ON c.oid = p.relid
LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_class i ON i.oid = p.index_relid
LEFT JOIN pg_catalog.pg_namespace m ON m.oid = i.relnamespace
WHERE p.datid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
ORDER BY p.pid"""

CREATED = """
SELECT n.nspname, c.relname, d.description FROM pg_catalog.pg_description d
JOIN pg_catalog.pg_class c ON c.oid = d.objoid AND c.relkind IN ('i', 'I')
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE d.classoid = 'pg_catalog.pg_class'::regclass AND d.objsubid = 0
    AND starts_with(d.description, %s)
ORDER BY 1, 2"""

# Who owns a table, where that is not us, and whether we may add something to its schema.
FORBIDDEN = """
SELECT n.nspname, c.relname, pg_has_role(c.relowner, 'USAGE'), pg_get_userbyid(c.relowner),
    current_user
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND NOT (pg_has_role(c.relowner, 'USAGE') AND has_schema_privilege(n.oid, 'CREATE'))
ORDER BY 1, 2"""


@dataclass(frozen=True, slots=True)
class Build:
    """An index that is being built now. Table and index are None where we may not see them; `done`
    is the share of the present step, where it is known.
    """

    pid: int
    table: Relation | None
    index: Relation | None
    phase: str
    done: float | None

    @property
    def told(self) -> str:
        """How far it is, for people."""
        share = "" if self.done is None else f", {self.done:.0%} of this step"
        where = "" if self.table is None else f" on {self.table}"
        return f"process {self.pid} builds an index{where}: {self.phase}{share}"


def running(database: Database) -> tuple[Build, ...]:
    """All builds in this database. Raises as `Database.rows` does; so do those below."""
    return tuple(
        Build(pid, _relation(schema, table), _relation(of_index, index), phase or "", done)
        for pid, schema, table, of_index, index, phase, done in database.rows(RUNNING)
    )


def created(database: Database) -> dict[Relation, str]:
    """The indexes that say that Foretide has created them, and for which resource."""
    return {
        Relation(schema, name): text.removeprefix(COMMENT)
        for schema, name, text in database.rows(CREATED, [COMMENT])
    }


def forbidden(database: Database) -> dict[Relation, str]:
    """The tables on which we may create no index, with what would allow it."""
    found = {}
    for schema, name, owned, owner, user in database.rows(FORBIDDEN):
        remedy = f'GRANT CREATE ON SCHEMA "{schema}" TO "{user}"'
        if not owned:
            remedy = f'only its owner may index it: GRANT "{owner}" TO "{user}"'
        found[Relation(schema, name)] = remedy
    return found


def used(database: Database, queries: Iterable[Query]) -> dict[str, frozenset[str]]:
    """The indexes, by name, that plans of these queries use, with each text that is known of them.

    Left out is what could use any index: a query that cannot be planned or that writes, and one
    whose constants are not known, as its generic plan need not be the one that it gets.
    """
    found = {}
    for query in queries:
        texts = query.samples if _has_parameters(query.text) else (query.text, *query.samples)
        plans = [planning.plan(database, replace(query, text=text)) for text in texts]
        planned = [each for each in plans if isinstance(each, planning.Planned)]
        if planned and not any(_writes(each.plan) for each in planned):
            found[query.id] = frozenset(name for each in planned for name in each.plan.indexes)
    return found


def _has_parameters(text: str) -> bool:
    try:
        return any(word.kind == "parameter" for word in normalized.words(text))
    except normalized.Unreadable:
        return True


def _writes(plan: Node) -> bool:
    return any(node.kind == "ModifyTable" for node in plan.walk())


def _relation(schema: str | None, name: str | None) -> Relation | None:
    return Relation(schema, name) if schema is not None and name is not None else None
