"""What `mode: Apply` has done, in status: to be read by people, and by the next operator. Pure."""

import contextlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from foretide.dbadvisor.applying_state import Applied, State, decoded, encoded
from foretide.dbadvisor.verdicts import Change, Watch

from ..api.databaseadvisor_status import MOST_APPLIED, MOST_QUERIES, AppliedStatus, JudgedStatus
from ..conditions import timestamp
from .figures import figure, quantity, shortened

Json = dict[str, Any]

# Without its memory an operator finds its indexes again by their comments, and goes on.
MOST_BYTES = 200_000
MOST_BYTES_OF_OTHERS = 100_000


def shown(state: State) -> list[Json] | None:
    """The newest, for people."""
    newest = sorted(state, key=lambda each: (-each.since, each.name))[:MOST_APPLIED]
    return [_one(each) for each in newest] or None


def followed(state: State, proposals: Mapping[str, Sequence[str]]) -> list[Json] | None:
    """Indexes of others, with the statements of what is proposed."""
    newest = [_one(each) for each in state[:MOST_APPLIED]]
    for one in newest:
        if one["name"] in proposals:
            one["statements"] = list(proposals[one["name"]])
    return newest or None


def remembered(state: State) -> str | None:
    """All of it, for `recalled`."""
    if not state:
        return None
    text = _packed(state)
    return text if len(text) <= MOST_BYTES else None


def remembered_of_others(state: State) -> str | None:
    """Of the indexes of others as many as there is room for, the newest first: what is forgotten
    cannot be found again, as nothing in the database says since when there is an index.
    """
    while state and (text := _packed(state)):
        if len(text) <= MOST_BYTES_OF_OTHERS:
            return text
        state = state[:-1]
    return None


def recalled(status: Mapping[str, Any]) -> State:
    """What a status remembers; nothing where somebody has edited it."""
    return _unpacked(status.get("memory"))


def recalled_of_others(
    status: Mapping[str, Any],
) -> tuple[State, Mapping[str, tuple[str, ...]]]:
    """What a status remembers of the indexes of others, and the statements that it proposes."""
    proposals: dict[str, tuple[str, ...]] = {}
    for one in status.get("followed") or ():
        with contextlib.suppress(AttributeError, KeyError, TypeError):  # anybody may edit it
            if statements := one.get("statements"):
                proposals[str(one["name"])] = tuple(str(each) for each in statements)
    return _unpacked(status.get("followedMemory")), proposals


def _packed(state: State) -> str:
    return json.dumps(encoded(state), separators=(",", ":"), sort_keys=True)


def _unpacked(text: Any) -> State:
    try:
        return decoded(json.loads(text or "[]"))
    except (ValueError, TypeError):
        return ()


def _one(each: Applied) -> Json:
    told = [it for it in each.watches if it.change in (Change.FASTER, Change.SLOWER)]
    model = AppliedStatus(
        name=str(each.index),
        table=str(each.candidate.table),
        state=str(each.phase),
        at=timestamp(each.since),
        size=quantity(each.bytes),
        message=shortened(each.reason),
        queries=[_judged(it) for it in told[:MOST_QUERIES]] or None,
    )
    return model.model_dump(by_alias=True, mode="json", exclude_none=True)


def _judged(watch: Watch) -> JudgedStatus:
    before = watch.before.mean
    return JudgedStatus(
        id=watch.query,
        before_ms=figure(before),
        after_ms=figure(before * watch.ratio),
        change=str(watch.change),
    )
