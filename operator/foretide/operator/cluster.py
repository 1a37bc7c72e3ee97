"""The door to Kubernetes: what the operator reads and writes there, and nothing else does.

The official client is synchronous, so it runs in a few threads; answers are read as plain JSON,
because the client's typed models cost more CPU than all the rest of a tick.
"""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Protocol
from urllib.parse import quote, urlencode

import kubernetes
import urllib3

from .api.crds import GROUP, PLURAL, VERSION
from .api.predictivescaler import ScaleTargetRef
from .readiness import PodFacts, read_pod

# Readiness is read anew when the target has changed, and at least this often (seconds): the
# object of a custom kind may stay the same while its pods do not.
_PODS_MAX_AGE = 60.0
_DISCOVERY_MAX_AGE = 600.0
_READINESS_KEPT = 5_000
_PAGE = 500


# Whether a change may still be made; asked right before it is sent.
Guard = Callable[[], bool]


class ClusterError(Exception):
    """The API server refused or could not be reached; `reason` is for machines."""

    def __init__(self, reason: str, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.status = status


class TargetMissing(ClusterError):
    """The object, or its kind, does not exist, or it has no scale subresource."""


class WriteConflict(ClusterError):
    """Somebody else changed the replicas between reading and writing."""


@dataclass(frozen=True, slots=True)
class Target:
    """The scale target as it is now.

    `replicas` is what it asks for, `ready` what serves traffic; `unschedulable` pods wait because
    no node has room for them. `selector` is that of its `pods`, empty where it names none.
    """

    namespace: str
    ref: ScaleTargetRef
    path: str
    replicas: int
    ready: int
    unschedulable: int
    resource_version: str
    selector: str = ""
    pods: tuple[PodFacts, ...] = ()


class Cluster(Protocol):
    """What the operator needs of Kubernetes. All methods raise `ClusterError`."""

    async def read_target(self, namespace: str, ref: ScaleTargetRef) -> Target:
        """The target's replicas and how many of them are ready."""
        ...

    async def set_replicas(self, target: Target, replicas: int, guard: Guard) -> Target:
        """Patch the scale subresource, unless the replicas are no longer what was read."""
        ...

    async def patch_status(
        self, namespace: str, name: str, status: Mapping[str, Any], guard: Guard
    ) -> None:
        """Merge into a PredictiveScaler's status; keys set to None are removed."""
        ...

    async def request(
        self, method: str, path: str, body: Any = None, *, content_type: str = "application/json"
    ) -> Any:
        """Any other request, and its answer as JSON.

        For leases, ConfigMaps, targets with their annotations, metrics.k8s.io, and for HPAs and
        ScaledObjects, whose minimums are patched. It has no guard: who writes asks for leave first.
        """
        ...


async def listed(
    cluster: Cluster, version: str, plural: str, namespaces: Iterable[str]
) -> AsyncIterator[Mapping[str, Any]]:
    """All objects of a kind, page by page; none where the kind is not installed.

    `version` is an API version with its group; namespaces empty means all of them.

    Raises:
        ClusterError: the API server does not say what there is.
    """
    roots = [f"/apis/{version}/namespaces/{quote(name)}/{plural}" for name in namespaces]
    for root in roots or [f"/apis/{version}/{plural}"]:
        page = {"limit": str(_PAGE)}
        while True:
            try:
                answer = await cluster.request("GET", f"{root}?{urlencode(page)}")
            except ClusterError as error:
                if error.status == 404:  # the kind is not installed
                    break
                raise
            for item in answer["items"]:
                yield item
            following = answer.get("metadata", {}).get("continue")
            if not following:
                break
            page["continue"] = following


@dataclass(slots=True)
class _Readiness:
    resource_version: str
    read_at: float
    pods: tuple[PodFacts, ...]
    settled: bool

    def on(self, target: Target) -> Target:
        """The target with what is known of its pods."""
        alive = [pod for pod in self.pods if not pod.ending]
        return replace(
            target,
            ready=sum(pod.ready for pod in alive),
            unschedulable=sum(pod.unschedulable for pod in alive),
            pods=self.pods,
        )


class KubernetesCluster:
    """`Cluster` over the official client, with its own threads."""

    def __init__(self, api_client: kubernetes.client.ApiClient, *, threads: int = 8) -> None:
        self._client = api_client
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="kubernetes")
        self._plurals: dict[tuple[str, str], tuple[float, str]] = {}
        self._readiness: dict[str, _Readiness] = {}

    async def read_target(self, namespace: str, ref: ScaleTargetRef) -> Target:
        """See `Cluster`."""
        path = await self._scale_path(namespace, ref)
        try:
            scale = await self.request("GET", path)
        except ClusterError as error:
            if error.status == 404:
                self._plurals.pop((ref.api_version, ref.kind), None)
                self._readiness.pop(path, None)
                raise TargetMissing(
                    "TargetNotFound", f"{ref.kind} {ref.name} does not exist", 404
                ) from None
            raise
        target = _to_target(namespace, ref, path, scale)
        return (await self._read_readiness(target)).on(target)

    async def set_replicas(self, target: Target, replicas: int, guard: Guard) -> Target:
        """See `Cluster`."""
        expected = target
        for _ in range(5):
            body = {
                "metadata": {"resourceVersion": expected.resource_version},
                "spec": {"replicas": replicas},
            }
            try:
                scale = await self._patch(target.path, body, guard)
            except ClusterError as error:
                if error.status != 409:
                    raise
                # The version also moves when a pod becomes ready: only a change of the replicas
                # themselves makes the decision worthless.
                scale = await self.request("GET", target.path)
                expected = _to_target(target.namespace, target.ref, target.path, scale)
                if expected.replicas != target.replicas:
                    raise WriteConflict(
                        "ReplicasChanged",
                        f"replicas went from {target.replicas} to {expected.replicas} meanwhile",
                        409,
                    ) from None
                continue
            return replace(
                _to_target(target.namespace, target.ref, target.path, scale),
                ready=target.ready,
                unschedulable=target.unschedulable,
                pods=target.pods,
            )
        raise WriteConflict("Conflict", "the target keeps changing, trying again later", 409)

    async def patch_status(
        self, namespace: str, name: str, status: Mapping[str, Any], guard: Guard
    ) -> None:
        """See `Cluster`."""
        path = (
            f"/apis/{GROUP}/{VERSION}/namespaces/{_part(namespace)}/{PLURAL}/{_part(name)}/status"
        )
        await self._patch(path, {"status": status}, guard)

    async def _patch(self, path: str, body: Any, guard: Guard) -> Any:
        def send() -> Any:
            # Asked here, at the last moment: the call may have waited for a thread longer than
            # leadership lasts.
            if not guard():
                raise ClusterError("NoLongerAllowed", "what allowed the change has ended meanwhile")
            return self._request("PATCH", path, body, "application/merge-patch+json")

        return await asyncio.get_running_loop().run_in_executor(self._threads, send)

    async def request(
        self, method: str, path: str, body: Any = None, *, content_type: str = "application/json"
    ) -> Any:
        """See `Cluster`."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._threads, self._request, method, path, body, content_type
        )

    async def text(self, path: str, *, accept: str = "*/*") -> str:
        """What is at a path as text, such as a pod's log.

        Raises:
            ClusterError: as for all methods.
        """
        loop = asyncio.get_running_loop()
        payload = await loop.run_in_executor(
            self._threads, self._send, "GET", path, None, "", accept
        )
        return payload.decode(errors="replace")

    @property
    def client(self) -> kubernetes.client.ApiClient:
        """The official client, for what is no plain request (exec)."""
        return self._client

    def close(self) -> None:
        """Let the threads go; a request under way is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _request(self, method: str, path: str, body: Any, content_type: str) -> Any:
        payload = self._send(method, path, body, content_type, "application/json")
        try:
            return json.loads(payload)
        except ValueError:
            raise ClusterError("NotKubernetes", "API server: the answer is not JSON") from None

    def _send(self, method: str, path: str, body: Any, content_type: str, accept: str) -> bytes:
        headers = {"Accept": accept, "User-Agent": "foretide"}
        if body is not None:
            headers["Content-Type"] = content_type
        self._client.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
        url = self._client.configuration.host.rstrip("/") + path
        try:
            response = self._client.call_api(method, url, headers, body, _request_timeout=10)
            payload = response.read()
        except kubernetes.client.ApiException as error:  # raised by some versions on 4xx
            raise _refused(error.status or 0, error.body) from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            host = self._client.configuration.host
            raise ClusterError(
                "ApiUnreachable", f"no answer from {host}: {_cause(error)}"
            ) from None
        if response.status >= 400:
            raise _refused(response.status, payload)
        return bytes(payload)

    async def _scale_path(self, namespace: str, ref: ScaleTargetRef) -> str:
        key = (ref.api_version, ref.kind)
        known = self._plurals.get(key)
        if known is None or time.monotonic() - known[0] > _DISCOVERY_MAX_AGE:
            known = (time.monotonic(), await self._discover(ref))
            self._plurals[key] = known
        return f"{_api_root(ref)}/namespaces/{_part(namespace)}/{known[1]}/{_part(ref.name)}/scale"

    async def _discover(self, ref: ScaleTargetRef) -> str:
        try:
            answer = await self.request("GET", _api_root(ref))
        except ClusterError as error:
            if error.status == 404:
                raise TargetMissing(
                    "TargetKindUnknown", f"the cluster does not know {ref.api_version}", 404
                ) from None
            raise
        names = {resource["name"]: resource["kind"] for resource in answer.get("resources", [])}
        plurals = [name for name, kind in names.items() if kind == ref.kind and "/" not in name]
        if not plurals:
            raise TargetMissing(
                "TargetKindUnknown", f"{ref.api_version} has no kind {ref.kind}", 404
            )
        if f"{plurals[0]}/scale" not in names:
            raise TargetMissing("TargetNotScalable", f"{ref.kind} has no scale subresource", 404)
        return str(plurals[0])

    async def list_pods(self, namespace: str, selector: str) -> list[Mapping[str, Any]]:
        """All pods of a selector, in pages: parsing a thousand at once would block everything."""
        pods: list[Mapping[str, Any]] = []
        page = {"labelSelector": selector, "limit": "200"}
        while True:
            path = f"/api/v1/namespaces/{_part(namespace)}/pods?{urlencode(page)}"
            answer = await self.request("GET", path)
            pods += answer["items"]
            following = answer.get("metadata", {}).get("continue")
            if not following:
                return pods
            page["continue"] = following

    async def _read_readiness(self, target: Target) -> _Readiness:
        known = self._readiness.get(target.path)
        if (
            known is not None
            and known.settled
            and known.resource_version == target.resource_version
            and time.monotonic() - known.read_at < _PODS_MAX_AGE
        ):
            return known
        listed = await self.list_pods(target.namespace, target.selector) if target.selector else []
        pods = tuple(facts for pod in listed if (facts := read_pod(pod)) is not None)
        alive = [pod for pod in pods if not pod.ending]
        fresh = _Readiness(
            resource_version=target.resource_version,
            read_at=time.monotonic(),
            pods=pods,
            settled=sum(pod.ready for pod in alive) == target.replicas == len(alive),
        )
        if len(self._readiness) >= _READINESS_KEPT:
            self._readiness.clear()  # targets that are gone leave theirs behind
        self._readiness[target.path] = fresh
        return fresh


def load_client(kubeconfig: str | None) -> kubernetes.client.ApiClient:
    """A client for the given kubeconfig, the pod's service account, or the user's kubeconfig.

    Raises:
        ClusterError: none of them can be used.
    """
    configuration = kubernetes.client.Configuration()
    try:
        if kubeconfig is None:
            try:
                kubernetes.config.load_incluster_config(client_configuration=configuration)
            except kubernetes.config.ConfigException:
                kubernetes.config.load_kube_config(client_configuration=configuration)
        else:
            kubernetes.config.load_kube_config(kubeconfig, client_configuration=configuration)
    except Exception as error:  # a broken kubeconfig raises whatever its parser does
        kind = type(error).__name__
        detail = str(error).splitlines()[0] if isinstance(error, OSError | LookupError) else kind
        if isinstance(error, kubernetes.config.ConfigException):
            detail = str(error)
        where = kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
        raise ClusterError(
            "NoCluster", f"no cluster to talk to: {detail} (kubeconfig: {where}; see --kubeconfig)"
        ) from None
    configuration.connection_pool_maxsize = 16
    configuration.retries = urllib3.Retry(total=0)
    return kubernetes.client.ApiClient(configuration)


def _part(text: str) -> str:
    """A name as one part of a path, whatever is in it."""
    if text in ("", ".", ".."):
        raise ClusterError("BadName", f"{text!r} is not a name")
    return quote(text, safe="")


def _cause(error: Exception) -> str:
    """The last word of a chain of errors: connection refused, rather than too many retries."""
    reason = getattr(error, "reason", None) or error
    return f"{reason}".rpartition(": ")[2][:120] or type(reason).__name__


def _api_root(ref: ScaleTargetRef) -> str:
    return f"/apis/{ref.group}/{ref.version}" if ref.group else f"/api/{ref.version}"


def _to_target(namespace: str, ref: ScaleTargetRef, path: str, scale: Mapping[str, Any]) -> Target:
    return Target(
        namespace=namespace,
        ref=ref,
        path=path,
        # Defaulted kinds may leave out zero.
        replicas=int(scale.get("spec", {}).get("replicas", 0)),
        ready=0,
        unschedulable=0,
        resource_version=scale["metadata"]["resourceVersion"],
        selector=str((scale.get("status") or {}).get("selector") or ""),
    )


def _refused(status: int, payload: bytes | str | None) -> ClusterError:
    try:
        answer = json.loads(payload or b"{}")
        message, reason = str(answer.get("message") or ""), str(answer.get("reason") or "")
    except ValueError:
        message, reason = "", ""
    return ClusterError(reason or f"Http{status}", message[:300] or f"HTTP {status}", status)
