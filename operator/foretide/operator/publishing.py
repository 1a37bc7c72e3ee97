"""What a tick has to tell: status, if a person would notice the change, and Events for conditions.

For kinds whose status is written as a whole.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from . import conditions as api_conditions
from . import verdict
from .api.crds import GROUP, VERSION
from .cluster import Cluster, ClusterError
from .conditions import Condition
from .ticking import Announce, Body, Gone

logger = logging.getLogger(__name__)

Json = dict[str, Any]

_LONGEST_EVENT = 1_000


class Published(Protocol):
    """What is remembered of what was told: the `status` as it stands, when it was written (Unix
    seconds), what of it a person has seen, and the conditions that Events have told of.
    """

    namespace: str
    name: str
    body: Body
    generation: int | None
    status: Json
    written_at: float
    noticed: Any
    announced: dict[str, tuple[str, str]]


async def publish(
    member: Published,
    fresh: Json,
    told: Sequence[Condition],
    *,
    plural: str,
    cluster: Cluster,
    announce: Announce,
    noticeable: Callable[[Mapping[str, Any]], Any],
    is_stale: Callable[[float], bool],
    now: float,
) -> bool:
    """Write a status and post Events, but only what is news. Whether it could be written, if it was
    to be.

    `fresh` is all of a status but the generation and the conditions, which are `told`; keys set to
    None are removed. `noticeable` picks what a person would notice, `is_stale` says whether other
    changes are worth a write so many seconds after the last one.

    Raises:
        Gone: the resource does not exist any more.
    """
    said: set[str] = set()
    for one in verdict.news(member.announced, told):
        if one.message in said:  # several conditions may have one cause
            continue
        said.add(one.message)
        announce(
            member.body,
            kind="Warning" if one.is_bad else "Normal",
            reason=one.reason,
            message=one.message[:_LONGEST_EVENT] or one.reason,
        )
    fresh["observedGeneration"] = member.generation
    fresh["conditions"] = api_conditions.merge(
        member.status.get("conditions") or (), told, generation=member.generation, now=now
    )
    noticed = noticeable(fresh)
    stale = is_stale(now - member.written_at)
    if noticed == member.noticed and not (stale and _differs(member.status, fresh)):
        return True
    root = f"/apis/{GROUP}/{VERSION}/namespaces/{member.namespace}/{plural}"
    path = f"{root}/{member.name}/status"
    try:
        await cluster.request(
            "PATCH", path, {"status": fresh}, content_type="application/merge-patch+json"
        )
    except ClusterError as error:
        if error.status == 404:
            raise Gone from None
        logger.warning(
            "%s/%s: status not written: %s", member.namespace, member.name, error.message
        )
        return False
    member.status = {**member.status, **fresh}
    member.noticed, member.written_at = noticed, now
    return True


def _differs(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    return any(before.get(key) != value for key, value in after.items())
