"""The door's real side: psycopg, always read-only, with limits, and errors that hold no secret.

Every statement goes out by the extended protocol, which refuses several statements in one text.
Its transaction is read-only and has taken its snapshot before the statement comes, after which
PostgreSQL lets nobody make it writable. Limits are set in each transaction, not in the session:
so a pooler in front (PgBouncer in transaction mode) neither loses them nor hands them to others.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import quote

import psycopg
from psycopg import conninfo, pq
from psycopg.adapt import Buffer, Loader

from foretide.dbadvisor.database import MARK, DatabaseAway, DatabaseError, Row, marked

# What a Secret may call the parts of a connection, beside their names in libpq.
ALIASES = {"username": "user", "database": "dbname", "db": "dbname", "pass": "password"}
WHOLE = ("dsn", "url", "uri")
PARTS = ("host", "hostaddr", "port", "dbname", "user", "password", "sslmode", "channel_binding")
# Parameters with which a connection would read files of, or run as, whoever makes it.
OF_THE_MACHINE = frozenset(
    {"passfile", "service", "servicefile", "sslcert", "sslkey", "sslpassword", "sslrootcert"}
    | {"sslcrl", "sslcrldir", "sslcertmode", "sslkeylogfile", "krbsrvname", "gsslib"}
    | {"gssencmode", "gssdelegation", "options"}
)
UNSEEN = "SET LOCAL pg_stat_statements.track = 'none'"
UNREADABLE = (
    "the connection string cannot be read: write postgresql://user:password@host:port/database, "
    "with reserved characters as %XX, or host=... dbname=... user=..."
)


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds: for a statement, for a lock that it waits for, between two statements of one
    transaction, and to connect.
    """

    statement: float = 15.0
    lock: float = 1.0
    idle: float = 30.0
    connect: float = 10.0


class Target:
    """Where and as whom to connect. Never shows its password."""

    def __init__(self, given: str | Mapping[str, str], *, foreign: bool = False) -> None:
        """`given` is a URL, libpq's `key=value` text, or a mapping such as a Secret's: with `dsn`,
        `url` or `uri`, or with host, port, database and so on. `foreign`: it comes from somebody
        whom this machine's files and sockets do not concern (a resource in a cluster).

        Raises:
            DatabaseError: it cannot be read, or asks for what a foreign one may not.
        """
        self.parameters = _parsed(given)
        if foreign:
            _refuse_what_is_local(self.parameters)

    @property
    def hosts(self) -> tuple[str, ...]:
        """All hosts that it may connect to; sockets are paths. Empty: libpq's default."""
        named = [self.parameters.get(name, "") for name in ("host", "hostaddr")]
        return tuple(host for text in named for host in text.split(",") if host)

    def __repr__(self) -> str:
        shown = {name: self.parameters.get(name) for name in ("host", "port", "dbname", "user")}
        return f"Target({', '.join(f'{name}={text}' for name, text in shown.items() if text)})"

    def scrubbed(self, text: str) -> str:
        """The text without the password in any form that libpq might quote it in."""
        for name in ("password", "sslpassword"):
            secret = self.parameters.get(name)
            if secret:
                for form in (secret, quote(secret), quote(secret, safe="")):
                    text = text.replace(form, "***")
        return text


class Connection:
    """A `Database` with one connection.

    A connection that is lost is never replaced in silence, as what lives in a session
    (hypothetical indexes) is lost with it: the call that finds it lost raises DatabaseAway, and the
    next one connects anew.
    """

    def __init__(
        self,
        target: Target | str | Mapping[str, str],
        *,
        limits: Limits | None = None,
        application: str = "foretide",
    ) -> None:
        """Connects.

        Raises:
            DatabaseError: the target cannot be read.
            DatabaseAway: nobody answers, or it refuses to let us in.
        """
        self.target = target if isinstance(target, Target) else Target(target)
        self.version = 0
        self._application = application
        self._limits = limits or Limits()
        self._begin = b""
        self._open: psycopg.Connection[Row] | None = None
        self._connection()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the session; the next call would begin a new one."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def rows(self, statement: str, parameters: Sequence[object] = ()) -> list[Row]:
        """See `Database.rows`."""
        return self._transaction([(statement, parameters)])[0]

    def together(self, statements: Sequence[str]) -> list[list[Row]]:
        """See `Database.together`."""
        return self._transaction([(statement, ()) for statement in statements])

    def _transaction(self, statements: Sequence[tuple[str, Sequence[object]]]) -> list[list[Row]]:
        connection = self._connection()
        answers = []
        try:
            connection.execute(self._begin)
            for statement, parameters in statements:
                # In a pipeline psycopg uses the extended protocol even without parameters.
                with connection.pipeline():
                    cursor = connection.execute(marked(statement), parameters or None)
                answers.append(cursor.fetchall() if cursor.description else [])
                if connection.info.transaction_status != pq.TransactionStatus.INTRANS:
                    raise DatabaseError("the statement ended the transaction that it ran in")
        except (psycopg.Error, UnicodeError) as error:
            raise told(self.target, error, connection) from None
        finally:
            self._roll_back(connection)
        return answers

    def _roll_back(self, connection: psycopg.Connection[Row]) -> None:
        try:
            connection.rollback()
        except psycopg.Error:
            # What could not be rolled back is gone with its session.
            connection.close()
        if connection.closed:
            self._open = None

    def _connection(self) -> psycopg.Connection[Row]:
        if self._open is None or self._open.closed:
            self._open = connected(self.target, self._application, self._limits.connect)
            self.version = self._open.info.server_version
            self._begin = _beginning(self._limits, unseen=_may_be_unseen(self._open))
        return self._open


def connected(target: Target, application: str, seconds: float) -> psycopg.Connection[Row]:
    """A new connection without transactions of its own making, within so many seconds.

    Raises:
        DatabaseAway: nobody answers, or it refuses to let us in.
    """
    wanted: dict[str, str | int] = {
        # A server that is silent must not hold us for the hours that TCP would.
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": 60_000,
        "connect_timeout": max(2, round(seconds)),
        "application_name": application,
        **target.parameters,
        "client_encoding": "utf8",
    }
    try:
        opened: psycopg.Connection[Row] = psycopg.connect(
            conninfo.make_conninfo("", **wanted), autocommit=True, prepare_threshold=None
        )
    except (psycopg.Error, UnicodeError, ValueError) as error:
        raise DatabaseAway(_one_line(target, error)) from None
    if opened.info.parameter_status("server_encoding") == "SQL_ASCII":
        # There text may be in any encoding, even in several, and is sent as it is.
        opened.execute("SET client_encoding TO SQL_ASCII")
        for name in ("text", "varchar", "name", "bpchar"):
            opened.adapters.register_loader(name, _Tolerant)
    return opened


def told(target: Target, error: Exception, connection: psycopg.Connection[Row]) -> DatabaseError:
    """The same error without secrets, and without what psycopg chains to it."""
    if connection.closed or connection.pgconn.status != pq.ConnStatus.OK:
        return DatabaseAway(_one_line(target, error))
    if not isinstance(error, psycopg.Error):
        return DatabaseError(_one_line(target, error))
    text, position = error.diag.message_primary, error.diag.statement_position
    return DatabaseError(
        target.scrubbed(text) if text else _one_line(target, error),
        error.sqlstate or "",
        max(1, int(position) - len(MARK)) if position else None,
    )


def _one_line(target: Target, error: Exception) -> str:
    return target.scrubbed(" ".join(str(error).split())) or type(error).__name__


def _may_be_unseen(connection: psycopg.Connection[Row]) -> bool:
    """Whether we may keep our statements out of pg_stat_statements: they would fill it, and push
    the user's own out. It takes a superuser, or a grant.
    """
    try:
        connection.execute(f"BEGIN; {UNSEEN}; ROLLBACK")
    except psycopg.Error:
        with contextlib.suppress(psycopg.Error):
            connection.rollback()
        return False
    return True


def _beginning(limits: Limits, *, unseen: bool) -> bytes:
    """Our own text, in one round trip. What it selects takes the snapshot."""
    seconds = {
        "statement_timeout": limits.statement,
        "lock_timeout": limits.lock,
        "idle_in_transaction_session_timeout": limits.idle,
    }
    limited = (f"SET LOCAL {name} = {round(each * 1000)}" for name, each in seconds.items())
    first = ["BEGIN TRANSACTION READ ONLY", *([UNSEEN] if unseen else []), *limited]
    return "; ".join([*first, marked("SELECT WHERE true")]).encode()


class _Tolerant(Loader):
    """Text that may not be UTF-8."""

    def load(self, data: Buffer) -> str:
        return bytes(data).decode(errors="replace")


def _parsed(given: str | Mapping[str, str]) -> dict[str, str]:
    if not isinstance(given, str):
        return _of_mapping({name.lower().strip(): text.strip() for name, text in given.items()})
    # A password that was not escaped would stand in libpq's own error.
    with contextlib.suppress(psycopg.Error, UnicodeError):
        parsed = conninfo.conninfo_to_dict(given.strip())
        return {name: str(text) for name, text in parsed.items() if text is not None}
    raise DatabaseError(UNREADABLE)


def _of_mapping(given: Mapping[str, str]) -> dict[str, str]:
    for name in WHOLE:
        if given.get(name):
            return _parsed(given[name])
    named = {ALIASES.get(name, name): text for name, text in given.items()}
    parameters = {name: named[name] for name in PARTS if named.get(name)}
    if not parameters.get("host") and not parameters.get("hostaddr"):
        raise DatabaseError(
            f"a connection needs a key {', '.join(WHOLE)}, or host with port, database, user and "
            "password"
        )
    return parameters


def _refuse_what_is_local(parameters: Mapping[str, str]) -> None:
    refused = sorted(name for name in parameters if name in OF_THE_MACHINE)
    if refused:
        raise DatabaseError(f"a connection from a Secret may not set {', '.join(refused)}")
    hosts = [*parameters.get("host", "").split(","), *parameters.get("hostaddr", "").split(",")]
    # An abstract socket begins with @.
    if not any(hosts) or any(host.startswith(("/", "@")) for host in hosts):
        raise DatabaseError("a connection from a Secret needs the name or address of a host")
