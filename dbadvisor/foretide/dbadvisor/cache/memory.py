"""Answers in this process: the least recently used ones go when there is no more room."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from foretide.dbadvisor.cache.backend import Change, Ticket, elapsed
from foretide.dbadvisor.cache.results import Result

# What an entry takes beside its rows: its key, its place in the order, its record.
ENTRY_BYTES = 400
# So many tables are remembered one by one; whoever may NOTIFY can make up names.
TABLES = 10_000


@dataclass(slots=True)
class _Entry:
    result: Result
    tables: tuple[str, ...]
    number: int  # of the ticket that it was loaded with
    expires: float
    size: int


class Memory:
    """A backend in this process, for threads and for asyncio alike.

    Changes are numbered. An entry may be used as long as none of its tables has changed since its
    ticket was drawn, which is before it was loaded: what commits between the load and the moment
    when it is kept is found then, what commits later when it is asked for.
    """

    def __init__(
        self, max_bytes: int = 64 * 2**20, *, clock: Callable[[], float] = elapsed
    ) -> None:
        if max_bytes <= 0:
            raise ValueError("max_bytes must be above 0")
        self._max_bytes = max_bytes
        self._clock = clock
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        self._bytes = 0
        self._number = 0
        self._changed: dict[str, int] = {}
        self._cleared = 0
        self._lock = threading.Lock()

    def forked(self) -> None:
        """For a child process: it begins empty, with a lock that no other thread holds."""
        self._lock = threading.Lock()
        self.clear()

    @property
    def size(self) -> int:
        """How many bytes the entries take, about."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: bytes) -> Result | None:
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            if self._clock() >= entry.expires or not self._unchanged(entry.number, entry.tables):
                self._drop(key)
                return None
            self._entries.move_to_end(key)
            return entry.result

    def ticket(self) -> Ticket:
        with self._lock:
            return Ticket("", self._number, self._clock())

    def put(
        self, key: bytes, ticket: Ticket, tables: Sequence[str], result: Result, ttl: float
    ) -> bool:
        size = ENTRY_BYTES + result.size
        expires = ticket.at + ttl
        with self._lock:
            if size > self._max_bytes or self._clock() >= expires:
                return False
            if not self._unchanged(ticket.number, tables):
                return False
            self._drop(key)
            self._entries[key] = _Entry(result, tuple(tables), ticket.number, expires, size)
            self._bytes += size
            while self._bytes > self._max_bytes:
                self._drop(next(iter(self._entries)))
        return True

    def changed(self, changes: Iterable[Change]) -> None:
        with self._lock:
            for change in changes:
                self._number += 1
                self._changed[change.table] = self._number
            if len(self._changed) > TABLES:
                self._forget()

    def clear(self) -> None:
        with self._lock:
            self._number += 1
            self._forget()

    def lead(self, key: bytes, token: str, seconds: float) -> str:
        return token  # within one process the flights see to it

    def follow(self, key: bytes, token: str) -> None:
        pass

    def _forget(self) -> None:
        self._cleared = self._number
        self._changed.clear()
        self._entries.clear()
        self._bytes = 0

    def _unchanged(self, number: int, tables: Iterable[str]) -> bool:
        return self._cleared <= number and all(
            self._changed.get(table, 0) <= number for table in tables
        )

    def _drop(self, key: bytes) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= entry.size
