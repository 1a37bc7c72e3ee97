"""`/metrics`, `/healthz` and `/readyz`."""

import httpx
import pytest

from foretide.operator.telemetry import Telemetry
from foretide.operator.web import WebServer


@pytest.fixture
async def web():
    """A server and a client for it; `ready` may be changed."""
    ready = []
    server = WebServer(Telemetry(), is_ready=lambda: bool(ready))
    await server.start("127.0.0.1", 0)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
        client.ready = ready
        yield client
    await server.stop()


async def test_metrics_are_in_prometheus_format(web):
    answer = await web.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    assert "# TYPE foretide_predictivescalers gauge" in answer.text
    assert "foretide_leader 0.0" in answer.text
    assert "process_resident_memory_bytes" in answer.text


async def test_healthy_from_the_start(web):
    assert (await web.get("/healthz")).status_code == 200


async def test_ready_only_when_it_is(web):
    assert (await web.get("/readyz")).status_code == 503
    web.ready.append(True)
    assert (await web.get("/readyz")).status_code == 200


async def test_nothing_else_is_served(web):
    assert (await web.get("/")).status_code == 404
    assert (await web.post("/metrics")).status_code == 405


async def test_a_tick_shows_in_the_metrics(cluster, demand, operator):
    await cluster.deployment(replicas=2)
    demand.answer = 250
    await cluster.scaler()
    await operator.until(lambda: cluster.replicas() == 5)
    server = WebServer(operator.telemetry, is_ready=lambda: True)
    await server.start("127.0.0.1", 0)
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"http://127.0.0.1:{server.port}/metrics")).text
    await server.stop()
    where = 'name="shop",namespace="default"'
    assert f'foretide_replica_changes_total{{direction="up",{where}}} 1.0' in text
    assert f'foretide_demand{{metric="demand",{where}}} 250.0' in text
    assert f'foretide_replicas{{{where},source="desired"}} 5.0' in text
