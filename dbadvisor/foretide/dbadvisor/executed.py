"""Single executions of a query, with the constants that each had: what a log or spans tell of."""

from collections.abc import Iterable
from dataclasses import dataclass

from foretide.dbadvisor.nplusone.events import Event
from foretide.dbadvisor.nplusone.texts import fingerprint
from foretide.dbadvisor.snapshot import Workload

Parameters = tuple[str | None, ...]
EXECUTIONS = 50_000  # of one query, the first ones: more tell nothing new


@dataclass(frozen=True, slots=True)
class Execution:
    """When a query was executed (s), and with which constants."""

    at: float
    parameters: Parameters


def executions(events: Iterable[Event], workload: Workload) -> dict[str, list[Execution]]:
    """What a log or spans tell of, in the order of time, by the id of the query in the workload."""
    ids = {fingerprint(query.text): query.id for query in reversed(workload.queries)}
    found: dict[str, list[Execution]] = {}
    for event in sorted(events, key=lambda event: event.at):
        known = ids.get(event.statement.fingerprint)
        if known is not None and len(found.setdefault(known, [])) < EXECUTIONS:
            found[known].append(Execution(event.at, event.parameters))
    return found
