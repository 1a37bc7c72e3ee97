"""Idle: servers without requests, pools without work, a program that mostly sleeps."""

from __future__ import annotations

import asyncio
import queue
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from benchmarks.programs.running import ready, run, spin, start


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: Any) -> None:
        pass


def listening(folder: str) -> None:
    """An HTTP server that nobody asks."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        ready()
        server.serve_forever()


def parked(folder: str) -> None:
    """Ten workers, and no orders."""
    orders: queue.Queue[int] = queue.Queue()

    def work() -> None:
        while True:
            orders.get()

    threads = start(10, work)
    ready()
    threads[0].join()


def kept(folder: str) -> None:
    """Three clients keep their connections to an HTTP server, and ask nothing."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        port = str(server.server_address[1])
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.programs.peers", "120", "holders", port, "3"]
        )
        threading.Timer(1.0, ready).start()
        server.serve_forever()


def loop(folder: str) -> None:
    """An event loop that serves, without requests, and has a look at something each second."""

    async def main() -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()

        await asyncio.start_server(answer, "127.0.0.1", 0)
        ready()
        while True:
            await asyncio.sleep(1)
            spin(1)

    asyncio.run(main())


def heartbeat(folder: str) -> None:
    """Sleeps, and does a little twice a second."""
    ready()
    while True:
        time.sleep(0.5)
        spin(2)


if __name__ == "__main__":
    run(
        {
            "listening": listening,
            "parked": parked,
            "kept": kept,
            "loop": loop,
            "heartbeat": heartbeat,
        }
    )
