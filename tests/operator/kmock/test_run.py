"""`foretide run` as a whole: leader election, the web server, signals and the way out.

Here the API server has a thread and an event loop of its own: kopf takes all younger tasks of its
loop for its own when it stops, and a stop must not have to wait for them.
"""

import asyncio
import os
import signal
import threading
import time

import httpx
import pytest
import yaml

from foretide.operator.run import RunOptions, run

LEASES = "coordination.k8s.io/v1/leases"


@pytest.fixture
async def far(serve_api):
    """A cluster in another thread; `far.do` has something done there."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def do(coroutine):
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, loop))

    context = serve_api()
    cluster = await do(context.__aenter__())
    cluster.do = do
    yield cluster
    await do(context.__aexit__(None, None, None))
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def options(tmp_path, monkeypatch, far):
    """What the command line would say."""
    monkeypatch.setenv("KUBECONFIG", "")
    kubeconfig = {
        "current-context": "kmock",
        "contexts": [{"name": "kmock", "context": {"cluster": "kmock", "user": "kmock"}}],
        "clusters": [{"name": "kmock", "cluster": {"server": str(far.api.url).rstrip("/")}}],
        "users": [{"name": "kmock", "user": {"token": "secret"}}],
    }
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(kubeconfig))
    (tmp_path / "foretide.yaml").write_text("syncPeriod: 1s\n")
    return RunOptions(
        config_file=tmp_path / "foretide.yaml",
        kubeconfig=str(tmp_path / "kubeconfig"),
        listen_host="127.0.0.1",
        listen_port=0,
        port_file=tmp_path / "port",
    )


@pytest.fixture
async def running(options, eventually, monkeypatch):
    """The operator as a task, and a client for its web server."""
    # Should nobody listen to the signal, the test must fail, not end.
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    task = asyncio.create_task(run(options))
    await eventually(lambda: task.done() or (options.port_file.exists() and _port(options)))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{_port(options)}") as client:
        client.task = task
        yield client
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
    signal.signal(signal.SIGTERM, before)


def _port(options):
    return options.port_file.read_text().strip()


async def wait_ready(client):
    deadline = time.monotonic() + 5
    while (await client.get("/readyz")).status_code != 200:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_a_leader_works_and_stops_at_a_signal(far, running, eventually):
    await wait_ready(running)
    await eventually(lambda: far.api.find(LEASES, "foretide-operator"))
    assert far.api.find(LEASES, "foretide-operator")["spec"]["holderIdentity"]
    await far.do(far.deployment(replicas=2))
    await far.do(far.scaler())
    await eventually(lambda: far.condition("Ready") == ("False", "SourceUnknown"))
    async with httpx.AsyncClient(base_url=running.base_url) as prometheus:
        metrics = (await prometheus.get("/metrics")).text
        assert "foretide_leader 1.0" in metrics
        assert "foretide_predictivescalers 1.0" in metrics
        # Prometheus keeps its connection open; that must not hold up the stop.
        began = time.monotonic()
        os.kill(os.getpid(), signal.SIGTERM)
        assert await asyncio.wait_for(running.task, 10) == 0
        assert time.monotonic() - began < 3
    assert far.api.find(LEASES, "foretide-operator")["spec"]["holderIdentity"] == ""
    with pytest.raises(httpx.TransportError):
        await running.get("/healthz")


ADVISORS = "foretide.dev/v1alpha1/databaseadvisors"


@pytest.fixture
async def advisor(far):
    """A DatabaseAdvisor that is there before the operator is, as after each restart of one."""
    far.api.declare(ADVISORS, "DatabaseAdvisor")
    far.api.declare("v1/secrets", "Secret")
    spec = {"connection": {"secretRef": {"name": "nowhere"}}}
    await far.do(far.create(ADVISORS, "shop", {"spec": spec}))


@pytest.mark.usefixtures("advisor")
async def test_a_resource_that_the_census_finds_before_a_watch_does_has_events_too(
    far, running, eventually, caplog
):
    await wait_ready(running)
    await eventually(lambda: "SecretMissing" in [it["reason"] for it in far.api.all("v1/events")])
    assert "tick failed" not in caplog.text
    os.kill(os.getpid(), signal.SIGTERM)
    assert await asyncio.wait_for(running.task, 10) == 0


@pytest.fixture
async def led_by_another(far):
    spec = {
        "holderIdentity": "another",
        "leaseDurationSeconds": 15,
        "renewTime": "2026-03-02T12:00:00.000000Z",
        "leaseTransitions": 0,
    }
    await far.do(far.create(LEASES, "foretide-operator", {"spec": spec}))


@pytest.mark.usefixtures("led_by_another")
async def test_a_follower_is_ready_and_writes_nothing(far, running):
    await far.do(far.deployment(replicas=2))
    await far.do(far.scaler())
    await wait_ready(running)
    assert "foretide_leader 0.0" in (await running.get("/metrics")).text
    os.kill(os.getpid(), signal.SIGTERM)
    assert await asyncio.wait_for(running.task, 5) == 0
    assert not far.writes()
    assert far.api.find(LEASES, "foretide-operator")["spec"]["holderIdentity"] == "another"
