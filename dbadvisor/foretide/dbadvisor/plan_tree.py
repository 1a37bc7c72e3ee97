"""What the planner means to do: EXPLAIN's JSON as typed, immutable nodes."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from foretide.dbadvisor.snapshot import Relation


class NoPlan(Exception):
    """This is not what EXPLAIN (FORMAT JSON) answers."""


@dataclass(frozen=True, slots=True)
class Node:
    """A step of a plan. `rows` is the planner's estimate for one execution of the step, costs are
    in its units and include the children's. `relationship` is that to the parent: Outer, Inner,
    InitPlan, SubPlan, Member. `removed_subplans`: partitions that were left out at the start.
    """

    kind: str  # EXPLAIN's "Node Type"
    startup_cost: float
    total_cost: float
    rows: float
    width: int
    relation: Relation | None = None
    alias: str | None = None
    index: str | None = None
    filter: str | None = None
    index_condition: str | None = None
    join_type: str | None = None
    relationship: str | None = None
    subplan: str | None = None
    sort_key: tuple[str, ...] = ()
    removed_subplans: int = 0
    children: tuple["Node", ...] = ()

    def walk(self) -> Iterator["Node"]:
        """This node and all below, each before its children."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(reversed(node.children))

    @property
    def indexes(self) -> tuple[str, ...]:
        """Names of the indexes that are used, sorted."""
        return tuple(sorted({node.index for node in self.walk() if node.index is not None}))


def read(answer: object) -> Node:
    """The plan in EXPLAIN's answer: JSON, or what was already read from it.

    Without VERBOSE the schema of a table is not told and stays empty.

    Raises:
        NoPlan: it is something else.
    """
    try:
        given: Any = json.loads(answer) if isinstance(answer, str | bytes) else answer
        top = given[0] if isinstance(given, list) else given
        return _node(top["Plan"])
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise NoPlan(f"no plan in what EXPLAIN answered ({type(error).__name__})") from None


def _node(given: Mapping[str, Any]) -> Node:
    name = given.get("Relation Name")
    condition = given.get("Index Cond") or given.get("Recheck Cond") or given.get("TID Cond")
    return Node(
        kind=given["Node Type"],
        startup_cost=float(given["Startup Cost"]),
        total_cost=float(given["Total Cost"]),
        rows=float(given["Plan Rows"]),
        width=int(given["Plan Width"]),
        relation=Relation(given.get("Schema", ""), name) if name else None,
        alias=given.get("Alias"),
        index=given.get("Index Name"),
        filter=given.get("Filter"),
        index_condition=condition,
        join_type=given.get("Join Type"),
        relationship=given.get("Parent Relationship"),
        subplan=given.get("Subplan Name"),
        sort_key=tuple(given.get("Sort Key", ())),
        removed_subplans=int(given.get("Subplans Removed", 0)),
        children=tuple(_node(child) for child in given.get("Plans", ())),
    )
