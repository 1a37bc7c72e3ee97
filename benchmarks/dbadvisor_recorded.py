"""What peers chose and what it cost, measured once and kept: to measure it takes most of an hour.

It is written by `--full` alone, which keeps what it has in a file beside the record until all of it
is there: after an interruption it goes on from there.

A record counts as long as all that it depends on is the same: the data and its queries, the
versions and settings of the server, and the program text of the peers and of the sizes that one of
them is given. Times of a record are never reported, but for telling which peer was the fastest.
"""

import ast
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks import dbadvisor_peers as peers
from benchmarks.dbadvisor_choosing import Chosen, Prepared
from benchmarks.telling import write_json
from foretide.dbadvisor import pricing, sizes, widths
from foretide.dbadvisor.candidate import Candidate
from foretide.dbadvisor.snapshot import IndexKey, Relation

RECORD = Path(__file__).with_name("dbadvisor_peers.json")
SOURCES: tuple[ModuleType, ...] = (peers, pricing, sizes, widths)
MEGABYTE = 1_000_000.0
Key = tuple[str, float]  # a way, and a budget in bytes


@dataclass(frozen=True)
class Made:
    """What came of a way's choice for one budget. `calls`: plans that it asked for, `choosing`: the
    seconds of CPU for that; `bytes`, `cost` and `seconds` of all queries, once it was built.
    """

    indexes: tuple[Candidate, ...]
    calls: int
    choosing: float
    bytes: float
    cost: float
    seconds: float


@dataclass
class Record:
    """All that is known of one workload's peers. `chosen`: what was not yet built."""

    inputs: str
    made: dict[Key, Made] = field(default_factory=dict)
    chosen: dict[Key, Chosen] = field(default_factory=dict)


def inputs_of(known: Prepared, settings: Mapping[str, str]) -> str:
    """A hash of all that the peers' figures depend on."""
    snapshot = known.snapshot
    parts = [
        known.workload.origin,
        sorted(known.workload.queries.items()),
        [[str(one.relation), one.rows, [c.name for c in one.columns]] for one in snapshot.tables],
        [one.definition for one in snapshot.indexes],
        snapshot.version,
        snapshot.extensions.get("hypopg", ""),
        sorted(settings.items()),
        [program(module) for module in SOURCES],
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def program(module: ModuleType) -> str:
    """Its source without comments and without the layout."""
    return ast.dump(ast.parse(Path(str(module.__file__)).read_text()))


def unfinished(path: Path) -> Path:
    """Where the record of that path is kept until it is complete."""
    return path.with_suffix(".part.json")


def read(path: Path, workload: str, inputs: str) -> Record:
    """What was recorded of a workload; nothing if it was made of other inputs."""
    part = _parts(path).get(workload, {})
    record = Record(inputs)
    if part.get("inputs") == inputs:
        for way, budgets in part["ways"].items():
            for megabytes, one in budgets.items():
                key = (way, float(megabytes) * MEGABYTE)
                indexes = tuple(_index(text) for text in one.pop("indexes"))
                if "cost" in one:
                    record.made[key] = Made(indexes, **one)
                else:
                    record.chosen[key] = Chosen(indexes, one["calls"], one["choosing"])
    return record


def write(path: Path, workload: str, record: Record) -> None:
    """Puts one workload's part into the file, and leaves the others."""
    ways: dict[str, dict[str, Any]] = {}
    for key in sorted({**record.made, **record.chosen}):
        way, budget = key
        made = record.made.get(key)
        told = _chosen(record.chosen[key]) if made is None else _made(made)
        ways.setdefault(way, {})[f"{budget / MEGABYTE:g}"] = told
    found = _parts(path) | {workload: {"inputs": record.inputs, "ways": ways}}
    write_json(dict(sorted(found.items())), path)


def remove(path: Path, workload: str) -> None:
    """Takes one workload's part out of the file, and the file away if it was the last."""
    found = _parts(path)
    found.pop(workload, None)
    if found:
        write_json(found, path)
    else:
        path.unlink(missing_ok=True)


def _parts(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text())) if path.is_file() else {}


def _chosen(one: Chosen) -> dict[str, Any]:
    return {
        "indexes": [_text(index) for index in one.indexes],
        "calls": one.calls,
        "choosing": round(one.seconds, 3),
    }


def _made(one: Made) -> dict[str, Any]:
    return {
        **_chosen(Chosen(one.indexes, one.calls, one.choosing)),
        "bytes": one.bytes,
        "cost": one.cost,
        "seconds": round(one.seconds, 3),
    }


def _text(index: Candidate) -> str:
    """Peers know plain columns alone."""
    return " ".join(
        [index.table.schema, index.table.name, *(str(key.column) for key in index.keys)]
    )


def _index(text: str) -> Candidate:
    schema, table, *columns = text.split(" ")
    return Candidate(Relation(schema, table), tuple(IndexKey(name) for name in columns))
