"""Advice for one database, made in a worker process: from what was seen to the parts of a status.

It has a connection of its own, for as long as it takes: hypothetical indexes live in a session, and
the looks at the database go on meanwhile.
"""

import math
import time

from foretide.dbadvisor import report_json
from foretide.dbadvisor.advising import advise
from foretide.dbadvisor.caching import to_follow
from foretide.dbadvisor.collecting import Collector
from foretide.dbadvisor.connection import Connection
from foretide.dbadvisor.observed import Observed
from foretide.dbadvisor.report import Advice

from .consulting import Answer, Chosen, Question
from .history import History, beginning, marks_since, with_look, workload
from .summary import summarized
from .watching import APPLICATION


def answer(question: Question) -> Answer:
    """Advice for a database.

    Raises:
        DatabaseAway: nobody answers.
        DatabaseError: not even its version could be read.
    """
    with Connection(question.target, limits=question.limits, application=APPLICATION) as database:
        fresh = Collector(database).collect(time.time())
        seen = observed(with_look(question.history, fresh, (), math.inf))
        advice = advise(database, seen, question.settings)
    return Answer(
        summarized(advice, question.shown),
        report_json.text(advice).encode(),
        _chosen(advice),
        advice.indexes.budget,
        to_follow(seen.workload, seen.snapshot),
    )


def observed(history: History) -> Observed:
    """What advice is made of.

    Raises:
        ValueError: nothing has been seen yet.
    """
    known, before = workload(history), beginning(history)
    assert history.last is not None  # else there would be no workload
    since = "while it was watched" if before is not None else "in all"
    return Observed(
        history.last,
        known,
        f"counted by pg_stat_statements {since}",
        before=before,
        windows=history.stretches,
        activities=history.activities,
        pulses=history.pulses,
        marks=marks_since(history),
    )


def _chosen(advice: Advice) -> tuple[Chosen, ...]:
    """Indexes that the planner was asked about: others are never created by themselves."""
    return tuple(
        Chosen(index.candidate, index.bytes, tuple(change.query for change in index.queries))
        for index in advice.indexes.indexes
        if index.verified
    )
