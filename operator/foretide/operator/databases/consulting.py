"""What advice is asked for, and what comes back: the operator's side of it.

It is made in a worker process (`advising.py`): what it takes is never imported by the operator's
own process, which would have to hold it in memory for good.
"""

from dataclasses import dataclass
from typing import Any

from foretide.dbadvisor.candidate import Candidate
from foretide.dbadvisor.connection import Limits, Target
from foretide.dbadvisor.observed import Settings

from .history import History

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Question:
    """What advice is asked for. `history` may be `lightened`: what is there now is looked at anew.
    `shown`: findings of each kind at the most.
    """

    target: Target
    limits: Limits
    history: History
    settings: Settings
    shown: int


@dataclass(frozen=True, slots=True)
class Chosen:
    """An index of the advice that the planner was asked about, with its expected bytes and the
    queries (ids) that it is for.
    """

    candidate: Candidate
    bytes: float
    queries: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """`parts` of a status, and the whole advice as JSON. `chosen` are the indexes to create, best
    first, within `budget` bytes. `closer`: statements (queryids) to look at more closely until the
    next advice.
    """

    parts: Json
    report: bytes
    chosen: tuple[Chosen, ...] = ()
    budget: float = 0.0
    closer: tuple[int, ...] = ()


def consult(question: Question) -> Answer:
    """Advice for a database, in a worker. Raises as `advising.answer` does."""
    from .advising import answer

    return answer(question)
