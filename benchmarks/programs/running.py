# ruff: noqa: UP006, UP035 - Python 3.8 knows no other names
"""What the little programs share: variants, an end that is certain, and the truth about themselves.

They run under any Python from 3.8 on, on the standard library alone, from the repository's root:

    python -m benchmarks.programs.cpu parse 10 SCRATCH_FOLDER
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from typing import Callable, Dict, List, Mapping, Tuple

Variant = Callable[[str], None]


def run(variants: Mapping[str, Variant]) -> None:
    """Run what the command line names: VARIANT SECONDS FOLDER. The kernel ends it: no thread."""
    if len(sys.argv) != 4 or sys.argv[1] not in variants:
        sys.exit(f"usage: {sys.argv[0]} {{{','.join(sorted(variants))}}} SECONDS FOLDER")
    signal.alarm(int(float(sys.argv[2])) + 1)
    os.makedirs(sys.argv[3], exist_ok=True)
    variants[sys.argv[1]](sys.argv[3])


def ready() -> None:
    """Tell who has started this program that it is at its work."""
    print(json.dumps({"ready": True}), flush=True)


def spin(units: int) -> int:
    """Pure Python work, of about 50 us a unit. Holds the GIL."""
    total = 0
    for number in range(units * 1_000):
        total += number & 7
    return total


def start(count: int, work: Callable[[], None], name: str = "worker") -> List[threading.Thread]:
    """Threads that do `work`, until the process ends."""
    threads = [
        threading.Thread(target=work, name=f"{name}-{number}", daemon=True)
        for number in range(count)
    ]
    for thread in threads:
        thread.start()
    return threads


class Truth:
    """CPU seconds of each planted function, by the program's own clocks, told every 0.1 s.

    Each thread has a book of its own: [CPU seconds, calls] by the function's name.
    """

    def __init__(self) -> None:
        self._books: List[Dict[str, List[float]]] = []
        self._mine = threading.local()
        self._told = 0.0
        self.requests = 0

    def call(self, function: Callable[[], object]) -> None:
        """Call it, and book what it cost this thread."""
        before = time.thread_time()
        function()
        book = self._book()
        entry = book.setdefault(function.__name__, [0.0, 0])
        entry[0] += time.thread_time() - before
        entry[1] += 1

    def tell(self) -> None:
        """Print the sums so far, if the last time is long enough ago."""
        now = time.time()
        if now - self._told < 0.1:
            return
        self._told = now
        sums: Dict[str, Tuple[float, float]] = {}
        for book in list(self._books):
            for name, (cpu, calls) in list(book.items()):
                before = sums.get(name, (0.0, 0.0))
                sums[name] = (before[0] + cpu, before[1] + calls)
        cpu_seconds = {name: round(cpu, 6) for name, (cpu, _) in sums.items()}
        line = {
            "at": round(now, 4),
            "cpu": cpu_seconds,
            "process": round(time.process_time(), 6),
            "requests": self.requests,
        }
        print(json.dumps(line), flush=True)

    def _book(self) -> Dict[str, List[float]]:
        book = getattr(self._mine, "book", None)
        if book is None:
            book = self._mine.book = {}
            self._books.append(book)
        return book
