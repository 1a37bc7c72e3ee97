"""What to do about each N+1: the batch that replaces its look-ups, proven on real keys."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from sqlglot import exp

from foretide.dbadvisor.database import Database, DatabaseAway, DatabaseError
from foretide.dbadvisor.ddl import qualified, quoted
from foretide.dbadvisor.nplusone import shapes
from foretide.dbadvisor.nplusone.findings import Finding, Kind
from foretide.dbadvisor.nplusone.links import matches
from foretide.dbadvisor.nplusone.proof import Proof, Unproven, Values, prove
from foretide.dbadvisor.nplusone.rewriting import Refused, Rewrite, rewrite
from foretide.dbadvisor.nplusone.texts import tokens
from foretide.dbadvisor.snapshot import Column, Snapshot, Table

SAMPLED = 200  # keys
_READ = 20_000  # rows that keys are taken from
# A LIMIT that nobody told: the rows of both forms are the same for any number.
_LIMIT = "2"


@dataclass(frozen=True, slots=True)
class Advice:
    """`rewrite` is the batch, `proof` that it returns the same and how much faster it is; where
    either is missing, `reason` says why.
    """

    finding: Finding
    rewrite: Rewrite | None
    proof: Proof | None
    reason: str = ""


def advise(
    findings: Sequence[Finding], snapshot: Snapshot, database: Database | None
) -> tuple[Advice, ...]:
    """A batch for each N+1 of `findings`, in their order. Without a database nothing is proven.

    Raises:
        DatabaseAway: nobody answers.
    """
    return tuple(
        _advice(finding, snapshot, database)
        for finding in findings
        if finding.kind is Kind.N_PLUS_ONE
    )


def _advice(finding: Finding, snapshot: Snapshot, database: Database | None) -> Advice:
    columns = _columns(finding.child, snapshot)
    types = {number: column.type for number, (_, column) in columns.items()}
    batch = rewrite(finding.child, varying(finding), types)
    if isinstance(batch, Refused):
        return Advice(finding, None, None, batch.reason)
    if database is None:
        return Advice(finding, batch, None, "it was not tried: no database was given")
    volatile = _volatile(finding.child, database)
    if volatile:
        return Advice(finding, None, None, volatile)
    calls = _calls(finding, batch, columns, database)
    if isinstance(calls, Unproven):
        return Advice(finding, batch, None, calls.reason)
    proof = prove(database, batch, calls)
    if isinstance(proof, Unproven):
        return Advice(finding, batch, None, proof.reason)
    if not proof.equal:
        return Advice(finding, None, proof, "the batch does not return what the look-ups do")
    return Advice(finding, batch, proof)


def varying(finding: Finding) -> tuple[int, ...]:
    """The numbers of the parameters that differ between look-ups: as seen, or the linked key's."""
    if len(set(finding.values)) > 1:
        width = min(map(len, finding.values))
        seen = [{values[place] for values in finding.values} for place in range(width)]
        return tuple(place + 1 for place, values in enumerate(seen) if len(values) > 1)
    return (finding.link.key.number,) if finding.link is not None else ()


def _columns(text: str, snapshot: Snapshot) -> dict[int, tuple[Table, Column]]:
    """The columns that parameters are compared with, where the text and the catalog tell."""
    known = shapes.shape(text)
    found: dict[int, tuple[Table, Column]] = {}
    for key in known.keys if known is not None else ():
        owners = [key.table] if key.table else known.tables if known is not None else ()
        options = [
            (table, column)
            for table in snapshot.tables
            if any(matches(owner, table.relation) for owner in owners)
            for column in table.columns
            if column.name == key.column
        ]
        if len(options) == 1:
            found[key.number] = options[0]
    return found


def _calls(
    finding: Finding,
    batch: Rewrite,
    columns: Mapping[int, tuple[Table, Column]],
    database: Database,
) -> list[Values] | Unproven:
    """Parameters of look-ups to try: those that were seen, or else keys out of the table."""
    places = [number - 1 for number in batch.keys]
    complete = [values for values in finding.values if None not in values]
    if complete:
        # What else differs is kept as in the most of them.
        rest = Counter(_without(values, places) for values in complete)
        usual = min(rest, key=lambda each: (-rest[each], each))
        kept = [values for values in complete if _without(values, places) == usual]
        return kept[:SAMPLED]
    return _sampled(finding.child, batch, columns, database)


def _sampled(
    text: str,
    batch: Rewrite,
    columns: Mapping[int, tuple[Table, Column]],
    database: Database,
) -> list[Values] | Unproven:
    tree = shapes.parse(text)
    numbers = {shapes.number_of(node) for node in tree.find_all(exp.Placeholder)} - {None}
    count = max((number for number in numbers if number is not None), default=0)
    given = dict.fromkeys(_limits(tree), _LIMIT)
    wanted = [number for number in range(1, count + 1) if number not in given]
    missing = [number for number in wanted if number not in columns]
    if missing:
        return Unproven(f"no value of ${missing[0]} is known to try it with")
    tables = {columns[number][0].relation for number in wanted}
    if len(tables) != 1:
        return Unproven("its keys are of several tables")
    table = columns[wanted[0]][0]
    names = [quoted(columns[number][1].name) for number in wanted]
    share = min(100.0, 100.0 * _READ / table.rows) if table.rows > _READ else 100.0
    source = qualified(table.relation)
    if table.kind in "rmp" and share < 100:
        source += f" TABLESAMPLE SYSTEM ({share:.4f}) REPEATABLE (1)"
    chosen = ", ".join(f"{name}::text" for name in names)
    try:
        rows = database.rows(
            f"SELECT DISTINCT {chosen} FROM (SELECT {', '.join(names)} FROM {source} "
            f"LIMIT {_READ}) AS sampled ORDER BY {chosen} LIMIT {10 * SAMPLED}"
        )
    except DatabaseAway:
        raise
    except DatabaseError as error:
        return Unproven(f"no keys could be read: {error}")
    found = []
    for row in rows:
        values = {**given, **dict(zip(wanted, row, strict=True))}
        found.append(tuple(values.get(number) for number in range(1, count + 1)))
    places = [number - 1 for number in batch.keys]
    rest = Counter(_without(values, places) for values in found)
    if not rest:
        return Unproven(f"{table.relation} has no rows to take keys from")
    usual = min(rest, key=lambda each: (-rest[each], str(each)))
    calls = [values for values in found if _without(values, places) == usual][: SAMPLED - 1]
    # A key that is NULL finds nothing, in both forms.
    nothing = tuple(None if n in places else value for n, value in enumerate(calls[0]))
    return [*calls, nothing]


def _volatile(text: str, database: Database) -> str:
    """Why it may not be rewritten: a function that may answer anything at each call, or act."""
    found = [(kind, token) for kind, token in tokens(text) if kind != "space"]
    called = sorted(
        {
            token.strip('"') if kind == "name" else token.lower()
            for (kind, token), (_, after) in pairwise(found)
            if after == "(" and kind in ("word", "name")
        }
    )
    try:
        rows = database.rows(
            "SELECT min(proname) FROM pg_catalog.pg_proc WHERE provolatile = 'v' "
            "AND proname = ANY(%s)",
            (called,),
        )
    except DatabaseAway:
        raise
    except DatabaseError as error:
        return f"whether its functions are volatile could not be read: {error}"
    return f"{rows[0][0]}() is volatile: each call may give another answer" if rows[0][0] else ""


def _limits(tree: exp.Expr) -> list[int]:
    found = []
    for node in tree.find_all(exp.Limit, exp.Offset, exp.Fetch):
        for placeholder in node.find_all(exp.Placeholder):
            number = shapes.number_of(placeholder)
            if number is not None:
                found.append(number)
    return sorted(found)


def _without(values: Values, places: Sequence[int]) -> Values:
    return tuple(value for place, value in enumerate(values) if place not in places)
