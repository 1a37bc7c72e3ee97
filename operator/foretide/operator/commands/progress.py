"""How far a command's work has come: a bar on a terminal, a line now and then in a log."""

import sys
import threading
import time
from typing import TextIO

_WIDTH = 30


class Bar:
    """Called with how many steps are done, of how many, and what was done last."""

    def __init__(self, out: TextIO | None = None, *, every: float = 10.0) -> None:
        """Write to `out` (standard error); where that is no terminal, each `every` seconds."""
        self._out = sys.stderr if out is None else out
        self._terminal = self._out.isatty()
        self._every = every
        self._state = (0, 1, "")
        self._ended = threading.Event()
        self._began = 0.0
        # A thread, as a step of the work may take longer than anybody waits without a word.
        self._teller = threading.Thread(target=self._tell, daemon=True)

    def __enter__(self) -> "Bar":
        self._began = time.monotonic()
        if not self._terminal:
            self._teller.start()
        return self

    def __call__(self, done: int, total: int, label: str) -> None:
        self._state = (done, total, label)
        if self._terminal:
            full = _WIDTH * done // max(1, total)
            bar = "#" * full + "." * (_WIDTH - full)
            self._write(f"\r[{bar}] {done / max(1, total):4.0%}  {label}\033[K")

    def __exit__(self, *_: object) -> None:
        if self._terminal:
            self._write("\r\033[K")
            return
        self._ended.set()
        self._teller.join()

    def _tell(self) -> None:
        while not self._ended.wait(self._every):
            done, total, label = self._state
            last = f", last {label}" if label else ""
            passed = time.monotonic() - self._began
            self._write(f"{done / max(1, total):.0%} done after {passed:.0f} s{last}\n")

    def _write(self, text: str) -> None:
        print(text, end="", file=self._out, flush=True)
