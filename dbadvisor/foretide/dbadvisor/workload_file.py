r"""A workload out of a file of SQL: for a database without pg_stat_statements, or one to come.

Statements end with a semicolon. A comment before one may weigh it: `-- calls: 1200` (executions),
`-- ms: 3.5` (mean time of one), or both. Without them each counts once, and takes a millisecond:
then only what the planner thinks of it tells the queries apart.
"""

import hashlib
import math
import re
from dataclasses import replace

from foretide.dbadvisor import sql_text
from foretide.dbadvisor.snapshot import Query, Workload

_WEIGHT = re.compile(r"\b(calls|weight|ms)\s*[:=]\s*([0-9.eE+-]+)", re.IGNORECASE)
# psql's own commands stand on a line of their own, and end with it.
_OF_PSQL = re.compile(r"^\\.*$", re.MULTILINE)


class BadWorkload(Exception):
    """The file cannot be used; the text says where and why."""


def read(text: str) -> Workload:
    """The queries of a script, costliest first; what cannot be planned is told in `caveats`.

    Raises:
        BadWorkload: a weight is no number, or there is no query.
    """
    caveats = []
    without, commands = _OF_PSQL.subn("", text)
    if commands:
        caveats.append(f"{commands} commands of psql are left out")
    found: dict[str, Query] = {}
    others: list[int] = []
    for piece in sql_text.split(without):
        if sql_text.first_word(piece.text) not in sql_text.PLANNED:
            others.append(piece.line)
            continue
        calls, ms = _weights(piece)
        # Of one query in different layouts there is one.
        digest = hashlib.sha256(sql_text.collapsed(piece.text).encode(errors="replace")).hexdigest()
        known = found.get(digest, Query(digest[:16], piece.text, 0.0, 0.0, samples=(piece.text,)))
        found[digest] = replace(
            known, calls=known.calls + calls, total_ms=known.total_ms + calls * ms
        )
    if others:
        lines = ", ".join(map(str, others[:5])) + (", ..." if len(others) > 5 else "")
        caveats.append(f"{len(others)} statements are no queries and left out: lines {lines}")
    if not found:
        raise BadWorkload("the workload has no query: it should hold SQL that ends with semicolons")
    queries = sorted(found.values(), key=lambda query: (-query.total_ms, query.id))
    return Workload(tuple(queries), None, tuple(caveats))


def _weights(piece: sql_text.Piece) -> tuple[float, float]:
    """How often it is executed, and how long it takes (ms)."""
    weights = {"calls": 1.0, "ms": 1.0}
    for comment in piece.comments:
        for name, text in _WEIGHT.findall(comment):
            weights["ms" if name.lower() == "ms" else "calls"] = _number(text, piece.line)
    return weights["calls"], weights["ms"]


def _number(text: str, line: int) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise BadWorkload(f"line {line}: a weight must be a number above 0, not {text}")
    return number
