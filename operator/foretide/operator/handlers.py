"""Kopf's part: it watches, we decide."""

import contextvars
import logging
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

import kopf

from .api.crds import DATABASE_ADVISORS, GROUP, PLURAL, PROFILERS, VERSION
from .fleet import Fleet
from .hpa_floor import Kind, scaled_by
from .owners import Autoscaler
from .scaler import Scaler
from .ticking import TickingFleet

# Of Events that wait for kopf: more are not kept.
_MOST_WAITING = 1_000


class _Poster:
    """Posts Events by kopf, whose queue is known to the context of its handlers alone. A resource
    that a census has found before a watch did ticks in another one: its Events wait for the first
    handler.
    """

    def __init__(self) -> None:
        self._context: contextvars.Context | None = None
        self._waiting: deque[Callable[[], None]] = deque(maxlen=_MOST_WAITING)

    def learn(self) -> None:
        """Called by a handler of kopf's."""
        self._context = contextvars.copy_context()
        while self._waiting:
            self._context.run(self._waiting.popleft())

    def forget(self) -> None:
        """Another operator begins: what was known is of the one before."""
        self._context = None

    def post(self, body: Mapping[str, Any], kind: str, reason: str, message: str) -> None:
        """Kopf queues it; nothing waits."""
        post = partial(kopf.event, cast(kopf.Body, body), type=kind, reason=reason, message=message)
        if self._context is None:
            self._waiting.append(post)
        else:
            self._context.run(post)


_poster = _Poster()

# Kopf always passes the indices; the default is for its type of handlers only.
_NO_INDEX = cast("kopf.Index[Any, Any]", {})


def build_registry(
    fleet: Fleet,
    profilers: TickingFleet[Any] | None = None,
    databases: TickingFleet[Any] | None = None,
) -> kopf.OperatorRegistry:
    """All handlers; those of Profilers and DatabaseAdvisors where somebody looks after them."""
    registry = kopf.OperatorRegistry()

    @kopf.on.startup(registry=registry)
    def configure(
        settings: kopf.OperatorSettings,
        autoscalers: kopf.Index[Any, Any] = _NO_INDEX,
        scaledobjects: kopf.Index[Any, Any] = _NO_INDEX,
        **_: Any,
    ) -> None:
        _poster.forget()
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
        _poster.learn()
        if event.get("type") == "DELETED":
            fleet.remove(body["metadata"]["uid"])
        else:
            fleet.upsert(dict(body))

    @kopf.on.cleanup(registry=registry)
    async def stop(**_: Any) -> None:
        await fleet.stop()
        for others in (profilers, databases):
            if others is not None:
                await others.stop()

    if profilers is not None:
        _watch(registry, profilers, PROFILERS)
    if databases is not None:
        _watch(registry, databases, DATABASE_ADVISORS)
    return registry


def _watch(registry: kopf.OperatorRegistry, fleet: TickingFleet[Any], plural: str) -> None:
    @kopf.on.event(GROUP, VERSION, plural, id=plural, registry=registry)
    async def resource(event: Mapping[str, Any], body: kopf.Body, **_: Any) -> None:
        fleet.is_watched = True
        _poster.learn()
        if event.get("type") == "DELETED":
            fleet.remove(body["metadata"]["uid"])
        else:
            fleet.upsert(dict(body))


def announce(body: Mapping[str, Any], *, kind: str, reason: str, message: str) -> None:
    """Post a Kubernetes Event on a resource."""
    _poster.post(body, kind, reason, message)


def post_event(scaler: Scaler, *, kind: str, reason: str, message: str) -> None:
    """Post a Kubernetes Event on the resource."""
    _poster.post(scaler.body, kind, reason, message)


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
