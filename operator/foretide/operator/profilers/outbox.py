"""What waits to be sent, within an age and a number of bytes: the oldest goes first. No I/O."""

from collections import deque
from collections.abc import Sequence
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")

LONGEST_WAIT = 3_600.0
MOST_BYTES = 64 * 1024 * 1024


class _Ticket(NamedTuple):
    number: int
    at: float
    size: int


class Outbox(Generic[T]):
    """A queue that forgets rather than grows."""

    def __init__(self, *, longest_wait: float = LONGEST_WAIT, most_bytes: int = MOST_BYTES) -> None:
        """Things wait for `longest_wait` seconds at most, and `most_bytes` of them."""
        self._longest_wait = longest_wait
        self._most_bytes = most_bytes
        self._queue: deque[tuple[_Ticket, T]] = deque()
        self._number = 0
        self.size = 0
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, item: T, size: int, now: float) -> None:
        """Let a thing of so many bytes wait; older ones go where there is no room."""
        self._number += 1
        self._queue.append((_Ticket(self._number, now, size), item))
        self.size += size
        while self.size > self._most_bytes and len(self._queue) > 1:
            self._drop()

    def trim(self, now: float) -> None:
        """Let go what has waited too long. A clock that was set back drops nothing."""
        while self._queue and now - self._queue[0][0].at > self._longest_wait:
            self._drop()

    def take(self, most_bytes: int, most: int) -> tuple[Sequence[T], int]:
        """The oldest things up to so many bytes (one at least), and what to `settle` them with."""
        taken: list[T] = []
        size, upto = 0, 0
        for ticket, item in self._queue:
            if taken and (size + ticket.size > most_bytes or len(taken) == most):
                break
            taken.append(item)
            size, upto = size + ticket.size, ticket.number
        return taken, upto

    def settle(self, upto: int) -> None:
        """What was taken need not wait any more; other things may have come meanwhile."""
        while self._queue and self._queue[0][0].number <= upto:
            self.size -= self._queue.popleft()[0].size

    def _drop(self) -> None:
        self.size -= self._queue.popleft()[0].size
        self.dropped += 1
