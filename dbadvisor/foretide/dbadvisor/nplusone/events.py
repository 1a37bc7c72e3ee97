"""What was seen of single executions of statements, whatever it was seen in."""

from dataclasses import dataclass

from foretide.dbadvisor.nplusone.texts import Normalized, normalize


@dataclass(frozen=True, slots=True)
class Event:
    """One execution. `at`: when it began, Unix seconds; `seconds`: how long it took.

    `session` is what sent one statement after the other: a backend, or a trace. `transaction` is
    "" where the statement was a transaction of its own, or that is not known. `pool` is what
    sessions have in common that one client may use in turn: database, user and application.
    `parameters` belong to the `$n` of `statement.text`.
    """

    at: float
    seconds: float
    session: str
    transaction: str
    pool: str
    statement: Normalized
    parameters: tuple[str | None, ...] = ()

    @property
    def end(self) -> float:
        return self.at + self.seconds


def event(
    text: str,
    *,
    at: float,
    seconds: float = 0.0,
    session: str = "",
    transaction: str = "",
    pool: str = "",
    parameters: tuple[str | None, ...] = (),
) -> Event:
    """An execution of `text`, whose own `$n` had the values `parameters`."""
    statement = normalize(text)
    return Event(at, seconds, session, transaction, pool, statement, statement.values(parameters))
