"""A real node leaves nothing on the host: after `down`, and after its supervisor was killed.

Covered: processes, mounts, network interfaces, routes, iptables rules, cgroups and the kernel's
settings. Left out: a reboot, after which none of these is there.
"""

import contextlib
import os
import re
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
from sandbox.process import identity

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
    """What a node could have left, each thing as a line of text; of other nodes as well."""
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


def left(before, *addresses):
    """What is on the host and was not `before`, leaving out nodes of other addresses."""
    ours = {address.split(".")[1] for address in addresses}
    new = host() - before
    numbers = {line: set(re.findall(r"foretide(?:-node-)?(\d+)", line)) for line in new}
    return {line for line in new if not numbers[line] or numbers[line] & ours}


def members(sandbox):
    """All processes of a node: those in its PID namespace or one below."""
    first = psutil.Process(read_record(sandbox.directory).first)
    # A container's shim loses its parent, and then is a child of the node's first process.
    everyone = [first, *first.children(recursive=True)]
    assert any("time.sleep" in " ".join(process.cmdline()) for process in everyone)
    return [(process.pid, identity(process.pid)) for process in everyone]


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


def test_two_nodes_stand_side_by_side_and_neither_leaves_anything(tmp_path, eventually, all_gone):
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
        here, there = stays.host_address, lost.host_address
        assert f"link foretide{there.split('.')[1]}" in left(between, there)

        os.kill(lost.state["pid"], signal.SIGKILL)
        all_gone(others)
        eventually(lambda: not left(between, there))

        said = stays.kubectl("exec", "sleeper", "--", "python3", "-c", "print('still here')")
        assert said == "still here\n"
        stays.down()
        all_gone(alone, timeout=0.1)
        assert not left(before, here, there)
        with Sandbox(spec("lost")) as again:
            assert "Ready" in again.kubectl("get", "nodes")
            last = again.host_address
    assert not left(before, here, there, last)
    assert {entry.name for entry in tmp_path.glob("*/*")} <= {"lock", "logs"}
