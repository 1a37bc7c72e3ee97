"""Everything about Profilers that an operator runs."""

import asyncio
from collections.abc import Callable, Iterable

from ..cluster import KubernetesCluster
from ..settings import SettingsHolder
from ..telemetry import Telemetry
from ..thinking import Thinker
from ..ticking import Announce
from .acting import injection_of
from .admission import Answer, Injection
from .annotated import Annotated
from .assembly import assemble
from .census import ProfilerCensus
from .comparing import SourceByName
from .door import KubernetesPods
from .fleet import ProfilerFleet
from .history import History
from .keeping import ProfileKeeper
from .merging import ProfileMerger
from .standing_by import StandBy
from .webhook import Webhook


class Profiling:
    """The fleet of Profilers, and what goes with it."""

    def __init__(
        self,
        cluster: KubernetesCluster,
        settings: SettingsHolder,
        *,
        announce: Announce,
        may_write: Callable[[], bool],
        telemetry: Telemetry,
        sources: SourceByName,
        namespaces: Iterable[str] = (),
    ) -> None:
        """`may_write` says whether this operator leads; without that nothing is changed."""
        self.fleet = ProfilerFleet()
        self.keeper = ProfileKeeper(
            lambda: settings.current.store,
            lambda: settings.current.pyroscope,
            observe=telemetry.observe_profiles,
        )
        self._thinker = Thinker()
        self._merger = ProfileMerger(lambda: settings.current.store, think=self._thinker)
        pods = KubernetesPods(cluster)
        self._census = ProfilerCensus(cluster, pods, self.fleet, namespaces, may_write)
        self._annotated = Annotated(cluster, namespaces, announce, may_write)
        self._settings = settings
        self._may_write = may_write
        self._stand_by = StandBy(cluster, pods, lambda: settings.current.profiling, namespaces)
        self._webhook = Webhook(
            cluster,
            lambda: settings.current.profiling.webhook,
            self._injections,
            self._told,
            leads=may_write,
            namespaces=tuple(namespaces),
        )
        assemble(
            self.fleet,
            telemetry=telemetry,
            sources=sources,
            cluster=cluster,
            pods=pods,
            settings=settings,
            announce=announce,
            may_write=may_write,
            keeper=self.keeper,
            history=History(lambda: settings.current.store),
            think=self._thinker,
        )

    async def run(self) -> None:
        """What goes on in the background while this operator leads, for ever."""
        await asyncio.gather(
            self._annotated.keep(),
            self.keeper.run(),
            self._merger.run(),
            self._census.keep(),
        )

    async def serve(self) -> None:
        """Answer the webhook's calls, for ever: a Service sends them to one that stands by, too."""
        await asyncio.gather(self._webhook.run(), self._stand_by.keep(self._may_write))

    async def aclose(self) -> None:
        """Send what waits, and close all connections."""
        self._thinker.close()
        await self._webhook.stop()
        await self.keeper.aclose()
        await self._merger.aclose()

    def _injections(self) -> list[Injection]:
        """What Profilers ask for in new pods."""
        found = [injection_of(member, self._settings.current.profiling) for member in self.fleet]
        own = [injection for injection in found if injection is not None]
        return own + self._stand_by.injections(self.fleet)

    def _told(self, answer: Answer) -> None:
        """Let a Profiler know what has come of a new pod."""
        for member in self.fleet:
            if (member.namespace, member.name) == (answer.namespace, answer.profiler):
                member.injection_refusal = answer.refusal
