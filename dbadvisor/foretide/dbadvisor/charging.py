"""What writes will take for an index, in the unit of its benefits: milliseconds of the workload."""

from collections.abc import Callable, Iterable, Sequence

from foretide.dbadvisor import upkeep, writes
from foretide.dbadvisor.candidate import Candidate
from foretide.dbadvisor.forms import Form
from foretide.dbadvisor.observed import Observed
from foretide.dbadvisor.uses import Parsed, Unparsed

WRITING = "ModifyTable"

Charge = Callable[[Candidate, float], float]


def charge(
    observed: Observed, forms: Sequence[Form], parsed: Iterable[Parsed | Unparsed]
) -> Charge:
    """For a candidate and its bytes. A workload that was counted writes what was counted with it,
    one out of a file what its statements do.
    """
    understood = tuple(parsed)
    if observed.counted:
        written = writes.written(observed.workload, understood, observed.snapshot, observed.before)
    else:
        written = writes.stated(observed.workload, understood, observed.snapshot)
    known = upkeep.Upkeeps(observed.snapshot, written)
    costs: dict[str, list[float]] = {}
    for form in forms:
        # Of what writes, the planner counts only how the rows are found.
        if form.planned.plan.kind != WRITING:
            costs.setdefault(form.query.id, []).append(form.cost)
    means = {query: sum(some) / len(some) for query, some in costs.items()}
    pace = upkeep.pace(observed.workload, means) if observed.timed else upkeep.USUAL_PACE
    return lambda candidate, size: pace * known.of(candidate, size).cost
