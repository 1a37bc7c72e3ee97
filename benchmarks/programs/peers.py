"""The other end of a connection: an upstream that takes its time, and clients that ask a server.

python -m benchmarks.programs.peers SECONDS upstream DELAY
python -m benchmarks.programs.peers SECONDS askers PORT COUNT      (HTTP)
python -m benchmarks.programs.peers SECONDS liners PORT COUNT      (lines)
python -m benchmarks.programs.peers SECONDS holders PORT COUNT     (connect, and say nothing)
"""

from __future__ import annotations

import http.client
import signal
import socket
import socketserver
import sys
import time
from typing import Callable  # noqa: UP035

from benchmarks.programs.running import start


def upstream(delay: float) -> None:
    """Answer each line, of HTTP the whole request, after `delay` seconds."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            for line in self.rfile:
                if line.startswith(b"GET "):
                    while self.rfile.readline().strip():
                        pass
                    time.sleep(delay)
                    self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                else:
                    time.sleep(delay)
                    self.wfile.write(b"answer\n")

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()


def asker(port: int) -> None:
    """One request after the other, on one connection."""
    client = http.client.HTTPConnection("127.0.0.1", port)
    while True:
        client.request("GET", "/")
        client.getresponse().read()


def liner(port: int) -> None:
    """One line after the other."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        while True:
            connection.sendall(b"line\n")
            if not connection.recv(100):
                return


def holder(port: int) -> None:
    """A connection that is kept, and not used after one request."""
    client = http.client.HTTPConnection("127.0.0.1", port)
    client.request("GET", "/")
    client.getresponse().read()
    while True:
        time.sleep(60)


def main() -> None:
    seconds, what, number = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    signal.alarm(seconds)
    if what == "upstream":
        upstream(float(number))
    asks: Callable[[int], None] = {"askers": asker, "liners": liner, "holders": holder}[what]
    for thread in start(int(sys.argv[4]), lambda: asks(int(number))):
        thread.join()


if __name__ == "__main__":
    main()
