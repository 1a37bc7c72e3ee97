"""The texts of a query that are planned: its own, and those with constants that are known of it.

A generic plan is that for any value. Where constants are known, plans for them count as much: only
these can use a partial index, and only these show a value that most rows have.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from foretide.dbadvisor import planning, questions, sql_text
from foretide.dbadvisor.database import Database
from foretide.dbadvisor.planning import Planned, Unplanned
from foretide.dbadvisor.snapshot import Query, Snapshot
from foretide.dbadvisor.uses import Parsed, Unparsed
from foretide.dbadvisor.whatif import Question

MOST_SAMPLES = 3
# A text that had none of these is the same for every call.
_PARAMETER = "$"
# A unit of the planner's cost, in milliseconds: a page that is read in its turn, out of memory.
# Where nothing was timed, it makes shares comparable, and no more than that.
UNIT_MS = 0.01


@dataclass(frozen=True, slots=True)
class Form:
    """A planned text of `query`: `number` 0 is its own, others are its samples in their order.
    `ms` is the time of the workload that it stands for.
    """

    query: Query
    number: int
    planned: Planned
    ms: float

    @property
    def id(self) -> str:
        return self.planned.query.id

    @property
    def cost(self) -> float:
        """As the indexes are now."""
        return self.planned.plan.total_cost


def plan(
    database: Database,
    queries: Sequence[Query],
    schemas: Iterable[str],
    *,
    told: Callable[[int], None] = lambda done: None,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[list[Form], list[Unplanned]]:
    """Plans all forms of each query; one that cannot be planned stops no other. `told` how many are
    done; once `stop` says so, the rest is left out.

    Raises:
        DatabaseAway: the server does not answer.
    """
    others = tuple(schemas)
    forms: list[Form] = []
    unplanned: list[Unplanned] = []
    for done, query in enumerate(queries):
        if stop():
            unplanned.append(Unplanned(query.id, "the work was ended before it was planned"))
            continue
        told(done)
        results = [
            (number, planning.plan(database, replace(query, id=name, text=text), others))
            for number, (name, text) in enumerate(_texts(query))
        ]
        made = [(number, one) for number, one in results if isinstance(one, Planned)]
        forms += [Form(query, number, one, query.total_ms / len(made)) for number, one in made]
        if not made:
            unplanned.append(next(one for _, one in results if isinstance(one, Unplanned)))
    return forms, unplanned


def _texts(query: Query) -> list[tuple[str, str]]:
    """The forms' names and texts."""
    found = [(query.id, query.text)]
    if _PARAMETER in query.text:
        known = {sql_text.collapsed(query.text)}
        for sample in query.samples:
            if len(found) <= MOST_SAMPLES and sql_text.collapsed(sample) not in known:
                known.add(sql_text.collapsed(sample))
                found.append((f"{query.id}/{len(found)}", sample))
    return found


def asked(
    snapshot: Snapshot, forms: Sequence[Form], parsed: Iterable[Parsed | Unparsed]
) -> list[Question]:
    """A question for each form. `parsed` are the queries'."""
    known = {each.id: each for each in parsed}
    of_forms = [
        replace(known[form.query.id], id=form.id) for form in forms if form.query.id in known
    ]
    made = questions.questions(snapshot, [form.planned for form in forms], of_forms)
    return [
        replace(question, source=form.query.id) for question, form in zip(made, forms, strict=True)
    ]


def weights(forms: Iterable[Form]) -> Mapping[str, float]:
    """Milliseconds of the workload for each unit of a form's cost: what a lower cost would save."""
    return {form.id: form.ms / form.cost if form.cost > 0 else 0.0 for form in forms}


def timed_by_cost(forms: Sequence[Form]) -> list[Form]:
    """The same for queries that nobody has timed: with the time that their costs stand for."""
    number = Counter(form.query.id for form in forms)
    ms = [form.query.calls * form.cost * UNIT_MS / number[form.query.id] for form in forms]
    total: dict[str, float] = defaultdict(float)
    for form, each in zip(forms, ms, strict=True):
        total[form.query.id] += each
    return [
        replace(form, ms=each, query=replace(form.query, total_ms=total[form.query.id]))
        for form, each in zip(forms, ms, strict=True)
    ]
