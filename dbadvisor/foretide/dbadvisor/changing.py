"""The one door through which a database is changed: indexes are created and dropped, nothing else.

Its connection is its own, as CREATE INDEX CONCURRENTLY cannot run in a transaction, and lives for
one step. A build goes on in the server when whoever asked for it ends; `builds.py` sees it then.
"""

import contextlib
import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import psycopg

from foretide.dbadvisor.applying import Outcome
from foretide.dbadvisor.applying_steps import Create, Rest, Step
from foretide.dbadvisor.connection import Limits, Target, connected, told
from foretide.dbadvisor.database import DatabaseError, marked
from foretide.dbadvisor.verifying import Trial, regressions

ALLOWED = re.compile(
    r"(?:CREATE (?:UNIQUE )?INDEX|DROP INDEX|ALTER INDEX|COMMENT ON INDEX)\s"
    r"|SET lock_timeout = '[0-9]+s'$|RESET lock_timeout$"
)
OVER = "57014"  # query_canceled, as PostgreSQL calls it


class Changing(Protocol):
    """Changes indexes."""

    def run(self, statements: Sequence[str], seconds: float) -> None:
        """Each by itself, outside a transaction, until one fails; `seconds` for all of them.

        Raises:
            DatabaseError: one was refused, or ended after `seconds`.
            DatabaseAway: nobody answers.
        """
        ...


class Changer:
    """The real one. To go through a pooler that gives each transaction another session would lose
    the timeouts: connect to the server itself.
    """

    def __init__(
        self,
        target: Target | str | Mapping[str, str],
        *,
        application: str = "foretide apply",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Does not connect yet.

        Raises:
            DatabaseError: the target cannot be read.
        """
        self.target = target if isinstance(target, Target) else Target(target)
        self._application = application
        self._clock = clock

    def run(self, statements: Sequence[str], seconds: float) -> None:
        """See `Changing.run`.

        Raises:
            ValueError: a statement does something else than to change indexes.
        """
        for statement in statements:
            if not ALLOWED.match(statement):
                raise ValueError(f"this changes more than an index: {statement[:60]}")
        end = self._clock() + seconds
        connection = connected(self.target, self._application, Limits().connect)
        with contextlib.closing(connection):
            try:
                for statement in statements:
                    left = math.floor(1000 * (end - self._clock()))
                    if left <= 0:
                        raise DatabaseError("the time for it was over", OVER)
                    connection.execute(f"SET statement_timeout = {left}".encode())
                    # With a binary answer psycopg uses the protocol that takes one statement only.
                    connection.execute(marked(statement).encode(), binary=True)
            except (psycopg.Error, UnicodeError) as error:
                raise told(self.target, error, connection) from None


# Runs queries, given by their ids, to see how long they take; the last: anew, whatever is known.
Attempt = Callable[[Sequence[str], bool], Mapping[str, Trial]]


def perform(
    step: Step,
    changing: Changing,
    attempt: Attempt | None = None,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Outcome:
    """Takes a step, which may last as long as its `seconds`. What fails is in the outcome.

    With `attempt`, such as `trying.Trier` on texts with constants, queries are run before and
    after an index is created, so that nobody has to suffer first.
    """
    if isinstance(step, Rest):
        return Outcome(0.0)
    begun = clock()
    try:
        if isinstance(step, Create) and attempt is not None:
            return _created(step, changing, attempt, clock)
        changing.run(step.statements, step.seconds)
    except DatabaseError as error:
        return Outcome(clock() - begun, str(error), error.code)
    return Outcome(clock() - begun)


def _created(
    step: Create, changing: Changing, attempt: Attempt, clock: Callable[[], float]
) -> Outcome:
    asked = clock()
    before = attempt(step.queries, False)
    begun = clock()
    # What the runs took is gone from the time until the window ends.
    changing.run(step.statements, step.seconds - (begun - asked))
    seconds = clock() - begun
    after = attempt(step.queries, False)
    suspects = [each.query for each in regressions(before, after, step.names) if each.indexes]
    # What looks slower is run once more.
    again = {**after, **attempt(suspects, True)} if suspects else after
    slower = [each for each in regressions(before, again, step.names) if each.indexes]
    return Outcome(seconds, slower=tuple(each for each in slower if each.query in suspects))
