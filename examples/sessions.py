"""A small shop whose requests take 40 % of their time to read the user's session. Can you tell?

    python3 examples/sessions.py 8080
    curl localhost:8080

Each request unpickles the session anew. With SESSION_CACHE=1 it is unpickled once: that is the fix.
How many products a page shows is found at the start, and kept right while the shop runs, so that
the share is 40 % on any machine, busy or not.
"""

import html
import os
import pickle
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

SHARE = 0.4
CART = {
    f"item-{number}": {"price": number / 7, "tags": ["a", "b", str(number)]}
    for number in range(2_000)
}
STORED = pickle.dumps({"user": "alice", "cart": CART})
CACHE = {}


def load_session():
    """The hotspot."""
    if os.environ.get("SESSION_CACHE") != "1":
        return pickle.loads(STORED)
    if "alice" not in CACHE:
        CACHE["alice"] = pickle.loads(STORED)
    return CACHE["alice"]


def price_of(number):
    return sum((number * step) % 97 for step in range(20)) / 100


def describe(number):
    words = [f"part {step} of {number}" for step in range(12)]
    return html.escape(", ".join(sorted(words)))


def row(number):
    return f"<tr><td>{number}</td><td>{describe(number)}</td><td>{price_of(number):.2f}</td></tr>"


def render(session, products):
    rows = "".join(row(number) for number in range(products))
    return f"<h1>{session['user']}</h1><table>{rows}</table>".encode()


def seconds(work, times=5):
    """CPU seconds of one call, the best of some."""
    best = float("inf")
    for _ in range(times):
        before = time.thread_time()
        work()
        best = min(best, time.thread_time() - before)
    return best


def products_for(share):
    """How many products make a page of which so much of the time is the session."""
    session = seconds(lambda: pickle.loads(STORED))
    hundred = seconds(lambda: render({"user": "alice"}, 100))
    return max(1, round(100 * session * (1 - share) / share / hundred))


class Balance:
    """How many products a page shows, from what the last hundred requests or so have spent."""

    def __init__(self, products):
        self.products = products
        self.session = self.rest = 0.0

    def spent(self, session, rest):
        """A request has spent so many CPU seconds on its session, and on everything else."""
        self.session += (session - self.session) / 100
        self.rest += (rest - self.rest) / 100
        if self.session < SHARE * (self.session + self.rest):
            self.products = max(1, self.products - 1)
        else:
            self.products += 1


class Shop(BaseHTTPRequestHandler):
    """Answers each GET with a page."""

    protocol_version = "HTTP/1.1"
    balance = Balance(1)

    def do_GET(self):
        began = time.thread_time()
        session = load_session()
        loaded = time.thread_time()
        self.answer(render(session, self.balance.products))
        if os.environ.get("SESSION_CACHE") != "1":
            self.balance.spent(loaded - began, time.thread_time() - loaded)

    def answer(self, page):
        self.send_response(200)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *arguments):
        pass


def main():
    Shop.balance.products = products_for(SHARE)
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8080
    print(f"{Shop.balance.products} products a page, port {port}", flush=True)
    HTTPServer(("", port), Shop).serve_forever()


if __name__ == "__main__":
    main()
