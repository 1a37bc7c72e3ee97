"""How the parts of an operator go together; what is outside is given."""

import time
from collections.abc import Callable
from typing import TypeVar

from .acting import Actor
from .calendars import Calendars
from .cluster import Cluster
from .demands import Demands
from .fleet import Fleet
from .forecasts import Forecasts
from .observing import Observer
from .reconcile import Reconciler
from .reporting import EventSink, Reporter
from .resource_metrics import ClusterResourceMetrics, ResourceMetrics
from .rollups import RollupSender
from .settings import SettingsHolder
from .sources import Sources
from .telemetry import Telemetry

R = TypeVar("R", bound=Reconciler)


def assemble(
    kind: type[R],
    *,
    fleet: Fleet,
    cluster: Cluster,
    sources: Sources,
    forecasts: Forecasts,
    settings: SettingsHolder,
    telemetry: Telemetry,
    rollups: RollupSender,
    post_event: EventSink,
    may_write: Callable[[], bool],
    resources: ResourceMetrics | None = None,
    clock: Callable[[], float] = time.time,
) -> R:
    """A reconciler for the fleet, which gets it."""
    reconciler = kind(
        cluster=cluster,
        observer=Observer(
            demands=Demands(sources, resources or ClusterResourceMetrics(cluster), telemetry),
            forecasts=forecasts,
            calendars=Calendars(cluster),
            settings=settings,
            rollups=rollups,
            clock=clock,
        ),
        actor=Actor(
            cluster=cluster,
            settings=settings,
            telemetry=telemetry,
            owner_of=fleet.owner_of,
            autoscalers_of=fleet.autoscalers_of,
            may_write=may_write,
            clock=clock,
        ),
        reporter=Reporter(cluster, telemetry, post_event, may_write),
        telemetry=telemetry,
        clock=clock,
    )
    fleet.reconciler = reconciler
    return reconciler
