"""The door to pods, where what is behind it does not answer."""

import asyncio
import threading
from types import SimpleNamespace

from foretide.operator.cluster import ClusterError
from foretide.operator.profilers import door
from foretide.operator.profilers.door import KubernetesPods


async def test_a_node_that_hangs_holds_up_neither_the_tick_nor_other_threads(
    monkeypatch,
):
    end = threading.Event()
    monkeypatch.setattr(door, "_execute", lambda *asked: end.wait(60))
    monkeypatch.setattr(door, "_EXEC_GIVEN_UP", 0.02)
    pods = KubernetesPods(SimpleNamespace(client=None))
    try:
        orders = [pods.order("shop", f"shop-{it}", "ours", "end") for it in range(40)]
        found = await asyncio.gather(*orders, return_exceptions=True)
        assert {(type(it), it.reason) for it in found} == {(ClusterError, "ExecFailed")}
        assert await asyncio.to_thread(int, "1") == 1
    finally:
        end.set()
