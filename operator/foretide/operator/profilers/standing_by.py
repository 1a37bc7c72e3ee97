"""What Profilers ask for in new pods, as an operator that stands by knows it: it reads, no more.

A Service sends some of the webhook's calls to it, and the leader alone looks after Profilers.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence

from ..api.crds import GROUP, PROFILERS, VERSION
from ..cluster import Cluster, ClusterError, listed
from ..profiling_settings import ProfilingSettings
from ..trying import Trying
from .acting import injection_of, is_for_new_pods
from .admission import Injection
from .door import Pods
from .fleet import ProfilerFleet
from .member import Member
from .reconcile import selector_of

logger = logging.getLogger(__name__)

_PERIOD = 10.0
# For so long what was known while standing by counts for a leader, too: its first ticks come.
_TAKING_OVER = 30.0


class StandBy:
    """Looks now and then, as long as this operator does not lead."""

    def __init__(
        self,
        cluster: Cluster,
        pods: Pods,
        settings: Callable[[], ProfilingSettings],
        namespaces: Iterable[str],
    ) -> None:
        self._cluster = cluster
        self._pods = pods
        self._settings = settings
        self._namespaces = tuple(namespaces)
        self._members: Sequence[Member] = ()
        self._trying = Trying(
            "The webhook does not know the Profilers",
            "The webhook knows the Profilers again.",
            logger,
        )

    async def keep(self, leads: Callable[[], bool]) -> None:
        """Look again and again until this operator leads."""
        while not leads():
            await self._trying.once(self._look_if_served)
            await asyncio.sleep(_PERIOD)
        await asyncio.sleep(_TAKING_OVER)
        self._members = ()

    async def _look_if_served(self) -> None:
        if self._settings().webhook is not None:
            await self.look()

    async def look(self) -> None:
        """Find out which Profilers want new pods.

        Raises:
            ClusterError: the API server does not say what there is; what was known stays.
        """
        items = listed(self._cluster, f"{GROUP}/{VERSION}", PROFILERS, self._namespaces)
        members = [Member.from_body(item) async for item in items]
        users: dict[str, str] = {}
        for member in members:
            users.update(member.users)
        found = [it for it in members if is_for_new_pods(it.spec)]
        for member in found:
            member.users = users  # what one has learned of an image holds for all
            try:
                await selector_of(self._pods, member)
            except ClusterError as error:
                if error.status != 404:
                    raise
        self._members = found

    def injections(self, fleet: ProfilerFleet) -> list[Injection]:
        """What they ask for, without those that the fleet knows more of."""
        known = {(it.namespace, it.name) for it in fleet if it.match_labels}
        found = [
            injection_of(it, self._settings())
            for it in self._members
            if (it.namespace, it.name) not in known
        ]
        return [it for it in found if it is not None]
