"""The door to pods: logs as kubelets hand them out, and what is behind it that does not answer."""

import asyncio
import threading
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

from foretide.operator.cluster import ClusterError
from foretide.operator.profilers import door
from foretide.operator.profilers.door import KubernetesPods
from foretide.operator.profilers.log_lines import Line


class Kubelet:
    """Answers with the log that a test has given, and keeps what was asked."""

    def __init__(self, log):
        self.log, self.asked = log, []

    async def text(self, path):
        self.asked.append({key: it[0] for key, it in parse_qs(urlsplit(path).query).items()})
        return self.log


async def read(log, since=None):
    kubelet = Kubelet(log)
    lines, complete = await KubernetesPods(kubelet).log("shop", "shop-1", "ours", since=since)
    return lines, complete, kubelet.asked[0]


async def test_each_line_comes_with_the_time_that_its_node_wrote():
    log = (
        "2026-03-01T10:00:00.250000000Z first\n"
        "2026-03-01T11:00:01.000000000+01:00 second, at 2026-03-01T10:00:00Z or so\n"
        "rpc error: code = NotFound\n"
    )
    lines, complete, asked = await read(log, since=1_772_359_200.0)
    assert lines == [
        Line(1_772_359_200.25, "first"),
        Line(1_772_359_201.0, "second, at 2026-03-01T10:00:00Z or so"),
    ]
    assert complete
    assert (asked["timestamps"], asked["sinceTime"]) == ("true", "2026-03-01T10:00:00Z")


async def test_a_long_line_is_whole_though_an_old_kubelet_stamps_each_of_its_parts():
    stamp = "2026-03-01T10:00:00.250000000Z "
    lines, _, _ = await read(f"{stamp}{'x' * 16_384}{stamp}{'y' * 100}\n")
    assert [line.text for line in lines] == ["x" * 16_384 + "y" * 100]


async def test_a_log_that_is_cut_off_lacks_its_last_line(monkeypatch):
    log = "2026-03-01T10:00:00Z whole\n2026-03-01T10:00:01Z ha"
    monkeypatch.setattr(door, "_LONGEST_LOG", len(log))
    lines, complete, _ = await read(log)
    assert ([line.text for line in lines], complete) == (["whole"], False)


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
