"""Executions out of PostgreSQL's log: csvlog, or stderr with a log_line_prefix.

Statements are in the log with `log_min_duration_statement = 0` (or a sample of transactions with
`log_transaction_sample_rate`), or `log_statement = 'all'`, which has no durations.
"""

import csv
import re
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta, timezone

from foretide.dbadvisor.nplusone.events import Event, event

_DURATION = re.compile(r"duration: (\d+(?:\.\d+)?) ms(?:  |$)")
_STATEMENT = re.compile(r"(?:statement|execute(?: fetch from)? [^:]*): ", re.DOTALL)
_OTHER_STEP = re.compile(r"(?:parse|bind) [^:]*: ")
_PARAMETER = re.compile(r"\$(\d+) = (NULL|'(?:[^']|'')*')")
# What a statement that only opens or ends a transaction is.
_BRACKET = re.compile(
    r"\s*(?:begin|start\s+transaction|commit|end|rollback|abort|savepoint|release|set|show|"
    r"deallocate|discard|close|fetch|listen|unlisten|reset)\b",
    re.IGNORECASE,
)
_ZONES = {"UTC": 0, "GMT": 0, "Z": 0, "CET": 1, "CEST": 2, "BST": 1, "EST": -5, "EDT": -4}
_ZONES |= {"CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7}


def from_csv(lines: Iterable[str]) -> Iterator[Event]:
    """Of csvlog as PostgreSQL 13 to 18 write it. Lines that are no statement are skipped."""
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    rows = csv.reader(line.replace("\0", "") for line in lines)
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error:
            continue
        if len(row) < 23 or row[11] != "LOG":
            continue
        at = moment(row[0])
        if at is not None:
            pool = "\0".join((row[2], row[1], row[22]))
            yield from _executed(row[13], row[14], at, row[5] or row[3], row[9], pool)


def prefix_pattern(log_line_prefix: str) -> re.Pattern[str]:
    """What reads the lines that begin with this `log_line_prefix`.

    Raises:
        ValueError: it has no time, or nothing that tells sessions apart.
    """
    escapes = {
        "m": r"(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ \S+)",
        "t": r"(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \S+)",
        "n": r"(?P<epoch>\d+\.\d+)",
        "p": r"(?P<pid>\d+)",
        "c": r"(?P<session>[0-9a-f]+\.[0-9a-f]+)",
        "v": r"(?P<transaction>-?\d*/?\d*)",
        "d": r"(?P<database>.*?)",
        "u": r"(?P<user>.*?)",
        "a": r"(?P<application>.*?)",
        "q": "",
        "%": "%",
    }
    pattern, used = "", set()
    place = 0
    for match in re.finditer(r"%(-?\d+)?([a-zA-Z%])", log_line_prefix):
        pattern += re.escape(log_line_prefix[place : match.start()])
        letter = match.group(2)
        piece = escapes.get(letter, r".*?") if letter not in used else r".*?"
        pattern += rf"\s*{piece}\s*" if match.group(1) else piece
        used.add(letter)
        place = match.end()
    pattern += re.escape(log_line_prefix[place:])
    if not used & {"m", "t", "n"} or not used & {"p", "c"}:
        raise ValueError("log_line_prefix must have %m and %p (or %c), so that sessions are known")
    return re.compile(rf"{pattern}(?P<level>[A-Z]+):  ?(?P<message>.*)", re.DOTALL)


def from_stderr(lines: Iterable[str], log_line_prefix: str = "%m [%p] ") -> Iterator[Event]:
    """Of the log on stderr. Parameters are in the DETAIL line that follows.

    Raises:
        ValueError: as `prefix_pattern` does.
    """
    pattern = prefix_pattern(log_line_prefix)
    waiting: dict[str, tuple[str, float, str, str]] = {}
    for head, body in _entries(lines, pattern):
        key = head.get("session") or head.get("pid") or ""
        if head["level"] == "LOG":
            yield from _flush(waiting, key)
            epoch = head.get("epoch")
            at = float(epoch) if epoch else moment(head.get("time") or "")
            if at is not None:
                names = (head.get(name) or "" for name in ("database", "user", "application"))
                waiting[key] = (body, at, head.get("transaction") or "", "\0".join(names))
        elif head["level"] == "DETAIL" and key in waiting:
            message, at, transaction, pool = waiting.pop(key)
            yield from _executed(message, body, at, key, transaction, pool)
    for key in list(waiting):
        yield from _flush(waiting, key)


def _flush(waiting: dict[str, tuple[str, float, str, str]], key: str) -> Iterator[Event]:
    if key in waiting:
        message, at, transaction, pool = waiting.pop(key)
        yield from _executed(message, "", at, key, transaction, pool)


def _entries(
    lines: Iterable[str], pattern: re.Pattern[str]
) -> Iterator[tuple[dict[str, str | None], str]]:
    """What continues an entry begins with a tab."""
    head: dict[str, str | None] | None = None
    body: list[str] = []
    for line in lines:
        match = None if line.startswith("\t") else pattern.match(line.rstrip("\n"))
        if match is not None:
            if head is not None:
                yield head, "\n".join(body)
            head, body = match.groupdict(), [match["message"]]
        elif head is not None:
            body.append(line.strip("\t\n"))
    if head is not None:
        yield head, "\n".join(body)


def _executed(
    message: str, detail: str, at: float, session: str, transaction: str, pool: str
) -> Iterator[Event]:
    duration = _DURATION.match(message)
    rest = message[duration.end() :] if duration else message
    if _OTHER_STEP.match(rest):
        return
    match = _STATEMENT.match(rest)
    if match is None:
        return
    text = rest[match.end() :]
    if _BRACKET.match(text):
        return
    seconds = float(duration[1]) / 1000 if duration else 0.0
    # 3/0: the transaction is over when the line is written, so the statement was all of it.
    local = transaction.rpartition("/")[2]
    yield event(
        text,
        at=at - seconds,
        seconds=seconds,
        session=session,
        transaction=transaction if local not in ("", "0") else "",
        pool=pool,
        parameters=_parameters(detail),
    )


def _parameters(detail: str) -> tuple[str | None, ...]:
    """Of `parameters: $1 = '5', $2 = NULL` (PostgreSQL 16 and newer write `Parameters`)."""
    if not detail[:11].lower().startswith("parameters:"):
        return ()
    return tuple(
        None if match[2] == "NULL" else match[2][1:-1].replace("''", "'")
        for match in _PARAMETER.finditer(detail)
    )


def moment(text: str) -> float | None:
    """Unix seconds of `2026-11-30 14:31:49.123 UTC`. An unknown zone is taken for UTC: all lines of
    a log have the same, and only what lies between them counts.
    """
    clock, _, zone = text.rpartition(" ")
    try:
        naive = datetime.fromisoformat(clock)
    except ValueError:
        return None
    hours = _ZONES.get(zone, 0)
    if re.fullmatch(r"[+-]\d\d(?::?\d\d)?", zone):
        hours = int(zone[:3])
    return naive.replace(tzinfo=timezone(timedelta(hours=hours))).timestamp()
