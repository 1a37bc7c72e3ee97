"""A real node leaves nothing on the host: after `down`, and after its supervisor was killed.

Covered: processes, mounts, network interfaces, routes, iptables rules, cgroups and the kernel's
settings. Left out: a reboot, after which none of these is there.
"""

import contextlib
import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest
from kubernetes import client, config

from sandbox import Sandbox, SandboxSpec
from sandbox.node import cgroups
from sandbox.node.images import python_image
from sandbox.node.packages import path, why_not
from sandbox.node.record import read_record

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.skipif(why_not() is not None, reason=f"no real node: {why_not()}"),
]

# What a kubelet would set for good, if it could.
SETTINGS = ("vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops")
SETTINGS += ("net/ipv4/ip_forward",)


def shown(*command):
    environment = {**os.environ, "PATH": path()}
    return subprocess.run(
        command, capture_output=True, text=True, check=True, env=environment
    ).stdout


def host():
    """What a node could have left, each thing as a line of text; of others' nodes as well."""
    rules = [
        line
        for line in shown("iptables-save").splitlines()
        if not line.startswith(("#", ":", "COMMIT", "*"))
    ]
    return {
        *(f"link {name}" for name in psutil.net_if_addrs()),
        *(f"route {line.strip()}" for line in shown("ip", "route").splitlines()),
        *(f"rule {line}" for line in rules),
        *(f"mount {m.mountpoint}" for m in psutil.disk_partitions(all=True)),
        *(f"cgroup {g}" for h in cgroups.hierarchies() for g in h.glob("foretide-node-*")),
        *(f"setting {s} {Path('/proc/sys', s).read_text().strip()}" for s in SETTINGS),
    }


def members(sandbox):
    """All processes of a node as psutil knows them: those in its PID namespace or one below."""
    first = psutil.Process(read_record(sandbox.directory).first)
    # A container's shim loses its parent, and then is a child of the node's first process.
    return [first, *first.children(recursive=True)]


def start_pod(sandbox, eventually):
    core = client.CoreV1Api(config.new_client_from_config(str(sandbox.kubeconfig)))
    container = {
        "name": "main",
        "image": python_image().reference,
        "command": ["python3", "-c", "import time; time.sleep(600)"],
    }
    core.create_namespaced_pod(
        "default", {"metadata": {"name": "sleeper"}, "spec": {"containers": [container]}}
    )
    eventually(lambda: core.read_namespaced_pod("sleeper", "default").status.phase == "Running")


def test_two_nodes_stand_side_by_side_and_neither_leaves_anything(tmp_path, eventually):
    def spec(name):
        directory = tmp_path / name
        return SandboxSpec(
            directory=directory, node=True, prometheus=False, images=[python_image()]
        )

    before = host()
    with contextlib.ExitStack() as stack:
        stays = stack.enter_context(Sandbox(spec("stays")))
        between = host()
        lost = stack.enter_context(Sandbox(spec("lost")))
        assert lost.host_address != stays.host_address
        for sandbox in (stays, lost):
            start_pod(sandbox, eventually)
        alone, others = members(stays), members(lost)
        assert any("time.sleep" in " ".join(p.cmdline()) for p in others)
        assert {f"link foretide{lost.host_address.split('.')[1]}"} <= host() - between

        os.kill(lost.state["pid"], signal.SIGKILL)
        eventually(lambda: not any(p.is_running() for p in others))
        eventually(lambda: not host() - between)

        said = stays.kubectl("exec", "sleeper", "--", "python3", "-c", "print('still here')")
        assert said == "still here\n"
        stays.down()
        assert not any(p.is_running() for p in alone)
        assert not host() - before
        with Sandbox(spec("lost")) as again:
            assert "Ready" in again.kubectl("get", "nodes")
    assert not host() - before
    for name in ("stays", "lost"):
        assert {entry.name for entry in (tmp_path / name).iterdir()} <= {"lock", "logs"}
