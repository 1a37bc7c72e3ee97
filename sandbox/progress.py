"""Telling a person what happens, on a terminal and in a log alike."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import Progress as Bar
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

STILL_SECONDS = 30.0


class Progress(Protocol):
    """Where steps are told: `step` spans a long one, `say` is a line of its own."""

    def say(self, text: str) -> None: ...

    def step(self, text: str) -> AbstractContextManager[None]: ...


class Silent:
    """Says nothing."""

    def say(self, text: str) -> None:
        """Nothing."""

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        yield


class Told:
    """Lines on `stream` (standard error by default); a terminal gets a spinner and a clock."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._console = Console(file=stream or sys.stderr, highlight=False)

    def say(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        began = time.monotonic()
        with self._bar(text) if self._console.is_terminal else self._lines(text, began):
            yield
        self.say(f"{text}: done in {time.monotonic() - began:.1f} s")

    @contextmanager
    def _bar(self, text: str) -> Iterator[None]:
        columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
        with Bar(*columns, console=self._console, transient=True) as bar:
            bar.add_task(text, total=None)
            yield

    @contextmanager
    def _lines(self, text: str, began: float) -> Iterator[None]:
        over = threading.Event()

        def remind() -> None:
            while not over.wait(STILL_SECONDS):
                self.say(f"{text}: {time.monotonic() - began:.0f} s so far")

        self.say(f"{text} ...")
        reminder = threading.Thread(target=remind, daemon=True)
        reminder.start()
        try:
            yield
        finally:
            over.set()
            reminder.join()
