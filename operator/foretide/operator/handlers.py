"""Kopf's part: it watches, we decide."""

import logging
from collections.abc import Mapping
from typing import Any, cast

import kopf

from .api.crds import GROUP, PLURAL, PROFILERS, VERSION
from .fleet import Fleet
from .hpa_floor import Kind, scaled_by
from .owners import Autoscaler
from .profilers.fleet import ProfilerFleet
from .scaler import Scaler

# Kopf always passes the indices; the default is for its type of handlers only.
_NO_INDEX = cast("kopf.Index[Any, Any]", {})


def build_registry(fleet: Fleet, profilers: ProfilerFleet | None = None) -> kopf.OperatorRegistry:
    """All handlers; those of Profilers where somebody looks after them."""
    registry = kopf.OperatorRegistry()

    @kopf.on.startup(registry=registry)
    def configure(
        settings: kopf.OperatorSettings,
        autoscalers: kopf.Index[Any, Any] = _NO_INDEX,
        scaledobjects: kopf.Index[Any, Any] = _NO_INDEX,
        **_: Any,
    ) -> None:
        # Both are filled, and kept up to date, from now on.
        fleet.autoscalers = _Either(autoscalers, scaledobjects)
        # Foretide posts its own Events; kopf's log lines are not for users.
        settings.posting.level = logging.CRITICAL
        settings.scanning.disabled = False
        settings.networking.request_timeout = 30
        # A watch that the API server has silently dropped is opened anew.
        settings.watching.server_timeout = 300
        settings.watching.client_timeout = 330

    # Without an id kopf would name the index after this function and where it is nested.
    @kopf.index(
        "autoscaling", "v2", "horizontalpodautoscalers", id="autoscalers", registry=registry
    )
    def autoscalers(body: kopf.Body, **_: Any) -> Any:
        return dict([scaled_by(Kind.HPA, body)])

    # Where a kind is installed later, kopf may miss it: see Census.
    @kopf.index("keda.sh", "v1alpha1", "scaledobjects", id="scaledobjects", registry=registry)
    def scaled_objects(body: kopf.Body, **_: Any) -> Any:
        return dict([scaled_by(Kind.SCALED_OBJECT, body)])

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
    async def predictive_scaler(event: Mapping[str, Any], body: kopf.Body, **_: Any) -> None:
        fleet.is_watched = True
        if event.get("type") == "DELETED":
            fleet.remove(body["metadata"]["uid"])
        else:
            fleet.upsert(dict(body))

    @kopf.on.cleanup(registry=registry)
    async def stop(**_: Any) -> None:
        await fleet.stop()
        if profilers is not None:
            await profilers.stop()

    if profilers is not None:
        _watch_profilers(registry, profilers)
    return registry


def _watch_profilers(registry: kopf.OperatorRegistry, profilers: ProfilerFleet) -> None:
    @kopf.on.event(GROUP, VERSION, PROFILERS, registry=registry)
    async def profiler(event: Mapping[str, Any], body: kopf.Body, **_: Any) -> None:
        profilers.is_watched = True
        if event.get("type") == "DELETED":
            profilers.remove(body["metadata"]["uid"])
        else:
            profilers.upsert(dict(body))


def announce(body: Mapping[str, Any], *, kind: str, reason: str, message: str) -> None:
    """Post a Kubernetes Event on a resource. Kopf queues it; nothing waits."""
    kopf.event(cast(kopf.Body, body), type=kind, reason=reason, message=message)


def post_event(scaler: Scaler, *, kind: str, reason: str, message: str) -> None:
    """Post a Kubernetes Event on the resource. Kopf queues it; nothing waits."""
    kopf.event(cast(kopf.Body, scaler.body), type=kind, reason=reason, message=message)


class _Either(Mapping[Any, Any]):
    """Two indices of kopf's as one mapping; both change by themselves."""

    def __init__(self, *indices: kopf.Index[Any, Any]) -> None:
        self._indices = indices

    def __getitem__(self, key: Any) -> list[Autoscaler]:
        found = [owner for index in self._indices for owner in index.get(key, ())]
        if not found:
            raise KeyError(key)
        return found

    def __iter__(self) -> Any:
        return iter({key for index in self._indices for key in index})

    def __len__(self) -> int:
        return sum(1 for _ in self)
