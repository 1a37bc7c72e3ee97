"""A DatabaseAdvisor's conditions and status, from what is known of its database. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from foretide.dbadvisor import locks
from foretide.dbadvisor.locks import Blocker
from foretide.dbadvisor.nplusone.texts import normalize
from foretide.dbadvisor.snapshot import Snapshot

from ..api.databaseadvisor import AdvisorMode, DatabaseAdvisorSpec
from ..api.databaseadvisor_status import BlockerStatus
from ..conditions import READY, Condition, timestamp
from . import applied, news
from .applying import condition
from .figures import figure, shortened
from .member import ADVISED, Member

Json = dict[str, Any]

COLLECTED = "Collected"
COMPLETE = "Complete"
ADVISED_TYPE = "Advised"

# Seconds that sessions have waited for one, all together: shorter waits are the normal course.
LEAST_WAIT = 5.0
# What moves on with each look is written this often, in seconds; what people notice, at once.
_FRESH = 600.0
_HIDDEN = "(not shown"


def conditions(member: Member, spec: DatabaseAdvisorSpec) -> list[Condition]:
    """All conditions, the most telling first."""
    collected = _collected(member, spec)
    advised = _advised(member, spec)
    told = [_ready(spec, collected, advised), collected, advised]
    last = member.history.last
    if last is not None and member.trouble is None and not spec.suspend:
        told.append(_complete(last))
    if (applying := condition(member, spec)) is not None:
        told.append(applying)
    return told


def _ready(spec: DatabaseAdvisorSpec, collected: Condition, advised: Condition) -> Condition:
    if spec.suspend or collected.holds is not True:
        holds = True if spec.suspend else collected.holds
        return Condition(READY, holds, collected.reason, collected.message)
    if advised.holds is not True:
        return Condition(READY, advised.holds, advised.reason, advised.message)
    reason = "Applying" if spec.mode is AdvisorMode.APPLY else "Recommending"
    return Condition(READY, True, reason, "")


def _collected(member: Member, spec: DatabaseAdvisorSpec) -> Condition:
    if spec.suspend:
        return Condition(COLLECTED, None, "Suspended", "nothing is looked at, as asked for")
    if member.trouble is not None:
        return Condition(COLLECTED, False, member.trouble.reason, member.trouble.message)
    if member.history.last is None:
        return Condition(COLLECTED, None, "Connecting", "the first look is being taken")
    return Condition(COLLECTED, True, "Collected", "")


def _advised(member: Member, spec: DatabaseAdvisorSpec) -> Condition:
    if member.failure is not None:
        return Condition(ADVISED_TYPE, False, member.failure[0].reason, member.failure[0].message)
    if member.parts:
        return Condition(ADVISED_TYPE, True, "Advised", "")
    if spec.suspend:
        return Condition(ADVISED_TYPE, None, "Suspended", "nothing is looked at, as asked for")
    if member.consulting is not None:
        return Condition(ADVISED_TYPE, None, "Thinking", "the first advice is being made")
    return Condition(ADVISED_TYPE, None, "TooFewLooks", "advice comes after the second look")


def _complete(last: Snapshot) -> Condition:
    """Whether all that advice is made of could be read. What is missing is a remark: advice is
    given all the same.
    """
    if "hypopg" not in last.extensions:
        hypopg = (
            "the planner cannot be asked about indexes: install HypoPG, and run CREATE EXTENSION "
            "hypopg in this database"
        )
        missing = (*last.missing, hypopg)
    else:
        missing = last.missing
    if not missing:
        return Condition(COMPLETE, True, "Complete", "")
    said = "; ".join(missing)
    if any("GRANT " in text for text in missing):
        reason = "PermissionMissing"
    elif any("CREATE EXTENSION" in text for text in missing):
        reason = "ExtensionMissing"
    else:
        reason = "PartsMissing"
    return Condition(COMPLETE, False, reason, shortened(said))


def status(member: Member, spec: DatabaseAdvisorSpec) -> Json:
    """All of a status but `observedGeneration` and the conditions; what is not known is None."""
    last, place = member.history.last, member.place
    known: Json = {**dict.fromkeys(ADVISED), **member.parts}
    waits = blockers(member)
    counts = {**member.counts, "blockers": len(waits)}
    shown = [_blocker(each) for each in waits[: spec.findings]]
    looked = last is not None
    return {
        **known,
        "database": last.database if last else member.status.get("database"),
        "version": _version(last.version) if last else member.status.get("version"),
        "host": f"{place.host}:{place.port}" if place else None,
        "lastCollected": timestamp(last.at) if last else member.status.get("lastCollected"),
        "watchedSince": timestamp(member.history.since) if looked else None,
        "counts": counts,
        "blockers": shown or None,
        "applied": applied.shown(member.state),
        "memory": applied.remembered(member.state),
        "followed": applied.followed(member.theirs, member.proposals),
        "followedMemory": applied.remembered_of_others(member.theirs),
    }


def blockers(member: Member) -> Sequence[Blocker]:
    """Whom others have waited for at the last look, for longer than is usual."""
    if member.trouble is not None or not member.history.activities:
        return ()
    found = locks.blockers(member.history.activities[-1])
    return [each for each in found if each.cost >= LEAST_WAIT]


def without_constants(statement: str) -> str:
    """The text of a statement as a status may show it: its constants may be anybody's secrets."""
    if statement.startswith(_HIDDEN):
        return statement
    return shortened(normalize(statement).text)


def _blocker(each: Blocker) -> Json:
    first = each.victims[0].wants if each.victims else ""
    model = BlockerStatus(
        pid=each.pid,
        state=each.state,
        statement=without_constants(each.statement),
        application=shortened(each.application, 63) or None,
        user=each.user or None,
        waiting=len(each.victims),
        waited_seconds=figure(each.cost),
        wants=first,
        remedy=each.remedy,
    )
    return model.model_dump(by_alias=True, mode="json", exclude_none=True)


def _version(number: int) -> str:
    return f"{number // 10_000}.{number % 10_000}"


def noticeable(status: Mapping[str, Any]) -> Any:
    """What a person would notice of a status, to compare with that of the last one written."""
    return (
        status.get("observedGeneration"),
        status.get("database"),
        status.get("version"),
        (status.get("advice") or {}).get("at"),
        news.keys(status),
        [(it["name"], it["state"]) for it in status.get("applied") or ()],
        [(it["name"], it["state"]) for it in status.get("followed") or ()],
        [(it["type"], it["status"], it["reason"]) for it in status.get("conditions") or ()],
    )


def is_stale(age: float) -> bool:
    """Whether figures that moved on are worth a write, so many seconds after the last one."""
    return age >= _FRESH
