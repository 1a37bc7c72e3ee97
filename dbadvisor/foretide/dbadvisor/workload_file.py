r"""A workload out of a file of SQL: for a database without pg_stat_statements, or one to come.

Statements end with a semicolon, and may have parameters as drivers write them (`parameters.py`). A
comment before one may weigh it: `-- calls: 1200` (executions), `-- ms: 3.5` (mean time of one), or
both. Without them each counts once, and takes a millisecond: then only what the planner thinks of
it tells the queries apart. Many that differ in their constants only, as a log has them, are one
query (`alike.py`).
"""

import hashlib
import math
import re
from dataclasses import replace

from foretide.dbadvisor import alike, parameters, sql_text
from foretide.dbadvisor.snapshot import Query, Workload

_WEIGHT = re.compile(r"\b(calls|weight|ms)\s*[:=]\s*([0-9.eE+-]+)", re.IGNORECASE)
# psql's own commands stand on a line of their own, and end with it; some stand behind a statement,
# and send it. Data may follow a COPY, up to \\. (pg_dump writes it so, too).
_COPY = re.compile(r"\s*\\?copy\b", re.IGNORECASE)
_FROM_STDIN = re.compile(r"\bfrom\s+p?stdin\b", re.IGNORECASE)
_END_OF_DATA = "\\."
# Behind blanks, a line with a quote is the inside of a constant rather than a command.
_OF_PSQL = re.compile(r"^(?:\\.*|[^\S\n]+\\[^'\n]*)$", re.MULTILINE)
_SENT = re.compile(
    r"(?<=\s)\\(?:gx?|gset|gexec|gdesc|watch|crosstabview)\b[^'\n]*$|\\g$"
    r"|(?<=\s)\\bind(?:_named)?(?:[^\S\n]+(?:'(?:[^'\n]|'')*+'|[^\s'\\]+))*+(?:\s*\\g[^'\n]*)?$",
    re.MULTILINE,
)


class BadWorkload(Exception):
    """The file cannot be used; the text says where and why."""


def read(text: str) -> Workload:
    """The queries of a script, costliest first; what cannot be planned is told in `caveats`.

    Raises:
        BadWorkload: a weight is no number, or there is no query.
    """
    caveats = []
    without, tables = _without_data(text)
    if tables:
        caveats.append(f"the data of {tables} COPY are left out")
    without, commands = _OF_PSQL.subn("", _SENT.sub(";", without))
    if commands:
        caveats.append(f"{commands} commands of psql are left out")
    found: dict[str, Query] = {}
    others: list[int] = []
    for piece in sql_text.split(without):
        if sql_text.first_word(piece.text) not in sql_text.PLANNED:
            others.append(piece.line)
            continue
        calls, ms = _weights(piece)
        # In a script for psql, \\; ends a statement that is sent together with the next one.
        given = piece.text.removesuffix("\\").rstrip()
        text = parameters.numbered(given)
        # Of one query in different layouts there is one.
        digest = hashlib.sha256(sql_text.collapsed(text).encode(errors="replace")).hexdigest()
        samples = (text,) if text == given else ()
        known = found.get(digest, Query(digest[:16], text, 0.0, 0.0, samples=samples))
        found[digest] = replace(
            known, calls=known.calls + calls, total_ms=known.total_ms + calls * ms
        )
    if others:
        lines = ", ".join(map(str, others[:5])) + (", ..." if len(others) > 5 else "")
        caveats.append(f"{len(others)} statements are no queries and left out: lines {lines}")
    if not found:
        told = "; ".join(("it should hold SQL that ends with semicolons", *caveats))
        raise BadWorkload(f"the workload has no query: {told}")
    queries = sorted(alike.merged(found.values()), key=lambda query: (-query.total_ms, query.id))
    return Workload(tuple(queries), None, tuple(caveats))


def _without_data(text: str) -> tuple[str, int]:
    """The same lines, those with data empty, and how many COPY they were of."""
    lines = text.split("\n")
    count, begin = 0, None
    head: list[str] = []  # of a COPY that goes over several lines
    for place, line in enumerate(lines):
        if begin is None:
            if head or _COPY.match(line):
                head.append(line)
            if head and (";" in line or head[0].lstrip().startswith("\\")):
                begin = place + 1 if _FROM_STDIN.search(" ".join(head)) else None
                head = []
        elif line.strip() == _END_OF_DATA:
            lines[begin : place + 1] = [""] * (place + 1 - begin)
            count, begin = count + 1, None
    return "\n".join(lines), count


def is_timed(workload: Workload) -> bool:
    """Whether a file told any times: a millisecond is what stands where it did not."""
    return any(query.total_ms != query.calls for query in workload.queries)


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
