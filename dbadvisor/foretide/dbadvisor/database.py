"""The door to PostgreSQL: one connection that can read only, and never waits for long."""

from collections.abc import Sequence
from typing import Any, Protocol

Row = tuple[Any, ...]
# What a connection puts before our own statements, so that they can be told from the workload.
MARK = "/* foretide */ "


class DatabaseError(Exception):
    """PostgreSQL refused a statement. `code` is its SQLSTATE, `position` that in the statement
    (characters, from 1) where it is known. Never holds a password.
    """

    def __init__(self, message: str, code: str = "", position: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.position = position


class DatabaseAway(DatabaseError):
    """The server cannot be reached, or the connection is lost: try again later."""


class Database(Protocol):
    """Runs statements, each in a read-only transaction of its own that is rolled back."""

    version: int  # server_version_num

    def rows(self, statement: str, parameters: Sequence[object] = ()) -> list[Row]:
        """The rows that come back. `parameters` stand for `%s`.

        Raises:
            DatabaseError: it was refused.
            DatabaseAway: nobody answers.
        """
        ...

    def together(self, statements: Sequence[str]) -> list[list[Row]]:
        """Statements without parameters, one after the other in one transaction that is rolled
        back: for settings that must hold for the next one.

        Raises:
            as `rows` does.
        """
        ...
