"""How a read goes: from the cache, from a load that another one has begun, or by a load.

What makes it right, with invalidation:
- before anything is taken from the cache, all commits that had returned when the read began are
  known (`listening`);
- a ticket is drawn before a load's snapshot is taken, and what it has read is kept only if none
  of its tables is known to have changed since; a commit that becomes known later makes it
  unusable then, as its number is higher than the ticket's;
- a load that began before this read is not its answer, unless it was kept and still is valid;
- its age counts from before it was loaded.
"""

import contextlib
import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from foretide.dbadvisor.cache.backend import Backend, BackendAway
from foretide.dbadvisor.cache.flights import Flight, Flights
from foretide.dbadvisor.cache.footprint import Footprint, refusal
from foretide.dbadvisor.cache.results import Result
from foretide.dbadvisor.cache.steps import Steps

REFUSALS = 1000  # texts of queries whose answers must not be kept
SHOWN = 1000  # bytes of a text; of longer ones the rest is told apart by its hash
REFUSED_SECONDS = 60.0  # after which one is tried again: triggers may have been installed
AWAY_SECONDS = 1.0  # for which a backend that has not answered, which takes its time, is let be
POLLS = (0.002, 0.005, 0.01, 0.02, 0.05)  # s, while another process loads; the last goes on
TTL_ALONE = b"t"


class Ears(Protocol):
    """What hears of changes (`listening`). `server` is None where nothing does."""

    server: str | None

    def fresh(self) -> Any: ...

    def forked(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load has found, in a transaction of its own, and what it has read for it."""

    result: Result
    footprint: Footprint


@dataclass(frozen=True, slots=True)
class Wanted:
    """A read: `key` and `text` (`keys`), how long its answer may live (s), which further tables
    its answer depends on, and `load`, which asks the database and gives Loaded (or an awaitable).
    """

    key: bytes
    text: bytes
    ttl: float
    tables: Sequence[str]
    load: Callable[[], Any]
    varied: bool = False  # the key holds what the answer depends on in its session
    session: tuple[Any, ...] = ()  # what that has said of itself, if it was asked


@dataclass(slots=True)
class Counts:
    """What became of reads. `bypassed`: asked the database as the cache could not answer."""

    hits: int = 0
    misses: int = 0
    shared: int = 0  # answered by a load that somebody else was about
    bypassed: int = 0
    refused: int = 0  # answers that must not be kept
    # Answers not kept as their tables changed meanwhile, or for their size, or as a pooler had
    # them loaded in another session than the one that was asked who it is.
    overtaken: int = 0


class Flow:
    """The algorithm, for threads and for asyncio. `pause` waits for seconds."""

    def __init__(
        self,
        backend: Backend,
        ears: Ears,
        flights: Flights,
        *,
        pause: Callable[[float], Any],
        load_seconds: float,
    ) -> None:
        self._backend = backend
        self._ears = ears
        self._flights = flights
        self._pause = pause
        self._load_seconds = load_seconds
        self._refusals: OrderedDict[bytes, tuple[float, str]] = OrderedDict()
        self._away_until = 0.0
        self._counting = threading.Lock()
        self.counts = Counts()

    def refusals(self) -> dict[str, str]:
        """Which queries were not kept in the last minute, and why."""
        with self._counting:
            return {
                text.decode("utf-8", "replace"): why for text, (_, why) in self._refusals.items()
            }

    def read(self, wanted: Wanted) -> Steps[Result | None]:
        """The answer; None: ask the database directly."""
        begun = self._flights.now()
        if self._refused(wanted.text):
            self.count("bypassed")
            return None
        kept = time.monotonic() >= self._away_until and (yield self._ears.fresh())
        if self._ears.server is None:
            # What lives for its TTL alone is no answer for a cache that promises more.
            wanted = replace(wanted, key=wanted.key + TTL_ALONE)
        answer: Result | None
        try:
            answer = yield self._read(wanted, begun, kept=kept)
        except BackendAway:
            self._away_until = time.monotonic() + AWAY_SECONDS
            answer = yield self._read(wanted, begun, kept=False)
        if answer is None:
            self.count("bypassed")
        return answer

    def _read(self, wanted: Wanted, begun: int, *, kept: bool) -> Steps[Result | None]:
        """`kept`: whether answers may be taken from the backend, and kept there. Otherwise, too,
        those who ask for the same at the same time share what one of them finds.
        """
        found: Result | None
        # Whoever waits for a load that began before this read may find it overtaken, and wait for
        # one more, which began after it; a third is of no use.
        for _ in range(2):
            found = None
            if kept:
                found = yield self._backend.get(wanted.key)
            if found is not None:
                self.count("hits")
                return found
            flight, mine = self._flights.join(wanted.key)
            if mine:
                try:
                    found = yield self._lead(wanted, flight) if kept else self._ask(wanted, flight)
                finally:
                    self._flights.land(wanted.key, flight)
                return found
            yield flight.wait()
            if flight.number > begun and flight.result is not None:
                self.count("shared")
                return flight.result
            if self._refused(wanted.text):
                return None
        return None

    def _ask(self, wanted: Wanted, flight: Flight) -> Steps[Result]:
        """Asks the database, for all who wait in this process."""
        self.count("bypassed")
        loaded: Loaded = yield wanted.load()
        why = refusal(loaded.footprint, None, wanted.varied)
        if why is not None:
            self._refuse(wanted.text, why)
        elif not wanted.session or wanted.session[0] == loaded.footprint.session:
            flight.result = loaded.result
        return loaded.result

    def _lead(self, wanted: Wanted, flight: Flight) -> Steps[Result]:
        """Loads, for all who wait in this process, unless another process is at it already."""
        deadline = time.monotonic() + self._load_seconds
        token = secrets.token_hex(8)
        polls, first = 0, ""
        while (
            leader := (yield self._backend.lead(wanted.key, token, self._load_seconds))
        ) != token:
            first = first or leader
            if leader != first or time.monotonic() > deadline:
                # What the first one has found was not kept: to wait in turn is of no use.
                break
            yield self._pause(POLLS[min(polls, len(POLLS) - 1)])
            polls += 1
            found: Result | None = yield self._backend.get(wanted.key)
            if found is not None:
                self.count("hits")
                return found
        try:
            result: Result = yield self._load(wanted, flight)
            return result
        finally:
            if leader == token:
                with contextlib.suppress(BackendAway):  # it ends by itself
                    yield self._backend.follow(wanted.key, token)

    def _load(self, wanted: Wanted, flight: Flight) -> Steps[Result]:
        ticket = yield self._backend.ticket()
        loaded: Loaded = yield wanted.load()
        self.count("misses")
        why = refusal(loaded.footprint, self._ears.server, wanted.varied, wanted.tables)
        if why is not None:
            self._refuse(wanted.text, why)
            return loaded.result
        if wanted.session and wanted.session[0] != loaded.footprint.session:
            self.count("overtaken")
            return loaded.result
        flight.result = loaded.result
        tables = {read.full_name for read in loaded.footprint.reads} | set(wanted.tables)
        try:
            kept = yield self._backend.put(
                wanted.key, ticket, sorted(tables), loaded.result, wanted.ttl
            )
        except BackendAway:
            kept = False
        if not kept:
            self.count("overtaken")
        return loaded.result

    def count(self, what: str) -> None:
        with self._counting:
            setattr(self.counts, what, getattr(self.counts, what) + 1)

    def _refused(self, text: bytes) -> bool:
        name = _short(text)
        with self._counting:
            until, _ = self._refusals.get(name, (0.0, ""))
            if until and time.monotonic() >= until:
                del self._refusals[name]
            return time.monotonic() < until

    def _refuse(self, text: bytes, why: str) -> None:
        self.count("refused")
        name = _short(text)
        with self._counting:
            self._refusals[name] = (time.monotonic() + REFUSED_SECONDS, why)
            self._refusals.move_to_end(name)
            while len(self._refusals) > REFUSALS:
                self._refusals.popitem(last=False)


def _short(text: bytes) -> bytes:
    """Texts of megabytes, each with other constants in it, would take more than answers may."""
    if len(text) <= SHOWN:
        return text
    return b"%s ... (%s)" % (
        text[:SHOWN],
        hashlib.blake2b(text, digest_size=8).hexdigest().encode(),
    )
