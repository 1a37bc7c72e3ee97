"""What the operator keeps in memory about one DatabaseAdvisor. A restart looks anew, and shows the
advice that status has until there is a newer one."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from foretide.dbadvisor.applying_state import State
from foretide.dbadvisor.snapshot import Pulse, Snapshot

from ..api.databaseadvisor import DatabaseAdvisorSpec
from ..kept import Json, Kept, named
from . import news
from .applied import recalled, recalled_of_others
from .consulting import Answer, Chosen
from .history import History
from .targets import Place
from .watching import Watch

# What of a status an advice has said.
ADVISED = (
    *("workload", "advice", "indexes", "drops", "dropsUnproven", "repeats", "caches"),
    *("distribution", "scans", "unplanned", "remarks"),
)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why something could not be done; `reason` is for machines."""

    reason: str
    message: str


@dataclass(slots=True)
class Member(Kept[DatabaseAdvisorSpec]):
    """One DatabaseAdvisor.

    `parts` is what the newest advice says in status,
    `counts` how many findings of each kind it has; `advised_at` is when it was made (Unix seconds),
    `advised_for` for which generation. `consulting` makes the next one. `failure` is why the last
    could not be made, and when. `closer` is a closer look at some statements. `known` are the
    findings that Events have told of.

    Of mode Apply: the indexes that are `chosen`, what was done so far (`state`), the `step` that
    was decided on, `acting` that takes it, and `resting`: why none is taken now, or which one.
    In any mode: `theirs` are indexes that somebody else has created, seen against `earlier`, the
    look before the last; `proposals` are statements that drop those that do harm, by name.
    """

    new_watch: Callable[[], Watch] = Watch
    watch: Watch | None = None
    place: Place | None = None
    history: History = field(default_factory=History)
    trouble: Trouble | None = None
    parts: Json = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    advised_at: float | None = None
    advised_for: int | None = None
    consulting: asyncio.Task[Answer] | None = None
    closer: asyncio.Task[tuple[Pulse, ...]] | None = None
    chosen: tuple[Chosen, ...] = ()
    budget: float = 0.0
    state: State = ()
    step: Any = None
    acting: asyncio.Task[State] | None = None
    resting: Trouble | None = None
    earlier: Snapshot | None = None
    theirs: State = ()
    proposals: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    failure: tuple[Trouble, float] | None = None
    known: dict[str, set[str]] = field(default_factory=dict)

    @classmethod
    def from_body(cls, body: Mapping[str, Any], new_watch: Callable[[], Watch]) -> "Member":
        """Read a resource, its status included."""
        uid, namespace, name, body, status = named(body)
        member = cls(uid, namespace, name, body, status=status, new_watch=new_watch)
        member.parts = {it: member.status[it] for it in ADVISED if member.status.get(it)}
        member.counts = dict(member.status.get("counts") or {})
        member.known = news.keys(member.status)
        member.state = recalled(member.status)
        member.theirs, member.proposals = recalled_of_others(member.status)
        member.update(body)
        return member

    def update(self, body: Mapping[str, Any]) -> None:
        """Take over a new version; the advice that is being made is for another."""
        self.failure = None
        self.give_up_consulting()
        self.take_over(body, DatabaseAdvisorSpec)

    def watch_of(self, place: Place) -> Watch:
        """The watch of this database; of another one nothing is known yet."""
        if self._is_another(place):
            self.rest()
            self.history, self.theirs, self.proposals = History(), (), {}
        self.place = place
        if self.watch is None:
            self.watch = self.new_watch()
        return self.watch

    def _is_another(self, place: Place) -> bool:
        """Whether this is not the database that was watched before, by this operator or another."""
        if self.place is not None:
            return _database(place) != _database(self.place)
        now = {"host": f"{place.host}:{place.port}", "database": place.who.get("dbname")}
        return any(
            said is not None and self.status.get(name) not in (None, said)
            for name, said in now.items()
        )

    def take(self, history: History) -> None:
        """Take in what a look has added."""
        self.trouble = None
        self.earlier = self.history.last
        self.history = history

    def take_advice(self, answer: Answer, now: float) -> None:
        """Take in a new advice."""
        parts = answer.parts
        self.chosen, self.budget = answer.chosen, answer.budget
        self.counts = parts.get("counts", {})
        self.parts = {it: parts[it] for it in ADVISED if parts.get(it) is not None}
        self.advised_at, self.advised_for = now, self.generation
        self.failure = None

    def rest(self) -> None:
        """Let go of the database: nobody may look at it now, or it is not to be looked at."""
        if self.watch is not None:
            self.watch.close()
            self.watch = None
        if self.closer is not None:  # it ends with the connection
            self.closer.add_done_callback(_forgotten)
            self.closer = None
        self.give_up_consulting()

    def leave(self) -> None:
        """Nobody looks after it any more; a step that is being taken ends by itself."""
        self.rest()
        if self.acting is not None:
            self.acting.add_done_callback(_forgotten)

    def give_up_consulting(self) -> None:
        """Nobody waits any more for the advice that is being made."""
        if self.consulting is not None:
            self.consulting.add_done_callback(_forgotten)
            self.consulting.cancel()
            self.consulting = None


def _database(place: Place) -> tuple[str, int, str | None]:
    return place.host, place.port, place.who.get("dbname")


def _forgotten(task: asyncio.Task[Any]) -> None:
    """Nobody asks how it has ended, and asyncio would complain of that."""
    if not task.cancelled():
        task.exception()
