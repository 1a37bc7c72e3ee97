"""One workload from its data to indexes that stand: what all ways choose, and what comes of it."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from rich.console import Console

from benchmarks import dbadvisor_building as building
from benchmarks import dbadvisor_data as data
from benchmarks import dbadvisor_recorded as recorded
from benchmarks.dbadvisor_building import Built
from benchmarks.dbadvisor_choosing import CORRECTED, SHIPPED, Chosen, Ours, Peers, prepared
from benchmarks.dbadvisor_recorded import MEGABYTE, Key, Made
from benchmarks.dbadvisor_recording import Recording
from foretide.dbadvisor import pricing
from foretide.dbadvisor.candidate import Candidate
from foretide.dbadvisor.connection import Connection, Limits
from sandbox.postgres import Postgres

WAYS = (*SHIPPED, CORRECTED)
SERVER = {
    "shared_buffers": "512MB",
    "work_mem": "64MB",
    "max_wal_size": "4GB",
    "jit": "off",
    "autovacuum": "off",
}
# Plans take milliseconds: what takes longer was stopped together with the machine's other work, and
# must not count as a query that cannot be planned.
PATIENT = Limits(statement=3600.0, idle=3600.0)


@dataclass(frozen=True)
class Wanted:
    """What to measure. `full`: the record is made anew. `timed`: the budget for which the time that
    Extend takes to choose is measured, even where its choice is recorded.
    """

    budgets: Sequence[float]
    record: Path
    full: bool = False
    timed: float | None = None


@dataclass
class Found:
    """What came of one workload, by budget (bytes), and of the peers by way and budget.

    `before`: without any index. `timed`: what Extend with real sizes took to choose, and `fastest`
    the seconds of all queries with the indexes of the fastest peer; both measured in this run.
    `sizes`: of all that was built, bytes foreseen and found. `unplanned`: queries left out.
    """

    name: str
    before: Built
    ours: dict[float, tuple[Chosen, Built]] = field(default_factory=dict)
    peers: dict[Key, Made] = field(default_factory=dict)
    timed: dict[float, Chosen] = field(default_factory=dict)
    fastest: dict[float, float] = field(default_factory=dict)
    sizes: dict[Candidate, tuple[float, float]] = field(default_factory=dict)
    unplanned: tuple[str, ...] = ()


def measure(
    server: Postgres,
    name: str,
    load: Callable[[str], data.Workload],
    wanted: Wanted,
    console: Console,
) -> Found:
    """Makes a database of that name, has it filled, and goes through all budgets."""
    begun = time.monotonic()

    def tell(text: str) -> None:
        console.print(f"[{time.monotonic() - begun:5.0f} s] {name}: {text}")

    with psycopg.connect(server.url(), autocommit=True) as owner:
        owner.execute(f'CREATE DATABASE "{name}"'.encode())
    url = server.url(name)
    workload = load(url)
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute("CREATE EXTENSION hypopg")
    tell("loaded")
    with Connection(url, limits=PATIENT) as connection:
        bench = _Bench(url, connection, workload, wanted, tell)
        bench.measure_peers()
        bench.choose()
        for budget in wanted.budgets:
            bench.build(budget)
        return bench.found


class _Bench:
    """The steps of one workload, in the order in which they stand here."""

    def __init__(
        self,
        url: str,
        connection: Connection,
        workload: data.Workload,
        wanted: Wanted,
        tell: Callable[[str], None],
    ) -> None:
        self._url, self._connection = url, connection
        self._wanted, self._tell = wanted, tell
        self._known = prepared(connection, workload)
        self._name, self._queries = workload.full_name, self._known.workload.queries
        self._inputs = recorded.inputs_of(self._known, SERVER)
        self._times: building.Times = {}
        self._same: dict[frozenset[Candidate], Built] = {}
        self._sizes: dict[Candidate, tuple[float, float]] = {}

    def measure_peers(self) -> None:
        """All that is not recorded, or all; and how long Extend takes to choose."""
        path = self._wanted.record
        part = recorded.unfinished(path)
        record = recorded.read(part if self._wanted.full else path, self._name, self._inputs)

        def save() -> None:
            if self._wanted.full:
                recorded.write(part, self._name, record)

        recording = Recording(
            record,
            lambda: Peers(self._connection, self._known, self._tell),
            self._built,
            save,
            self._tell,
        )
        keys = [(way, budget) for way in WAYS for budget in self._wanted.budgets]
        chosen = recording.complete(keys)
        if self._wanted.full:
            recorded.write(path, self._name, record)
            recorded.remove(part, self._name)
        timed = {budget: one for (way, budget), one in chosen.items() if way == CORRECTED}
        if self._wanted.timed is not None and self._wanted.timed not in timed:
            timed[self._wanted.timed] = recording.choose((CORRECTED, self._wanted.timed))
        before = self._built(())
        self._tell(f"without indexes: {before}")
        unplanned = tuple(one.reason for one in self._known.unplanned)
        self.found = Found(
            self._known.workload.name,
            before,
            peers=record.made,
            timed=timed,
            sizes=self._sizes,
            unplanned=unplanned,
        )

    def choose(self) -> None:
        """Ours for each budget."""
        self._tell(f"{len(self._known.candidates)} candidates")
        self._ours = Ours(self._connection, self._known)
        self._chosen = {}
        for budget in self._wanted.budgets:
            self._chosen[budget] = one = self._ours.choose(budget)
            self._tell(
                f"{_megabytes(budget)} foretide: {one.calls} plans, {one.seconds:.1f} s of CPU"
            )

    def build(self, budget: float) -> None:
        """Ours, and beside it the fastest of the peers, for its time."""
        built = building.build_verified(
            self._url,
            self._queries,
            self._chosen[budget].indexes,
            self._times,
            self.found.before.times,
            lambda kept, reverted: self._ours.instead(budget, kept, reverted),
        )
        self.found.ours[budget] = (self._chosen[budget], built)
        self._note(built)
        self._tell(f"{_megabytes(budget)} foretide: {built}")
        if built.slower_at_first or built.slower or built.seen_slower:
            self._tell(
                f"  slower at first {_listed(built.slower_at_first)}; {len(built.reverted)} indexes"
                f" reverted; slower still {_listed(built.slower)}, as seen from outside"
                f" {_listed(built.seen_slower)}"
            )
        made = self.found.peers
        way = min(SHIPPED, key=lambda one: made[(one, budget)].seconds)
        fastest = self._built(made[(way, budget)].indexes)
        self._tell(f"{_megabytes(budget)} {way}, the fastest: {fastest}")
        self.found.fastest[budget] = fastest.seconds

    def _built(self, indexes: Sequence[Candidate]) -> Built:
        """Budgets often leave a peer with what it had for a smaller one."""
        key = frozenset(indexes)
        if key not in self._same:
            self._same[key] = building.build(self._url, self._queries, indexes, self._times)
            self._note(self._same[key])
        return self._same[key]

    def _note(self, built: Built) -> None:
        for index, size in built.sizes.items():
            self._sizes[index] = (pricing.foreseen_bytes(index, self._known.tables), size)


def _megabytes(budget: float) -> str:
    return f"{budget / MEGABYTE:g} MB"


def _listed(queries: Iterable[str]) -> str:
    return ", ".join(queries) or "none"
