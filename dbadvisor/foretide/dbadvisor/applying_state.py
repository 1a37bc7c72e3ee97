"""What `mode: Apply` has done so far: kept in the resource's status, so that it survives restarts.

What is there is also found in the database: each index that Foretide has created says so in its
comment, with the name of the resource that it was created for. Nothing else is ever dropped.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from pydantic import TypeAdapter, ValidationError

from foretide.dbadvisor.candidate import Candidate
from foretide.dbadvisor.snapshot import Relation
from foretide.dbadvisor.verdicts import Watch

COMMENT = "foretide: created for "


class Phase(StrEnum):
    """Named as in the DatabaseAdvisor's status."""

    BUILDING = "Building"
    VERIFYING = "Verifying"
    KEPT = "Kept"
    UNPROVEN = "Unproven"  # it stays, as nobody could tell what it does
    REVERTING = "Reverting"
    REVERTED = "Reverted"
    FAILED = "Failed"
    GONE = "Gone"  # somebody else dropped it


# There is such an index, or there may be.
LIVE = frozenset({Phase.BUILDING, Phase.VERIFYING, Phase.KEPT, Phase.UNPROVEN, Phase.REVERTING})


@dataclass(frozen=True, slots=True)
class Applied:
    """One index, `name` in its table's schema. Moments are Unix seconds: `begun`, when its first
    build was; `since`, when it came into its `phase`; `tried`, when the last of `attempts` began.
    `bytes` are expected ones until it is built; `seconds`: how long that took, None if nobody saw
    it. `watches` are the queries under watch while it is verified, then those that have changed.
    """

    name: str
    candidate: Candidate
    phase: Phase
    begun: float
    since: float
    tried: float
    bytes: float = 0.0
    attempts: int = 0
    seconds: float | None = None
    reason: str = ""
    watches: tuple[Watch, ...] = ()

    @property
    def index(self) -> Relation:
        return Relation(self.candidate.table.schema, self.name)


State = tuple[Applied, ...]


def comment(owner: str) -> str:
    """What an index says of itself. `owner` is the resource's name, with its namespace."""
    return COMMENT + owner


def encoded(state: Iterable[Applied]) -> list[dict[str, Any]]:
    """As JSON's types, for `decoded`."""
    return [asdict(each) for each in state]


def decoded(given: Sequence[Mapping[str, Any]]) -> State:
    """The state again.

    Raises:
        ValueError: this was not made by `encoded`; what is in the database is still found there.
    """
    try:
        return _STATE.validate_python(given)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"])
        raise ValueError(f"this is no state of applied indexes: {place}: {first['msg']}") from None


_STATE = TypeAdapter(State)
