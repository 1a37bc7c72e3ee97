"""The component "node": it owns the namespaces in which the node's other components run.

It makes them, lays the cable between them and the host, and answers on its port when that is done.
Its end is the node's end. What the kernel does not clear away by itself is the caretaker's work.
"""

import contextlib
import os
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import psutil

from sandbox.errors import SandboxError
from sandbox.node import NAMESPACES, cgroups
from sandbox.node.addresses import Addresses
from sandbox.node.packages import path
from sandbox.node.record import Record, write_record
from sandbox.process import identity, spawn

# The supervisor knows these words: other addresses are chosen.
ADDRESS_IN_USE = "address already in use"
# How long an earlier node on the same addresses may take to go.
TAKEN_SECONDS = 5.0


def main() -> int:
    directory, number, port = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    os.environ["PATH"] = path()
    addresses = Addresses(number)
    try:
        _claim(addresses)
        first = _first_process(directory)
        caretaker = _caretaker(first, addresses)
        known = identity(first), identity(caretaker.pid)
        assert known[0] is not None
        assert known[1] is not None
        write_record(directory, Record(first, known[0], caretaker.pid, known[1]))
        cgroups.make(addresses.cgroup)
        _connect(first, addresses)
    except (OSError, SandboxError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", None) or ""
        # Another node took the name of our cable, or the route, since we looked.
        taken = f"; {ADDRESS_IN_USE}" if "File exists" in said else ""
        print(f"{error} {said.strip()}{taken}", flush=True)
        return 1
    with HTTPServer(("127.0.0.1", port), _Ready) as server:
        server.serve_forever()
    return 0


class _Ready(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        """Nothing: it is asked every few milliseconds."""


def _claim(addresses: Addresses) -> None:
    deadline = time.monotonic() + TAKEN_SECONDS
    while Path("/sys/class/net", addresses.cable).exists():
        if time.monotonic() > deadline:
            raise SandboxError(f"{addresses.network}: {ADDRESS_IN_USE}")
        time.sleep(0.05)


def _first_process(directory: Path) -> int:
    """Start `sandbox.node.init` in new namespaces; returns its pid on the host.

    The kernel kills unshare when this process dies, and the first process when unshare dies.
    """
    heard, told = os.pipe()
    command = ["unshare", *NAMESPACES, "--propagation", "private", "--fork", "--kill-child"]
    command += [sys.executable, "-m", "sandbox.node.init", str(directory)]
    with os.fdopen(heard) as answer:
        with os.fdopen(told, "wb") as output:
            unshare = spawn(command, cwd=directory, environment=os.environ, output=output)
        said: list[str] = []
        for line in answer:
            if line == "ready\n":
                (child,) = psutil.Process(unshare.pid).children()
                return int(child.pid)
            said.append(line)
    raise SandboxError(f"no namespaces for the node: {''.join(said[-5:]).strip()}")


def _caretaker(first: int, addresses: Addresses) -> subprocess.Popen[bytes]:
    """Start the one that clears away after us; it waits for the end of the pipe that we hold."""
    arguments = [str(first), identity(first) or "", str(addresses.number)]
    return subprocess.Popen(
        [sys.executable, "-m", "sandbox.node.caretaker", *arguments],
        stdin=subprocess.PIPE,
        cwd="/",
        start_new_session=True,
    )


def _connect(first: int, addresses: Addresses) -> None:
    """Lay the cable and tell both ends where the other's addresses are."""
    inside = ["nsenter", f"--target={first}", "--net", "ip"]
    cable = addresses.cable
    for command in (
        ["ip", "link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", str(first)],
        ["ip", "address", "add", f"{addresses.host}/30", "dev", cable],
        ["ip", "link", "set", cable, "up"],
        [*inside, "address", "add", f"{addresses.node}/30", "dev", "eth0"],
        [*inside, "link", "set", "eth0", "up"],
        # For ClusterIPs that a process of the node itself asks for: they need a route before
        # kube-proxy's rules see them.
        [*inside, "route", "add", "default", "via", addresses.host],
        ["ip", "route", "add", addresses.network, "via", addresses.node],
    ):
        subprocess.run(command, check=True, capture_output=True, text=True)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
