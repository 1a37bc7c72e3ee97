"""What a fresh API server must hold before a sandbox is of use: nodes, and the external metrics."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from sandbox.adapter import GROUP
from sandbox.errors import SandboxError
from sandbox.pki import encoded
from sandbox.plan import Plan

Condition = Callable[[Plan, httpx.AsyncClient], Awaitable[bool]]
SERVICE = "external-metrics"
NAMESPACE = "kube-system"


async def bootstrap(plan: Plan, client: httpx.AsyncClient) -> None:
    """Create what the spec asks for. `client` authenticates as administrator."""
    creations = []
    if plan.spec.fake_nodes:
        nodes = [_node(plan, number) for number in range(plan.spec.nodes)]
        creations += [_create(client, plan, "/api/v1/nodes", node) for node in nodes]
    if plan.spec.external_metrics:
        services = f"/api/v1/namespaces/{NAMESPACE}/services"
        registrations = "/apis/apiregistration.k8s.io/v1/apiservices"
        creations.append(_create(client, plan, services, _service(plan)))
        creations.append(_create(client, plan, registrations, _api_service(plan)))
    await asyncio.gather(*creations)


async def wait_usable(plan: Plan, client: httpx.AsyncClient, *, timeout: float) -> None:
    """Wait until a pod can be created, scheduled and scaled. Raises SandboxError after `timeout`.

    The API server is ready before that: nodes still carry a taint, namespaces lack the account
    that pods run as, and the registration of the external metrics is not yet seen.
    """
    spec = plan.spec
    conditions: list[tuple[str, Condition]] = []
    if (spec.node or spec.fake_nodes) and spec.controller_manager:
        conditions.append(("nodes ready and without taint", _nodes_usable))
    if spec.controller_manager:
        conditions.append(("the default service account", _account_exists))
    if spec.external_metrics:
        conditions.append(("the external metrics API", _metrics_available))
    for description, condition in conditions:
        deadline = time.monotonic() + timeout
        while not await _holds(condition, plan, client):
            if time.monotonic() > deadline:
                raise SandboxError(f"no {description} after {timeout:.0f} s")
            await asyncio.sleep(0.05)


async def _holds(condition: Condition, plan: Plan, client: httpx.AsyncClient) -> bool:
    try:
        return await condition(plan, client)
    except httpx.TransportError:
        return False


async def _create(client: httpx.AsyncClient, plan: Plan, path: str, body: dict[str, Any]) -> None:
    # kube-system is made by the API server itself, a moment after it reports ready.
    problem = ""
    for _ in range(100):
        try:
            response = await client.post(plan.api_url + path, json=body)
        except httpx.TransportError as error:
            problem = repr(error)
        else:
            if response.status_code in (httpx.codes.CREATED, httpx.codes.CONFLICT):
                return
            problem = response.text
            if response.is_client_error and response.status_code != httpx.codes.NOT_FOUND:
                break
        await asyncio.sleep(0.05)
    raise SandboxError(f"cannot create {body['kind']}: {problem}")


async def _nodes_usable(plan: Plan, client: httpx.AsyncClient) -> bool:
    response = await client.get(f"{plan.api_url}/api/v1/nodes")
    nodes = response.json()["items"] if response.is_success else []
    return len(nodes) == (1 if plan.spec.node else plan.spec.nodes) and all(
        not node["spec"].get("taints")
        and any(c["type"] == "Ready" and c["status"] == "True" for c in _conditions(node))
        for node in nodes
    )


async def _account_exists(plan: Plan, client: httpx.AsyncClient) -> bool:
    url = f"{plan.api_url}/api/v1/namespaces/default/serviceaccounts/default"
    return (await client.get(url)).is_success


async def _metrics_available(plan: Plan, client: httpx.AsyncClient) -> bool:
    return (await client.get(f"{plan.api_url}/apis/{GROUP}/v1beta1")).is_success


def _conditions(node: dict[str, Any]) -> list[dict[str, Any]]:
    return node["status"].get("conditions") or []


def _node(plan: Plan, number: int) -> dict[str, Any]:
    name = f"node-{number}"
    capacity = {
        "cpu": plan.spec.cpu_per_node,
        "memory": plan.spec.memory_per_node,
        "pods": str(plan.spec.pods_per_node),
    }
    labels = {
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "type": "kwok",
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": labels,
            "annotations": {"kwok.x-k8s.io/node": "fake"},
        },
        "status": {"capacity": capacity, "allocatable": capacity},
    }


def _service(plan: Plan) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": SERVICE, "namespace": NAMESPACE},
        "spec": {"type": "ExternalName", "externalName": "localhost"},
    }


def _api_service(plan: Plan) -> dict[str, Any]:
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": f"v1beta1.{GROUP}"},
        "spec": {
            "group": GROUP,
            "version": "v1beta1",
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "caBundle": encoded(plan.layout.pki / "ca.crt"),
            "service": {
                "name": SERVICE,
                "namespace": NAMESPACE,
                "port": plan.ports["external-metrics"],
            },
        },
    }
