"""The door to pods: what Profilers read and change there. All of it goes through the API server.

Results come back through the pods' logs and orders go there by exec or by an annotation, so that
no network path between the application's pod and Foretide is needed.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Protocol
from urllib.parse import quote, urlencode

import kubernetes
import yaml
from kubernetes.stream import ws_client

from ..api.predictivescaler import ScaleTargetRef
from ..cluster import ClusterError, KubernetesCluster
from ..conditions import timestamp
from . import rollout
from .log_lines import Line, read_lines

Json = dict[str, Any]

_STRATEGIC = "application/strategic-merge-patch+json"
_MERGE = "application/merge-patch+json"
_EXEC_TIMEOUT, _EXEC_GIVEN_UP = 20.0, 40.0
# A tick must not read without end: at 20 Hz a window's line is some tens of kB.
_LONGEST_LOG = 8 * 1024 * 1024


class Pods(Protocol):
    """What Profilers need of pods and their templates. All methods raise `ClusterError`."""

    async def matching(self, namespace: str, selector: str) -> list[Json]:
        """The pods of a label selector."""
        ...

    async def read(self, namespace: str, pod: str) -> Json:
        """One pod."""
        ...

    async def template(self, namespace: str, ref: ScaleTargetRef) -> Json:
        """A workload, with its selector and its template."""
        ...

    async def namespace(self, name: str) -> Json:
        """A namespace, with its labels."""
        ...

    async def attach(self, namespace: str, pod: str, container: Json, *, dry_run: bool) -> None:
        """Add an ephemeral container, or only ask whether admission would let it in."""
        ...

    async def log(
        self, namespace: str, pod: str, container: str, *, since: float | None
    ) -> tuple[list[Line], bool]:
        """The lines of a container's log, and whether these are all: of a long one the oldest come.

        `since` is the second from which on they were written, by the clock of the pod's node: ours
        may differ. So it is taken from a line that was read before.
        """
        ...

    async def order(self, namespace: str, pod: str, container: str, text: str) -> str:
        """Send an order to the resident sampler of a container; its answer."""
        ...

    async def annotate(
        self, namespace: str, pod: str, annotations: Mapping[str, str | None]
    ) -> None:
        """Set annotations of a pod; None takes one away."""
        ...

    async def apply(
        self, namespace: str, ref: ScaleTargetRef, document: Json, *, dry_run: bool = False
    ) -> None:
        """Apply a workload's document as Foretide's own, server-side."""
        ...


class KubernetesPods:
    """`Pods` over the API server."""

    def __init__(self, cluster: KubernetesCluster) -> None:
        self._cluster = cluster
        self._executors = ThreadPoolExecutor(4, thread_name_prefix="exec")

    async def matching(self, namespace: str, selector: str) -> list[Json]:
        """See `Pods`."""
        return [dict(pod) for pod in await self._cluster.list_pods(namespace, selector)]

    async def read(self, namespace: str, pod: str) -> Json:
        """See `Pods`."""
        answer: Json = await self._cluster.request("GET", _pod(namespace, pod))
        return answer

    async def template(self, namespace: str, ref: ScaleTargetRef) -> Json:
        """See `Pods`."""
        answer: Json = await self._cluster.request("GET", _workload(namespace, ref))
        return answer

    async def namespace(self, name: str) -> Json:
        """See `Pods`."""
        answer: Json = await self._cluster.request("GET", f"/api/v1/namespaces/{_part(name)}")
        return answer

    async def attach(self, namespace: str, pod: str, container: Json, *, dry_run: bool) -> None:
        """See `Pods`."""
        path = f"{_pod(namespace, pod)}/ephemeralcontainers"
        await self._cluster.request(
            "PATCH",
            path + ("?dryRun=All" if dry_run else ""),
            {"spec": {"ephemeralContainers": [container]}},
            content_type=_STRATEGIC,
        )

    async def log(
        self, namespace: str, pod: str, container: str, *, since: float | None
    ) -> tuple[list[Line], bool]:
        """See `Pods`."""
        wanted = {
            "container": container,
            "limitBytes": str(_LONGEST_LOG),
            "timestamps": "true",
        }
        if since is not None:
            wanted["sinceTime"] = timestamp(since)
        text = await self._cluster.text(f"{_pod(namespace, pod)}/log?{urlencode(wanted)}")
        if len(text) < _LONGEST_LOG:  # of what we print each character is one byte
            return list(read_lines(text)), True
        return list(read_lines(text.rpartition("\n")[0])), False  # the last one may have been cut

    async def order(self, namespace: str, pod: str, container: str, text: str) -> str:
        """See `Pods`."""
        command = ("python3", "-m", "foretide.profiling.resident", "--order", text)
        path = f"{_pod(namespace, pod)}/exec"
        # In threads of its own: its client connects without a time limit, and where a node hangs
        # these must not be those that the event loop itself needs.
        loop = asyncio.get_running_loop()
        work = partial(_execute, self._cluster.client, path, container, command)
        try:
            async with asyncio.timeout(_EXEC_GIVEN_UP):
                return await loop.run_in_executor(self._executors, work)
        except TimeoutError:
            raise ClusterError("ExecFailed", f"{pod}/{container} does not answer in time") from None

    async def annotate(
        self, namespace: str, pod: str, annotations: Mapping[str, str | None]
    ) -> None:
        """See `Pods`."""
        body = {"metadata": {"annotations": dict(annotations)}}
        await self._cluster.request("PATCH", _pod(namespace, pod), body, content_type=_MERGE)

    async def apply(
        self, namespace: str, ref: ScaleTargetRef, document: Json, *, dry_run: bool = False
    ) -> None:
        """See `Pods`."""
        # Two managers may say the same; where they differ, the other one is asked to give way.
        wanted = {"fieldManager": rollout.MANAGER, "force": "false"}
        if dry_run:
            wanted["dryRun"] = "All"
        path = f"{_workload(namespace, ref)}?{urlencode(wanted)}"
        await self._cluster.request("PATCH", path, document, content_type=rollout.APPLY)


def _execute(
    api_client: kubernetes.client.ApiClient,
    path: str,
    container: str,
    command: Sequence[str],
) -> str:
    """Run a command in a container; its standard output.

    Raises:
        ClusterError: it could not be run, or did not end well.
    """
    query = [("container", container), ("stdout", "true"), ("stderr", "true")]
    query += [("command", part) for part in command]
    headers: dict[str, Any] = {}
    api_client.update_params_for_auth(headers, query, ["BearerToken"], path, "GET", None)
    configuration = api_client.configuration
    try:
        client = ws_client.WSClient(
            configuration,
            ws_client.get_websocket_url(f"{configuration.host}{path}", query),
            headers,
            capture_all=True,
        )
        client.run_forever(timeout=_EXEC_TIMEOUT)
        output = client.read_stdout(timeout=1) if client.peek_stdout() else ""
        told = client.read_channel(ws_client.ERROR_CHANNEL)
        client.close()
    except Exception as error:  # whatever websocket-client and its client raise
        raise ClusterError("ExecFailed", f"{type(error).__name__}: {error}"[:300]) from None
    status = yaml.safe_load(told) if told else {}
    if isinstance(status, dict) and status.get("status") == "Failure" and not output:
        raise ClusterError("ExecFailed", str(status.get("message"))[:300])
    return str(output).strip()


def _pod(namespace: str, pod: str) -> str:
    return f"/api/v1/namespaces/{_part(namespace)}/pods/{_part(pod)}"


def _workload(namespace: str, ref: ScaleTargetRef) -> str:
    root = f"/apis/{ref.group}/{ref.version}" if ref.group else f"/api/{ref.version}"
    # Of the kinds that have a template Foretide knows the plural.
    plural = f"{ref.kind.lower()}s"
    return f"{root}/namespaces/{_part(namespace)}/{plural}/{_part(ref.name)}"


def _part(text: str) -> str:
    """A name as one part of a path, whatever is in it."""
    if text in ("", ".", ".."):
        raise ClusterError("BadName", f"{text!r} is not a name")
    return quote(text, safe="")


def to_json(document: Any) -> str:
    """The document as it goes into an order."""
    return json.dumps(document, separators=(",", ":"))
