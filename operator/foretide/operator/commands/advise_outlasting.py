"""Advice that outlasts its database: what took hours to watch is not thrown away for a restart."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from foretide.dbadvisor.connection import Connection
from foretide.dbadvisor.database import Database, DatabaseAway, DatabaseError, Row
from foretide.dbadvisor.observed import Observed
from foretide.dbadvisor.report import Advice
from foretide.dbadvisor.sampling import AGAIN, LONGEST_AWAY

from .advise_observing import Ending
from .telling import note

# It may be our own questions that it does not stand.
MOST_ATTEMPTS = 3

Advise = Callable[[Database, Observed], Advice]


class _Gone:
    """A database that answers nothing any more."""

    def __init__(self, version: int) -> None:
        self.version = version

    def rows(self, statement: str, parameters: Sequence[object] = ()) -> list[Row]:
        raise DatabaseError("the database went away")

    def together(self, statements: Sequence[str]) -> list[list[Row]]:
        raise DatabaseError("the database went away")


def outlasting(
    connection: Connection, observed: Observed, advise: Advise, ending: Ending
) -> Advice:
    """The advice, begun anew once the database is back; if it does not come back, of what was seen
    alone.

    Raises:
        DatabaseAway: it went away, and nothing was watched.
    """
    for _ in range(MOST_ATTEMPTS):
        try:
            return advise(connection, observed)
        except DatabaseAway as error:
            if observed.before is None:
                raise
            note(f"the database went away ({error}): waiting for it; Ctrl-C does without it")
            if not _is_back(connection, ending):
                break
    message = "the database went away before indexes were thought of: this is what was seen of it"
    left = replace(observed, missing=(message, *observed.missing))
    return advise(_Gone(connection.version or observed.snapshot.version), left)


def _is_back(connection: Connection, ending: Ending) -> bool:
    until = time.monotonic() + LONGEST_AWAY
    while not ending.asked:
        try:
            connection.rows("SELECT 1")
            return True
        except DatabaseError:
            if time.monotonic() >= until:
                return False
            ending.sleep(AGAIN)
    return False
