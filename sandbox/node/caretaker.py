"""Clears away after a node what the kernel leaves: the cgroups, and the cable if it still hangs.

It is a process of its own that outlives the sandbox: its standard input ends when the node's owner
has gone, in whatever way; then it sees to it that the node is gone too, clears away and ends.
"""

import contextlib
import os
import signal
import subprocess
import sys

from sandbox.node import cgroups
from sandbox.node.addresses import Addresses
from sandbox.node.packages import path
from sandbox.process import is_alive, wait_until

ENDED_SECONDS = 15.0


def main() -> int:
    first, known, addresses = int(sys.argv[1]), sys.argv[2], Addresses(int(sys.argv[3]))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.environ["PATH"] = path()
    while os.read(sys.stdin.fileno(), 4096):
        pass
    if is_alive(first, known):
        with contextlib.suppress(ProcessLookupError):
            os.kill(first, signal.SIGKILL)
    ended = wait_until(lambda: not is_alive(first, known), ENDED_SECONDS)
    # With its network namespace the kernel removes it too, but later.
    command = ["ip", "link", "delete", addresses.cable]
    subprocess.run(command, capture_output=True, check=False)
    return 0 if cgroups.remove(addresses.cgroup) and ended else 1


if __name__ == "__main__":
    sys.exit(main())
