"""Precision and recall of N+1 on recorded traces, and how much faster batches are.

`python benchmarks/nplusone.py --json FILE`. Each trace is judged twice: by its log, and by counters
and samples alone. What counts is each statement that is said to be N+1, against the tables that the
application did look up once for each row. Thresholds were chosen on traces that are not held out.
"""

import argparse
import gzip
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import psycopg

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

from benchmarks.nplusone_load import SCHEMA  # noqa: E402
from benchmarks.telling import write_json  # noqa: E402
from foretide.dbadvisor.connection import Connection  # noqa: E402
from foretide.dbadvisor.nplusone.detecting import detect  # noqa: E402
from foretide.dbadvisor.nplusone.events import Event, event  # noqa: E402
from foretide.dbadvisor.nplusone.findings import Finding, Kind  # noqa: E402
from foretide.dbadvisor.nplusone.proof import Proof, prove  # noqa: E402
from foretide.dbadvisor.nplusone.rewriting import Rewrite, rewrite  # noqa: E402
from foretide.dbadvisor.nplusone.shapes import shape  # noqa: E402
from foretide.dbadvisor.nplusone.texts import normalize  # noqa: E402
from foretide.dbadvisor.nplusone.watching import watch  # noqa: E402
from foretide.dbadvisor.snapshot import (  # noqa: E402
    Activity,
    ForeignKey,
    Query,
    Relation,
    Session,
    Workload,
)
from sandbox.postgres import running  # noqa: E402
from sandbox.postgres_binaries import debian  # noqa: E402

TRACES = Path(__file__).with_name("nplusone_traces.json.gz")
LOOKUPS = 200
# What ORMs send, with what fills their parameters beside the key.
SPEEDUPS = (
    "SELECT id, name FROM author WHERE id = $1",
    "SELECT id, title, year, author_id FROM book WHERE author_id = $1",
    "SELECT count(*) FROM review WHERE book_id = $1",
    "SELECT id, stars, body FROM review WHERE book_id = $1 ORDER BY id DESC LIMIT 1",
)


@dataclass(frozen=True)
class Trace:
    """What was recorded of one application; `looped` are the tables that it did look up."""

    name: str
    tool: str
    orm: bool
    held_out: bool
    looped: frozenset[str]
    events: tuple[Event, ...]
    windows: tuple[Workload, ...]
    activities: tuple[Activity, ...]
    catalog: tuple[ForeignKey, ...]

    def rows(self) -> dict[str, float]:
        """Rows per call of each statement, by fingerprint."""
        calls: dict[str, float] = {}
        rows: dict[str, float] = {}
        for window in self.windows:
            for query in window.queries:
                name = normalize(query.text).fingerprint
                calls[name] = calls.get(name, 0) + query.calls
                rows[name] = rows.get(name, 0) + query.rows
        return {name: rows[name] / calls[name] for name in calls}


@dataclass(frozen=True)
class Score:
    """Statements rightly found, wrongly found, and missed; with the names of the latter two."""

    right: int
    wrong: tuple[str, ...]
    missed: tuple[str, ...]

    @property
    def precision(self) -> float:
        """Of what was found."""
        return self.right / max(1, self.right + len(self.wrong))

    @property
    def recall(self) -> float:
        """Of what there was."""
        return self.right / max(1, self.right + len(self.missed))


def traces(path: Path = TRACES) -> list[Trace]:
    """All that were recorded."""
    body = json.loads(gzip.decompress(path.read_bytes()))
    catalog = tuple(
        ForeignKey(name, Relation("public", table), (column,), Relation("public", other), (key,))
        for name, table, column, other, key in body["foreign_keys"]
    )
    return [_trace(each, catalog) for each in body["traces"]]


def _trace(packed: dict[str, Any], catalog: tuple[ForeignKey, ...]) -> Trace:
    texts = packed["texts"]
    return Trace(
        packed["name"],
        packed["tool"],
        packed["orm"],
        packed["held_out"],
        frozenset(packed["looped"]),
        tuple(
            event(
                texts[text],
                at=at,
                seconds=seconds,
                session=str(session),
                transaction=str(transaction or ""),
                pool=str(pool),
                parameters=tuple(parameters),
            )
            for at, seconds, session, transaction, pool, text, *parameters in packed["events"]
        ),
        tuple(
            Workload(
                tuple(
                    Query(str(text), texts[text], calls, milliseconds, rows)
                    for text, calls, rows, milliseconds in window
                ),
                0.5,
            )
            for window in packed["windows"]
        ),
        tuple(_activity(at, sessions, texts) for at, sessions in packed["samples"]),
        catalog,
    )


def _activity(at: float, sessions: Iterable[list[Any]], texts: list[str]) -> Activity:
    return Activity(
        at,
        tuple(
            Session(
                pid=pid,
                state=state,
                query=texts[text],
                queryid=text,
                application="",
                user="",
                wait_event_type=None,
                wait_event=None,
                backend_started=began,
                transaction_started=transaction,
                query_started=query,
            )
            for pid, began, state, text, query, transaction in sessions
        ),
    )


def by_log(trace: Trace) -> tuple[Finding, ...]:
    """What single executions show."""
    return detect(trace.events, trace.catalog, trace.rows())


def by_counters(trace: Trace) -> tuple[Finding, ...]:
    """What counters and samples show."""
    return watch(trace.windows, trace.activities, trace.catalog)


WAYS = {"log": by_log, "counters": by_counters}


def score(judged: Iterable[tuple[Trace, tuple[Finding, ...]]]) -> Score:
    """Findings against labels."""
    right, wrong, missed = 0, [], []
    for trace, findings in judged:
        found = {_table(each) for each in findings if each.kind is Kind.N_PLUS_ONE}
        right += len(found & trace.looped)
        wrong += [f"{trace.name}: {table}" for table in sorted(found - trace.looped)]
        missed += [f"{trace.name}: {table}" for table in sorted(trace.looped - found)]
    return Score(right, tuple(wrong), tuple(missed))


def _table(finding: Finding) -> str:
    known = shape(finding.child)
    assert known is not None
    # Of tables that are joined, the one whose rows are wanted.
    text = normalize(finding.child).fingerprint
    wanted = text.partition("from")[2].strip().strip('"').split()[0].strip('"')
    return wanted if wanted in known.tables else known.tables[0]


def speedups(url: str) -> Iterator[Proof]:
    """Each look-up 200 times, against its batch, on the database that the traces were recorded on.

    Raises:
        RuntimeError: one cannot be proven.
    """
    with Connection(url) as connection:
        for text in SPEEDUPS:
            batch = rewrite(text, [1], {1: "integer"})
            if not isinstance(batch, Rewrite):
                raise RuntimeError(batch.reason)
            proof = prove(connection, batch, [(str(key),) for key in range(1, LOOKUPS + 1)])
            if not isinstance(proof, Proof) or not proof.equal:
                raise RuntimeError(f"not the same: {text}: {proof}")
            yield proof


def figures(recorded: list[Trace], proofs: list[Proof]) -> dict[str, Any]:
    """What the benchmark reports. Precision and recall are of both ways together."""
    judged = {way: [(trace, look(trace)) for trace in recorded] for way, look in WAYS.items()}
    both = score(pair for pairs in judged.values() for pair in pairs)
    result: dict[str, Any] = {
        "n1_precision": both.precision,
        "n1_recall": both.recall,
        "n1_traces": len(recorded),
        "n1_negatives": sum(not trace.looped for trace in recorded),
        "n1_orm_traces": sum(trace.orm for trace in recorded),
        "n1_wrong": list(both.wrong),
        "n1_missed": list(both.missed),
    }
    for way, pairs in judged.items():
        for part, held_out in (("chosen_on", False), ("held_out", True)):
            some = score(pair for pair in pairs if pair[0].held_out is held_out)
            result[f"n1_{way}_{part}"] = {"precision": some.precision, "recall": some.recall}
    if proofs:
        result["n1_speedup"] = median(proof.speedup for proof in proofs)
        result["n1_equal_share"] = sum(proof.equal for proof in proofs) / len(proofs)
    return result


def measured() -> dict[str, Any]:
    """All figures; starts a PostgreSQL of its own."""
    with running(debian(), {"shared_buffers": "64MB"}) as server:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute(SCHEMA.encode())
        return figures(traces(), list(speedups(server.url())))


def main() -> int:
    """Prints the figures, and writes them as JSON."""
    parser = argparse.ArgumentParser(description="N+1: precision, recall, speed of batches")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    found = measured()
    for name, value in found.items():
        print(f"{name:24} {value}")
    if options.json:
        write_json(found, options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
