"""Everything about DatabaseAdvisors that an operator runs."""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterable

from ..api.crds import DATABASE_ADVISORS
from ..cluster import Cluster
from ..settings import SettingsHolder
from ..telemetry import Telemetry
from ..thinking import Thinker
from ..ticking import Announce, take_census
from ..trying import Trying
from .applying import Applier
from .archive import ReportKeeper
from .consulting import consult
from .fleet import AdvisorFleet
from .reconcile import AdvisorReconciler
from .targets import resolved

logger = logging.getLogger(__name__)

# Seconds between two looks for resources: while no watch has told of any, and after that.
_SOON, _LATER = 5.0, 60.0
# An advice that takes longer is given up: thousands of queries on hundreds of tables take minutes.
_LONGEST_ADVICE = 1_800.0


class Databases:
    """The fleet of DatabaseAdvisors, and what goes with it. They get advice one by one."""

    def __init__(
        self,
        cluster: Cluster,
        settings: SettingsHolder,
        *,
        announce: Announce,
        may_write: Callable[[], bool],
        telemetry: Telemetry,
        namespaces: Iterable[str] = (),
    ) -> None:
        """`may_write` says whether this operator leads; without that nothing is changed."""
        forget_environment()
        self.fleet = AdvisorFleet()
        self._cluster = cluster
        self._namespaces = tuple(namespaces)
        self._thinker = Thinker(longest=_LONGEST_ADVICE, many=0)
        self._trying = Trying(
            "DatabaseAdvisors cannot be counted for now",
            "DatabaseAdvisors are counted again.",
            logger,
        )
        applier = Applier(settings, may_write, resolved, self.fleet.wake, time.time)
        self.fleet.reconciler = AdvisorReconciler(
            cluster=cluster,
            settings=settings,
            telemetry=telemetry,
            announce=announce,
            may_write=may_write,
            think=self._thinker,
            consult=consult,
            resolve=resolved,
            applier=applier,
            keeper=ReportKeeper(lambda: settings.current.store),
            wake=self.fleet.wake,
        )

    async def run(self) -> None:
        """What goes on in the background while this operator leads, for ever."""
        while True:
            await self._trying.once(self._take_census)
            await asyncio.sleep(_LATER if self.fleet.is_watched else _SOON)

    def close(self) -> None:
        """End the worker, whatever it does."""
        self._thinker.close()

    async def _take_census(self) -> None:
        await take_census(
            self.fleet, self._cluster, "DatabaseAdvisor", DATABASE_ADVISORS, self._namespaces
        )


def forget_environment() -> None:
    """Take out of the environment what libpq would fill a connection's gaps with: whoever runs the
    operator may have a password there, and a Secret must not get the benefit of it.
    """
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]
