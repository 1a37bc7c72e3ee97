"""Whether a batch returns what the look-ups return, and how long both take: by running them.

Both run in read-only transactions that are rolled back, with a statement timeout, on the same keys.
Rows are compared as multisets, key by key. Values are in the text as constants, as most ORMs send
them: no type has to be known.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from foretide.dbadvisor.database import Database, DatabaseAway, DatabaseError, Row
from foretide.dbadvisor.nplusone.rewriting import Rewrite
from foretide.dbadvisor.nplusone.texts import filled, literal

Values = tuple[str | None, ...]
TIMEOUT_MS = 5_000
_SHOWN = 3
_NOT_READING = "25006"


@dataclass(frozen=True, slots=True)
class Proof:
    """`equal`: for every one of `keys` keys. Seconds are the shorter of two runs, as the client saw
    them, so with the way to the database and back. `differences`: keys whose rows differ.
    """

    equal: bool
    keys: int
    rows: int
    lookups_seconds: float
    batch_seconds: float
    differences: tuple[Values, ...] = ()

    @property
    def speedup(self) -> float:
        """How many times faster the batch is."""
        return self.lookups_seconds / max(self.batch_seconds, 1e-6)


@dataclass(frozen=True, slots=True)
class Unproven:
    """Why it could not be tried."""

    reason: str


def prove(
    database: Database,
    rewrite: Rewrite,
    calls: Sequence[Values],
    *,
    timeout_ms: int = TIMEOUT_MS,
    clock: Callable[[], float] = time.perf_counter,
) -> Proof | Unproven:
    """Run both forms. `calls`: parameters of look-ups, in which only the keys may differ.

    Raises:
        DatabaseAway: nobody answers.
    """
    wanted = list(dict.fromkeys(calls))
    if not wanted:
        return Unproven("no keys are known to try it with")
    places = [number - 1 for number in rewrite.keys]
    if any(max(places) >= len(values) for values in wanted):
        return Unproven("a key is missing")
    if len({tuple(v for n, v in enumerate(call) if n not in places) for call in wanted}) > 1:
        return Unproven("more than the keys differs between the look-ups")
    keys = [tuple(values[place] for place in places) for values in wanted]
    try:
        lookups = [filled(rewrite.original, values) for values in wanted]
        batch = _batch(rewrite, wanted)
    except ValueError as error:
        return Unproven(str(error))
    limit = f"SET LOCAL statement_timeout = {int(timeout_ms)}"
    try:
        # Each twice, in turn: the first run finds pages that nobody has read yet.
        runs = [
            (_timed(database, [limit, *lookups], clock), _timed(database, [limit, batch], clock))
            for _ in range(2)
        ]
        columns = ", ".join(f"{name}::text" for name in rewrite.key_columns)
        marked = f"SELECT {columns}, batch.* FROM ({batch}) AS batch"
        rows = database.together([limit, marked])[-1]
        asked = _canonical(database, rewrite, keys)
    except DatabaseAway:
        raise
    except DatabaseError as error:
        if error.code == _NOT_READING:
            return Unproven("it writes, which a read-only transaction refuses")
        return Unproven(f"PostgreSQL refused it: {error}")
    singles = runs[-1][0][1][1:]
    differences = _differences(rewrite, asked, singles, rows)
    return Proof(
        not differences,
        len(keys),
        len(rows),
        min(run[0][0] for run in runs),
        min(run[1][0] for run in runs),
        tuple(keys[place] for place in differences[:_SHOWN]),
    )


def _timed(
    database: Database, statements: Sequence[str], clock: Callable[[], float]
) -> tuple[float, list[list[Row]]]:
    start = clock()
    answers = database.together(statements)
    return clock() - start, answers


def _batch(rewrite: Rewrite, wanted: Sequence[Values]) -> str:
    values = list(wanted[0])
    for number in rewrite.keys:
        values[number - 1] = array([call[number - 1] for call in wanted])
    return filled(rewrite.batch, tuple(values))


def array(values: Sequence[str | None]) -> str:
    """An array's text form."""
    return "{" + ",".join("NULL" if value is None else _element(value) for value in values) + "}"


def _element(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _canonical(database: Database, rewrite: Rewrite, keys: Sequence[Values]) -> list[Values]:
    """The keys as PostgreSQL writes them: `007` and `7` are one number."""
    if not all(rewrite.types):
        return list(keys)
    names = [f"k{place}" for place in range(len(rewrite.types))]
    lists = ", ".join(
        f"{literal(array([key[place] for key in keys]))}::{kind}[]"
        for place, kind in enumerate(rewrite.types)
    )
    chosen = ", ".join(f"{name}::text" for name in names)
    # Without an order, unnest keeps that of the arrays.
    found = database.together([f"SELECT {chosen} FROM unnest({lists}) AS k({', '.join(names)})"])
    return [tuple(row) for row in found[0]]


def _differences(
    rewrite: Rewrite, asked: Sequence[Values], singles: Sequence[list[Row]], rows: Sequence[Row]
) -> list[int]:
    """The places of the keys whose rows are not the same in both."""
    width = len(rewrite.key_columns)
    found: dict[Values, Counter[str]] = {}
    for row in rows:
        rest = row[2 * width : -1] if rewrite.numbered else row[2 * width :]
        found.setdefault(tuple(row[:width]), Counter())[_text(rest)] += 1
    differences = []
    for place, (key, expected) in enumerate(zip(asked, singles, strict=True)):
        if found.get(key, Counter()) != Counter(map(_text, expected)):
            differences.append(place)
    strange = set(found) - set(asked)
    return differences or ([0] if strange else [])


def _text(row: Row) -> str:
    """A row to compare. Sums of floating-point numbers depend on the order of the rows."""
    return repr(tuple(f"{each:.12g}" if isinstance(each, float) else each for each in row))
