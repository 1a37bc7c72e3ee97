"""How far a command's work has come: a bar on a terminal, a line now and then in a log."""

import shutil
import sys
import threading
import time
from typing import TextIO

_WIDTH = 30
_NARROW = 20  # beside more words
_MOMENT = 0.5  # seconds between two views of a terminal


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
            self._write(
                f"\r[{_drawn(done, total, _WIDTH)}] {done / max(1, total):4.0%}  {label}\033[K"
            )

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


class Clock:
    """How many seconds of a recording there are, of how many: it goes by itself between two words.

    On a terminal a bar; in a log a line at the start, and one each `every` seconds.
    """

    def __init__(
        self, total: float, label: str, out: TextIO | None = None, *, every: float = 10.0
    ) -> None:
        self._out = sys.stderr if out is None else out
        self._terminal = self._out.isatty()
        self._period = _MOMENT if self._terminal else every
        self._total = total
        self._label = label
        self._done, self._until, self._since = 0.0, 0.0, 0.0
        self._ended = threading.Event()
        self._teller = threading.Thread(target=self._tell, daemon=True)

    def __enter__(self) -> "Clock":
        self._say()
        self._teller.start()
        return self

    def __call__(self, done: float, until: float) -> None:
        """So many seconds are on record, and it has begun to record as far as `until`."""
        self._done, self._until, self._since = done, until, time.monotonic()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._teller.join()
        if self._terminal:
            print("\r\033[K", end="", file=self._out, flush=True)

    def _tell(self) -> None:
        while not self._ended.wait(self._period):
            self._say()

    def _say(self) -> None:
        now = min(self._until, self._done + time.monotonic() - self._since)
        text = f"{now:.0f} of {self._total:.0f} s  {self._label}"
        if self._terminal:
            line = f"[{_drawn(now, self._total, _NARROW)}] {text}"
            # What is wider than the terminal would begin a new line each time.
            text = f"\r{line[: shutil.get_terminal_size().columns - 1]}\033[K"
        else:
            text += "\n"
        print(text, end="", file=self._out, flush=True)


def _drawn(done: float, total: float, width: int) -> str:
    full = min(width, int(width * done / total)) if total > 0 else 0
    return "#" * full + "." * (width - full)
