"""Which findings are new, and what an Event says of them. Pure.

A finding is known by what a person would call it: an index by its name, a query by its text.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]

# Of one kind, so many are named in an Event.
_NAMED = 3
_LONGEST = 160
# So many findings are remembered of each kind; then only those that are there now.
_MOST_KNOWN = 1_000


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of finding: the Event's reason, what to call several of them, what tells one from the
    next, and what is said of one. `lasts`: one that was told of need not be told of again when it
    comes back.
    """

    reason: str
    called: str
    key: Callable[[Json], str]
    say: Callable[[Json], str]
    warning: bool = False
    lasts: bool = True


@dataclass(frozen=True, slots=True)
class News:
    """What an Event is to say."""

    reason: str
    message: str
    warning: bool


KINDS: Mapping[str, Kind] = {
    "indexes": Kind(
        "IndexAdvised",
        "indexes to create",
        lambda it: str(it["name"]),
        lambda it: f"{it['name']} on {it['table']} ({_gain(it)})",
    ),
    "drops": Kind(
        "DropAdvised",
        "indexes to drop",
        lambda it: str(it["name"]),
        lambda it: f"{it['name']}: {it['message']} ({it['size']})",
    ),
    "repeats": Kind(
        "RepeatFound",
        "N+1",
        lambda it: str(it["lookUp"]),
        lambda it: f"{it['calls']} times {it['lookUp'][:_LONGEST]}",
    ),
    "caches": Kind(
        "CacheAdvised",
        "queries worth caching",
        lambda it: str(it["id"]),
        lambda it: f"{it['text'][:_LONGEST]} for {it['ttl']}, {it['hitPercent']} % of its reads",
    ),
    "distribution": Kind(
        "DistributionFound",
        "findings about tables",
        lambda it: f"{it['kind']} {it['relation']} {it.get('column') or ''}",
        lambda it: f"{it['kind']} {it['relation']}: {it['message'][:_LONGEST]}",
    ),
    "blockers": Kind(
        "BlockerFound",
        "sessions that others wait for",
        lambda it: str(it["statement"]),
        lambda it: f"{it['waiting']} wait for {it['state']} {it['statement'][:_LONGEST]}",
        warning=True,
        lasts=False,
    ),
}


def keys(status: Json) -> dict[str, set[str]]:
    """What tells the findings of a status apart, by kind. A status may be edited by anybody: what
    cannot be read is left out.
    """
    found = {}
    for name, kind in KINDS.items():
        some = [_key(kind, one) for one in status.get(name) or ()]
        found[name] = {key for key in some if key is not None}
    found["applied"] = {
        f"{it.get('name')} {it.get('state')}"
        for it in (*(status.get("applied") or ()), *(status.get("followed") or ()))
        if isinstance(it, dict)
    }
    return found


def news(known: dict[str, set[str]], status: Json) -> list[News]:
    """What is new in a status; `known` is brought up to date."""
    told = []
    current = keys(status)
    for name, kind in KINDS.items():
        before = known.get(name, set())
        fresh = [it for it in status.get(name) or () if _key(kind, it) not in (None, *before)]
        if fresh:
            told.append(News(kind.reason, _message(kind, fresh), kind.warning))
        both = before | current[name]
        known[name] = both if kind.lasts and len(both) <= _MOST_KNOWN else current[name]
    return told + _applied(known, status)


# What an Event is called, by the state that an index has come into; those marked are Warnings.
STATES: Mapping[str, tuple[str, bool]] = {
    "Building": ("IndexBuilding", False),
    "Verifying": ("IndexCreated", False),
    "Kept": ("IndexKept", False),
    "Unproven": ("IndexUnproven", False),
    "Reverting": ("IndexHarmful", True),
    "Reverted": ("IndexReverted", False),
    "Failed": ("IndexFailed", True),
    "Gone": ("IndexGone", False),
}


def _applied(known: dict[str, set[str]], status: Json) -> list[News]:
    """What has become of the indexes that were created."""
    both = (*(status.get("applied") or ()), *(status.get("followed") or ()))
    states = {f"{it['name']} {it['state']}": it for it in both}
    before = known.get("applied", set())
    known["applied"] = set(states)
    told = []
    for key, one in states.items():
        if key not in before and one["state"] in STATES:
            reason, warning = STATES[one["state"]]
            message = f"{one['name']}: {one.get('message') or one['state']}"
            told.append(News(reason, message, warning))
    return told


def _key(kind: Kind, finding: Json) -> str | None:
    try:
        return kind.key(finding)
    except (KeyError, TypeError):
        return None


def _message(kind: Kind, fresh: Sequence[Json]) -> str:
    named = "; ".join(kind.say(it) for it in fresh[:_NAMED])
    rest = len(fresh) - _NAMED
    more = f"; and {rest} more" if rest > 0 else ""
    return f"New {kind.called}: {named}{more}"


def _gain(index: Json) -> str:
    saved = index.get("savedPercent")
    return str(index["size"]) + (f", saves {saved} % of the time" if saved is not None else "")
