"""The door to PostgreSQL: one connection that can read only, and never waits for long."""

import re
from collections.abc import Sequence
from typing import Any, Protocol

Row = tuple[Any, ...]
# What a connection puts into our own statements, so that they can be told from the workload.
MARK = " /* foretide */ "
_FIRST_WORD = re.compile(r"\s*\w*")
_MARKED = re.compile(rf"{_FIRST_WORD.pattern}\s*{re.escape(MARK.strip())}")


def marked(statement: str) -> str:
    """With the mark behind its first word: PostgreSQL 18 keeps no comment before a statement."""
    found = _FIRST_WORD.match(statement)
    place = found.end() if found is not None else 0
    return statement[:place] + MARK + statement[place:]


def is_ours(statement: str) -> bool:
    """Whether it has the mark, as the server shows it."""
    return _MARKED.match(statement) is not None


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
