"""Bound by the network: clients of a slow upstream, and servers that wait for it.

The upstream, and who asks the servers, are processes of their own.
"""

from __future__ import annotations

import asyncio
import http.client
import os
import signal
import socket
import socketserver
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from benchmarks.programs.running import ready, run


def _upstream(delay: float = 0.02) -> int:
    """A process that answers each line after `delay` seconds; returns its port."""
    process = _beside("upstream", str(delay))
    assert process.stdout is not None
    return int(process.stdout.readline())


def _beside(*arguments: str) -> subprocess.Popen[bytes]:
    left = signal.getitimer(signal.ITIMER_REAL)[0]
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.programs.peers", str(int(left) + 1), *arguments],
        stdout=subprocess.PIPE,
    )


def blocking(folder: str) -> None:
    """One thread that asks and waits."""
    connection = socket.create_connection(("127.0.0.1", _upstream()))
    ready()
    while True:
        connection.sendall(b"line\n")
        connection.recv(100)


def pool(folder: str) -> None:
    """Four of a pool of ten ask over HTTP, with a time limit, as clients do."""
    port = _upstream()

    def ask(_: int) -> int:
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        client.request("GET", "/")
        answer = client.getresponse()
        answer.read()
        client.close()
        return answer.status

    with ThreadPoolExecutor(10) as workers:
        list(workers.map(ask, range(20)))
        ready()
        while True:
            list(workers.map(ask, range(4)))


def server(folder: str) -> None:
    """An HTTP server whose handlers wait for an upstream, while requests are in flight."""
    port = _upstream(0.1)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            with socket.create_connection(("127.0.0.1", port)) as upstream:
                upstream.sendall(b"line\n")
                answer = upstream.recv(100)
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        _beside("askers", str(listening.server_address[1]), "3")
        ready()
        listening.serve_forever()


def coroutines(folder: str) -> None:
    """An event loop with five coroutines that each wait for an answer."""
    port = _upstream(0.05)

    async def ask() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while True:
            writer.write(b"line\n")
            await writer.drain()
            await reader.read(100)

    async def main() -> None:
        await asyncio.gather(*(ask() for _ in range(5)))

    ready()
    asyncio.run(main())


def relay(folder: str) -> None:
    """A server of raw lines whose three threads each wait for the upstream."""
    port = _upstream(0.05)

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with socket.create_connection(("127.0.0.1", port)) as upstream:
                for line in self.rfile:
                    upstream.sendall(line)
                    self.wfile.write(upstream.recv(100))

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        _beside("liners", str(listening.server_address[1]), "3")
        ready()
        threading.Event().wait()


if __name__ == "__main__":
    os.environ.pop("http_proxy", None)
    run(
        {
            "blocking": blocking,
            "pool": pool,
            "server": server,
            "coroutines": coroutines,
            "relay": relay,
        }
    )
