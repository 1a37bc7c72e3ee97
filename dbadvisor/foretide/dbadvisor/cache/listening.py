"""Hears from PostgreSQL which tables have changed, and knows when it may have missed something.

PostgreSQL signals the backends that listen before it tells a writer that its commit is done, and
a backend hands over what it has been notified of before it says that it is ready for the next
query. So one empty query, sent over the listening connection after a commit has returned, comes
back behind the notification of that commit: with such a question before each answer from the
cache, no read is older than the last commit that had returned when the read began.
"""

import logging
import os
import selectors
import threading
import time
from collections.abc import Generator, Sequence
from typing import Any

import psycopg
from psycopg import pq

from foretide.dbadvisor.cache.backend import Backend, BackendAway, Change
from foretide.dbadvisor.cache.footprint import IDENTITY
from foretide.dbadvisor.cache.steps import Steps, drive
from foretide.dbadvisor.cache.triggers import CHANNEL, EVERYTHING

logger = logging.getLogger("foretide.dbadvisor.cache")

# A connection that is dead without a word is given up after these seconds.
OPTIONS: dict[str, Any] = {
    "autocommit": True,
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 2,
    "client_encoding": "utf8",
    "application_name": "foretide cache",
}
BEAT = 1.0  # s: how often an idle connection is asked, so that it is read and its loss noticed
GREETING = (f"LISTEN {CHANNEL}", f"SELECT {IDENTITY}, pg_backend_pid(), pg_is_in_recovery()")
PAUSES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)  # between attempts to connect, s; the last goes on


class Unheard(Exception):
    """Notifications cannot be relied on here. The text says why, without secrets."""


def server_of(row: Sequence[Any] | None, connection: Any) -> str:
    """The server that was connected to, from what the second GREETING answers.

    Raises:
        Unheard: notifications would not come through this connection.
    """
    assert row is not None
    server, pid, replica = row
    if replica:
        raise Unheard("the server listened to is a replica: listen to the primary")
    if pid != connection.info.backend_pid:
        raise Unheard("a connection pooler stands between: notifications need a direct connection")
    return str(server)


def change_of(payload: str) -> Change:
    """What a trigger has told: `transaction schema.table`, or `transaction *` after DDL."""
    transaction, _, table = payload.partition(" ")
    return Change(table, transaction)


def ask(pgconn: pq.abc.PGconn) -> Generator[None, None, list[Change]]:
    """Sends an empty query; yields whenever it must wait for the socket, to be read from.

    Returns the changes that have been told of, up to the answer.

    Raises:
        psycopg.OperationalError: the connection is lost.
    """
    pgconn.send_query(b"")
    while pgconn.flush():
        yield
    while True:
        pgconn.consume_input()
        if pgconn.is_busy():
            yield
        elif (answer := pgconn.get_result()) is None:
            break
        elif answer.status != pq.ExecStatus.EMPTY_QUERY:
            raise psycopg.OperationalError("the listening connection has been ended")
    return told(pgconn)


def told(pgconn: pq.abc.PGconn) -> list[Change]:
    """The notifications that have come in."""
    changes = []
    while (notification := pgconn.notifies()) is not None:
        changes.append(change_of(notification.extra.decode("utf-8", "replace")))
    return changes


class Attempts:
    """When to try again to connect."""

    def __init__(self) -> None:
        self._failures = 0
        self._next = 0.0

    def due(self) -> bool:
        return time.monotonic() >= self._next

    def failed(self, error: BaseException) -> None:
        pause = PAUSES[min(self._failures, len(PAUSES) - 1)]
        self._failures += 1
        self._next = time.monotonic() + pause
        report(error)

    def succeeded(self) -> None:
        self._failures = 0


class Silence:
    """No invalidation: answers live as long as their TTL."""

    server: str | None = None

    def fresh(self) -> bool:
        return True

    def forked(self) -> None:
        pass

    def close(self) -> None:
        pass


class Listener:
    """Keeps one connection that listens, and a thread that reads from it.

    While there is no connection nothing may be taken from the cache; when there is one again, the
    cache is emptied first, as nobody knows what was missed.
    """

    def __init__(self, dsn: str, backend: Backend, *, strict: bool, timeout: float) -> None:
        self._dsn = dsn
        self._backend = backend
        self._strict = strict
        self._timeout = timeout
        self._inherited: list[object] = []
        self._start()

    def _start(self) -> None:
        self.server: str | None = ""
        self._connection: psycopg.Connection[Any] | None = None
        self._selector: selectors.BaseSelector | None = None
        self._lock = threading.Lock()
        self._begun = 0  # questions
        self._asked_at = 0.0
        self._attempts = Attempts()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def forked(self) -> None:
        """For a child process: the parent's connection stays the parent's."""
        self._inherited += [self._connection, self._selector]  # never closed from here
        self._start()

    def fresh(self) -> bool:
        """Whether all is known that was committed until now (strict), or until a moment ago."""
        if not self._strict and self._connection is not None:
            return True
        before = self._begun
        with self._lock:
            # One that began after this call has been answered: it serves all who waited for it.
            if self._begun > before and self._connection is not None:
                return True
            return self._ask()

    def close(self) -> None:
        self._closed.set()
        with self._lock:
            self._lose(None)
        if self._thread is not None:
            self._thread.join(2)

    def _ask(self) -> bool:
        """With the lock: one question; connects if need be."""
        if self._connection is None and not self._connect():
            return False
        assert self._connection is not None
        self._begun += 1
        self._asked_at = time.monotonic()
        try:
            changes = self._wait_for(ask(self._connection.pgconn))
            if changes:
                drive(told_to(self._backend, changes))
        except (psycopg.Error, OSError, TimeoutError, BackendAway) as error:
            self._lose(error)
            return False
        except BaseException:
            # A signal's handler may raise here (a time limit): what was told is lost with it.
            self._lose(None)
            raise
        return True

    def _wait_for(self, asking: Generator[None, None, list[Change]]) -> list[Change]:
        assert self._selector is not None
        deadline = time.monotonic() + self._timeout
        try:
            while True:
                next(asking)
                remaining = deadline - time.monotonic()
                if remaining <= 0 or not self._selector.select(remaining):
                    raise TimeoutError("the listening connection does not answer")
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    def _connect(self) -> bool:
        if self._closed.is_set() or not self._attempts.due():
            return False
        connection = None
        try:
            connection = psycopg.connect(self._dsn, **OPTIONS)
            connection.execute(GREETING[0])
            server = server_of(connection.execute(GREETING[1]).fetchone(), connection)
            drive(cleared(self._backend))
        except BaseException as error:
            if connection is not None:
                connection.close()
            if not isinstance(error, psycopg.Error | OSError | Unheard | BackendAway):
                raise
            self._attempts.failed(error)
            return False
        self._attempts.succeeded()
        self._selector = selectors.DefaultSelector()
        self._selector.register(connection.fileno(), selectors.EVENT_READ)
        self.server, self._connection = server, connection
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._watch, name="foretide-cache-listener", daemon=True
            )
            self._thread.start()
        return True

    def _lose(self, error: BaseException | None) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        if self._selector is not None:
            self._selector.close()
            self._selector = None
        if error is not None:
            self._attempts.failed(error)

    def _watch(self) -> None:
        """In its thread: reads what comes in unasked, and notices when the connection is lost."""
        pid = os.getpid()
        while not self._closed.is_set() and os.getpid() == pid:
            if not self._something_came() and time.monotonic() < self._asked_at + BEAT:
                continue
            with self._lock:
                if not self._closed.is_set():
                    self._keep_asking()

    def _keep_asking(self) -> None:
        """The thread must not end: without it a reader that does not ask would hear nothing."""
        try:
            self._ask()
        except Exception as error:
            self._attempts.failed(error)

    def _something_came(self) -> bool:
        """Waits for a beat at most; strict readers ask themselves, and need not be waited upon."""
        selector = self._selector
        if self._strict or selector is None:
            self._closed.wait(BEAT if self._connection is not None else PAUSES[0])
            return False
        try:
            return bool(selector.select(BEAT))
        except (OSError, ValueError, RuntimeError, KeyError):  # it was closed meanwhile
            return False


def report(error: BaseException) -> None:
    """One line about a lost or refused connection. psycopg's texts may hold hosts, no passwords."""
    reason = str(error).strip().partition("\n")[0] if isinstance(error, Unheard) else ""
    logger.warning(
        "the cache asks the database for everything until it hears of changes again: %s",
        reason or type(error).__name__,
    )


def told_to(backend: Backend, changes: list[Change]) -> Steps[None]:
    if any(change.table == EVERYTHING for change in changes):
        yield backend.clear()
    else:
        yield backend.changed(changes)


def cleared(backend: Backend) -> Steps[None]:
    yield backend.clear()
