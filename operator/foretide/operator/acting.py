"""What is done about a decision: replicas, or the minimum of somebody else's autoscaler."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from foretide.forecasting.behavior import Change
from foretide.forecasting.decision import Decision, ScalingPolicy, Source
from foretide.forecasting.demand import Undecided

from . import limits
from .api.predictivescaler import Actuation, Mode
from .cluster import Cluster, ClusterError, Target, WriteConflict
from .hpa import holder_of, release, set_floor
from .owners import Autoscaler
from .scaler import Scaler
from .settings import SettingsHolder
from .telemetry import Telemetry
from .verdict import Circumstances

logger = logging.getLogger(__name__)

# Nothing new is known: what holds stays.
_AS_IT_IS = (Source.HELD, Source.AWAITED, Source.DISABLED)


@dataclass(frozen=True, slots=True)
class Acted:
    """What came of it: the target as it was left, why more was not done, and what was changed.

    `moved` is how an autoscaler's minimum was moved. That is no `change` of replicas: what the
    autoscaler does about it is seen at the next tick.
    """

    target: Target
    circumstances: Circumstances
    change: Change | None = None
    moved: Change | None = None


@dataclass(frozen=True, slots=True)
class Actor:
    """Changes what a resource lets it change. `may_write` says whether this process leads."""

    cluster: Cluster
    settings: SettingsHolder
    telemetry: Telemetry
    owner_of: Callable[[Scaler], str | None]
    autoscalers_of: Callable[[Scaler], Sequence[Autoscaler]]
    may_write: Callable[[], bool]
    clock: Callable[[], float] = time.time

    async def act(
        self, scaler: Scaler, policy: ScalingPolicy, target: Target, decision: Decision
    ) -> Acted:
        """Make the change if all that may forbid it does not."""
        now = self.clock()
        self.settings.poll()
        settings = self.settings.current
        assert scaler.spec is not None
        holds_floor = scaler.spec.actuation is Actuation.HPA_FLOOR
        within_limit = limits.within_hourly_limit(
            decision,
            (*scaler.changes, *scaler.floor_changes),
            settings.max_changes_per_hour,
            now=now,
        )
        circumstances = Circumstances(
            mode=scaler.mode,
            actuation=scaler.spec.actuation,
            other_owner=self.owner_of(scaler),
            kill_switch=settings.kill_switch,
            over_limit=scaler.mode is Mode.AUTO
            and not holds_floor  # whether its minimum is to be moved shows when that is read
            and decision.desired != target.replicas
            and not within_limit,
        )
        forbidden = (
            circumstances.mode is not Mode.AUTO
            or circumstances.other_owner
            or circumstances.kill_switch
            or circumstances.over_limit
        )
        found = Acted(target, circumstances)
        if forbidden or not self.may_write():
            return found
        try:
            if holds_floor:
                return await self._hold_floor(
                    scaler, target, decision, circumstances, now, may_move=within_limit
                )
            if decision.desired != target.replicas:
                return await self._set_replicas(target, decision, circumstances, now)
        except WriteConflict as error:
            # The next tick sees the new count and decides afresh.
            self.telemetry.errors.labels(error.reason).inc()
            logger.info("%s/%s: %s", scaler.namespace, scaler.name, error.message)
        except ClusterError as error:
            self.telemetry.errors.labels(error.reason).inc()
            return replace(found, circumstances=replace(circumstances, failure=error.message))
        return found

    async def release(self, scaler: Scaler) -> None:
        """Give back a minimum that is still held up for the resource, which holds none any more.

        What fails is tried again at the next tick, or by the sweep.
        """
        holder = scaler.floor_holder
        if holder is None or not self._allowed():
            return
        try:
            await release(self.cluster, holder, owner_uid=scaler.uid, guard=self._allowed)
        except ClusterError as error:
            self.telemetry.errors.labels(error.reason).inc()
            logger.warning("%s: %s is not released: %s", scaler.namespace, holder, error.message)
            return
        scaler.floor_holder = None

    def _allowed(self) -> bool:
        return self.may_write() and not self.settings.current.kill_switch

    async def _set_replicas(
        self, target: Target, decision: Decision, circumstances: Circumstances, now: float
    ) -> Acted:
        changed = await self.cluster.set_replicas(target, decision.desired, self._allowed)
        return Acted(changed, circumstances, Change(now, target.replicas, decision.desired))

    async def _hold_floor(
        self,
        scaler: Scaler,
        target: Target,
        decision: Decision,
        circumstances: Circumstances,
        now: float,
        *,
        may_move: bool,
    ) -> Acted:
        holder = holder_of(scaler.namespace, self.autoscalers_of(scaler))
        if isinstance(holder, Undecided):
            return Acted(target, replace(circumstances, floor=holder))
        if decision.source in _AS_IT_IS:
            return Acted(target, circumstances)
        wanted = _floor_of(decision, scaler)
        floor = await set_floor(
            self.cluster,
            holder,
            wanted,
            owner_uid=scaler.uid,
            guard=self._allowed,
            now=now,
            may_move=may_move,
        )
        if scaler.floor_holder not in (None, floor.holder):
            await self.release(scaler)  # another autoscaler scales the target now
        scaler.floor_holder = floor.holder
        circumstances = replace(circumstances, floor=floor, over_limit=floor.withheld)
        return Acted(target, circumstances, moved=floor.move(now))


def _floor_of(decision: Decision, scaler: Scaler) -> int:
    """What the autoscaler is to keep at least: by itself it meets demand that is there already.

    While no signal says anything, its own minimum is enough.
    """
    asks = any(
        figure is not None
        for answer in decision.answers
        for figure in (answer.predicted, answer.event, answer.derivative)
    )
    assert scaler.spec is not None
    return decision.desired if asks else scaler.spec.min_replicas
