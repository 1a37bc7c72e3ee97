"""All PredictiveScalers that are looked after, each with a task that ticks.

Ticks are spread over the sync period by the resource's uid, so that hundreds of resources do not
all ask Prometheus in the same instant. Kopf's own timers would do the ticking too, but they put
a finalizer on every resource, which keeps users from deleting it while no operator runs.
"""

import asyncio
import logging
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

from .api.predictivescaler import Actuation, PredictiveScalerSpec
from .owners import Autoscaler, Claim, TargetKey, other_owner, target_key
from .reconcile import Reconciler, ScalerGone
from .scaler import Scaler
from .waking import woken

logger = logging.getLogger(__name__)

_FIRST_TICK_SPACING = 0.02  # seconds for each resource that is there


class Fleet:
    """Resources by uid. `reconciler` is set once, right after both exist: each needs the other.

    `is_watched` says whether a watch has told of any.
    """

    reconciler: Reconciler

    def __init__(self) -> None:
        self.is_watched = False
        self.autoscalers: Mapping[TargetKey, Iterable[Autoscaler]] = {}
        # Those that no watch has told of, as the census finds them.
        self.overlooked: Mapping[TargetKey, Iterable[Autoscaler]] = {}
        self._gone: frozenset[str] = frozenset()
        self._members: dict[str, tuple[Scaler, asyncio.Task[None], asyncio.Event]] = {}
        # Every tick asks who else is on its target; a scan of all resources would be quadratic.
        self._claims: dict[TargetKey, dict[str, Claim]] = {}
        self._targets: dict[str, TargetKey] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._members)

    def upsert(self, body: Mapping[str, Any]) -> None:
        """Look after a resource from now on, or take over its new version."""
        uid = body["metadata"]["uid"]
        member = self._members.get(uid)
        if member is None:
            self._remove_namesakes(body["metadata"])
            wake = asyncio.Event()
            scaler = Scaler.from_body(body, self.reconciler.clock())
            task = asyncio.create_task(self._run(scaler, wake), name=f"tick {scaler.name}")
            self._members[uid] = (scaler, task, wake)
            self._record_claim(scaler)
            self.reconciler.telemetry.resources.set(len(self))
            return
        scaler, _, wake = member
        generation = body["metadata"].get("generation")
        if generation == scaler.generation:
            return  # status or metadata only, most often written by ourselves
        if generation is not None and generation < (scaler.generation or 0):
            return  # from a list that was made before the watch told of a newer one
        old = scaler.spec
        scaler.update(body)
        self._record_claim(scaler)
        forecasts = self.reconciler.observer.forecasts
        if old is None or scaler.spec is None or _measures(old) != _measures(scaler.spec):
            forecasts.forget(uid)
        elif _needs(old) != _needs(scaler.spec):
            forecasts.expire(uid)
        wake.set()

    def remove(self, uid: str) -> None:
        """The resource is gone."""
        member = self._members.pop(uid, None)
        if member is None:
            return
        scaler, task, _ = member
        task.cancel()
        self._drop_claim(uid)
        self.reconciler.forget(scaler)
        self.reconciler.telemetry.resources.set(len(self))
        if scaler.floor_holder is not None:
            ending = asyncio.create_task(self.reconciler.actor.release(scaler))
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)

    def _remove_namesakes(self, meta: Mapping[str, Any]) -> None:
        """Kopf tells of no deletion that came while its watch was down; the name says it too."""
        for scaler, _, _ in list(self._members.values()):
            if (scaler.namespace, scaler.name) == (meta["namespace"], meta["name"]):
                self.remove(scaler.uid)

    def wake_all(self) -> None:
        """Tick all resources soon, not all in one instant: the configuration has changed."""
        loop = asyncio.get_running_loop()
        for place, (_, _, wake) in enumerate(self._members.values()):
            loop.call_later(place * _FIRST_TICK_SPACING, wake.set)

    def owner_of(self, scaler: Scaler) -> str | None:
        """Who else scales this resource's target."""
        key = self._targets.get(scaler.uid)
        if key is None:
            return None
        claims = self._claims[key]
        spec = scaler.spec
        if spec is not None and spec.actuation is Actuation.HPA_FLOOR:
            autoscalers = []  # they go on scaling the target, with a higher minimum
        else:
            autoscalers = [autoscaler.name for autoscaler in self.autoscalers_of(scaler)]
        return other_owner(claims[scaler.uid], autoscalers, claims.values())

    def autoscalers_of(self, scaler: Scaler) -> list[Autoscaler]:
        """The autoscalers of this resource's target."""
        key = self._targets.get(scaler.uid)
        if key is None:
            return []
        known = {*self.autoscalers.get(key, ()), *self.overlooked.get(key, ())}
        return [autoscaler for autoscaler in known if autoscaler.uid not in self._gone]

    def uids(self) -> tuple[set[str], set[str]]:
        """The uids of all resources, and of all autoscalers, that are thought to exist."""
        autoscalers = {
            autoscaler.uid for key in self.autoscalers for autoscaler in self.autoscalers[key]
        }
        return set(self._members), autoscalers

    def drop(self, resources: Iterable[str], autoscalers: Iterable[str]) -> None:
        """Forget what has turned out to be gone."""
        for uid in resources:
            self.remove(uid)
        self._gone = frozenset(autoscalers)

    def _record_claim(self, scaler: Scaler) -> None:
        self._drop_claim(scaler.uid)
        if (claim := scaler.claim) is None or scaler.spec is None:
            return
        key = target_key(scaler.namespace, scaler.spec.scale_target_ref)
        self._targets[scaler.uid] = key
        self._claims.setdefault(key, {})[scaler.uid] = claim

    def _drop_claim(self, uid: str) -> None:
        key = self._targets.pop(uid, None)
        if key is not None:
            self._claims[key].pop(uid)
            if not self._claims[key]:
                del self._claims[key]

    async def stop(self) -> None:
        """End all ticking and fitting; a tick under way is cancelled between its steps."""
        tasks = [task for _, task, _ in self._members.values()]
        self._members.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *self._ending, return_exceptions=True)
        await self.reconciler.observer.forecasts.stop()

    async def _run(self, scaler: Scaler, wake: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        telemetry = self.reconciler.telemetry
        period = self.reconciler.observer.settings.current.sync_period
        place = zlib.crc32(scaler.uid.encode()) / 2**32
        # The first tick comes soon, though not those of hundreds of resources in one instant; the
        # second comes at the resource's own place in the period.
        soon = place * min(period, _FIRST_TICK_SPACING * len(self))
        due = loop.time() + soon
        await asyncio.sleep(soon)
        trouble: str | None = None
        first = True
        while True:
            telemetry.tick_lag.observe(max(0.0, loop.time() - due))
            began = loop.time()
            try:
                await self.reconciler.tick(scaler)
                trouble = None
            except ScalerGone:
                self.remove(scaler.uid)
                return
            except Exception as error:  # one resource must not take the others down
                telemetry.errors.labels("Internal").inc()
                if trouble != repr(error):  # a traceback once, not at every tick
                    logger.exception("%s/%s: tick failed", scaler.namespace, scaler.name)
                    trouble = repr(error)
            telemetry.ticks.observe(loop.time() - began)
            period = self.reconciler.observer.settings.current.sync_period
            due = due + period * (1 - place if first else 1)
            first = False
            if due < loop.time():  # a long tick: leave out what was missed
                due = loop.time() + period * place
            if await woken(wake, due):
                due = loop.time()


def _measures(spec: PredictiveScalerSpec) -> list[tuple[Any, ...]]:
    """What a forecast is of: for another query it says nothing."""
    return [
        (
            metric.type,
            metric.query,
            metric.arrival_query,
            metric.source,
            metric.resource,
            metric.container,
        )
        for metric in spec.metrics
    ]


def _needs(spec: PredictiveScalerSpec) -> tuple[Any, ...]:
    """What a fit goes by beside its history: the plan is for these loads and these targets."""
    loads = [
        (metric.per_replica, metric.load_curve, metric.target_utilization)
        for metric in spec.metrics
    ]
    return spec.forecast, spec.signals, spec.events, spec.min_replicas, loads
