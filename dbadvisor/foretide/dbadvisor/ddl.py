"""The statements that create and drop indexes on a database that is in use.

All of them are for a person, or for `mode: Apply`, to run one by one outside a transaction: CREATE
INDEX CONCURRENTLY cannot run inside one. A lock that does not come within `lock_timeout` fails the
statement rather than queueing everybody behind it; what a failed build leaves behind is an invalid
index, which is dropped first the next time.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence

from foretide.dbadvisor.candidate import Candidate
from foretide.dbadvisor.snapshot import Index, IndexKey, Relation, Table

# Nobody waits behind a concurrent build but other changes of the table's structure; the build
# itself must wait for every transaction that is older than it.
LOCK_TIMEOUT = "60s"
# These do hold up writers while they wait.
SHORT_LOCK_TIMEOUT = "3s"
SHORT_TIMEOUT = f"SET lock_timeout = '{SHORT_LOCK_TIMEOUT}'"
NO_TIMEOUT = "RESET lock_timeout"
LONGEST = 63  # bytes of an identifier
DIGEST = 8
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")


def quoted(name: str) -> str:
    """An identifier as SQL wants it: in quotes always, as any word may be reserved one day."""
    return '"' + name.replace('"', '""') + '"'


def qualified(relation: Relation) -> str:
    return f"{quoted(relation.schema)}.{quoted(relation.name)}"


def literal(text: str) -> str:
    """A string constant, whatever `standard_conforming_strings` says."""
    inside = text.replace("'", "''")
    return "E'" + inside.replace("\\", "\\\\") + "'" if "\\" in text else f"'{inside}'"


def name_of(candidate: Candidate, table: Relation | None = None) -> str:
    """A name that is always the same for the same index, and says what it is on.

    Ends in a digest of the definition, so that two indexes on the same columns differ in it.
    """
    table = table or candidate.table
    words = [key.column or "expr" for key in candidate.keys]
    readable = re.sub(r"[^a-z0-9_]+", "_", "_".join([table.name, *words]).lower())
    text = definition(candidate, table=table)
    digest = hashlib.sha256(text.encode()).hexdigest()[:DIGEST]
    return f"{readable[: LONGEST - DIGEST - 5]}_idx_{digest}"


def definition(
    candidate: Candidate,
    *,
    table: Relation | None = None,
    name: str = "",
    how: str = "",
    only: bool = False,
) -> str:
    """CREATE INDEX for a candidate. `how` stands before the name: CONCURRENTLY, IF NOT EXISTS;
    `table` is another one than the candidate's own, such as a partition; `only`: not on those.
    """
    unique = "UNIQUE " if candidate.unique else ""
    parts = [f"CREATE {unique}INDEX", how, quoted(name) if name else ""]
    keys = ", ".join(_key(key) for key in candidate.keys)
    parts.append(f"ON {'ONLY ' if only else ''}{qualified(table or candidate.table)}")
    parts.append(f"USING btree ({keys})")
    if candidate.include:
        parts.append(f"INCLUDE ({', '.join(quoted(column) for column in candidate.include)})")
    if candidate.predicate is not None:
        parts.append(f"WHERE ({candidate.predicate})")
    return " ".join(part for part in parts if part)


def _key(key: IndexKey) -> str:
    text = quoted(key.column) if key.column is not None else f"({key.expression})"
    if key.collation:
        text += f" COLLATE {_dotted(key.collation)}"
    if key.operator_class:
        text += f" {_dotted(key.operator_class)}"
    if key.descending:
        text += " DESC"
    if key.nulls_first != key.descending:
        text += " NULLS FIRST" if key.nulls_first else " NULLS LAST"
    return text


def _dotted(name: str) -> str:
    """A name, of a schema perhaps, as the catalog tells it: quoted where it is not yet."""
    if '"' in name:
        return name
    return ".".join(part if _PLAIN.fullmatch(part) else quoted(part) for part in name.split("."))


def creation(
    candidate: Candidate, tables: Mapping[Relation, Table], indexes: Sequence[Index] = ()
) -> tuple[str, ...]:
    """Statements that create it, without keeping anybody from writing for more than a moment.

    An invalid index of the same name, left behind by a build that failed, is dropped first: IF NOT
    EXISTS would take it for the one that is wanted. A partitioned table cannot be indexed
    concurrently: the index is made ON ONLY it (invalid as yet), then on each partition, and
    attached; with the last one it becomes valid.
    """
    there = {index.relation: index for index in indexes}
    return (*_create(candidate, candidate.table, tables, there), NO_TIMEOUT)


def _create(
    candidate: Candidate,
    relation: Relation,
    tables: Mapping[Relation, Table],
    there: Mapping[Relation, Index],
) -> list[str]:
    name = name_of(candidate, relation)
    own = Relation(relation.schema, name)
    table = tables.get(relation)
    if table is None or table.kind != "p":
        made = definition(candidate, table=relation, name=name, how="CONCURRENTLY IF NOT EXISTS")
        left = own in there and not there[own].valid
        clean = [f"DROP INDEX CONCURRENTLY IF EXISTS {qualified(own)}"] if left else []
        return [_timeout(LOCK_TIMEOUT), *clean, made]
    made = definition(candidate, table=relation, name=name, how="IF NOT EXISTS", only=True)
    statements = [SHORT_TIMEOUT, made]
    for part in sorted(one for one, other in tables.items() if other.parent == relation):
        statements += _create(candidate, part, tables, there)
        inner = Relation(part.schema, name_of(candidate, part))
        if inner not in there or there[inner].parent != own:
            attach = f"ALTER INDEX {qualified(own)} ATTACH PARTITION {qualified(inner)}"
            statements += [SHORT_TIMEOUT, attach]
    return statements


def removal(index: Index, tables: Mapping[Relation, Table]) -> tuple[str, ...]:
    """Statements that drop an index. That of a partitioned table takes those of its partitions
    along, and cannot be dropped concurrently.
    """
    table = tables.get(index.table)
    if table is not None and table.kind == "p":
        drop = f"DROP INDEX IF EXISTS {qualified(index.relation)}"
        return (SHORT_TIMEOUT, drop, NO_TIMEOUT)
    drop = f"DROP INDEX CONCURRENTLY IF EXISTS {qualified(index.relation)}"
    return (_timeout(LOCK_TIMEOUT), drop, NO_TIMEOUT)


def _timeout(duration: str) -> str:
    return f"SET lock_timeout = {literal(duration)}"
