"""Free loopback ports."""

import random
import socket
from contextlib import ExitStack

# Below what Linux and macOS hand out for outgoing connections: a component that was killed must
# find its port free when it is started again, and not in use by somebody's client socket.
LOWEST, HIGHEST = 10_000, 29_999


def free_ports(count: int) -> list[int]:
    """`count` different TCP ports that were free on 127.0.0.1 just now.

    They are held until all are found, so that one call never returns the same port twice. Another
    process may still take one before it is used: who starts a server must be ready to try again.
    """
    with ExitStack() as stack:
        return [_claim(stack) for _ in range(count)]


def _claim(stack: ExitStack) -> int:
    for _ in range(200):
        port = _bind(stack, random.randint(LOWEST, HIGHEST))
        if port is not None:
            return port
    port = _bind(stack, 0)
    if port is None:
        raise OSError("no free TCP port on 127.0.0.1")
    return port


def _bind(stack: ExitStack, port: int) -> int | None:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.bind(("127.0.0.1", port))
    except OSError:
        sock.close()
        return None
    stack.callback(sock.close)
    return int(sock.getsockname()[1])
