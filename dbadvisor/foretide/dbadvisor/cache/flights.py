"""One load for each key at a time, and who may use what it has found."""

import asyncio
import threading
from typing import Any

from foretide.dbadvisor.cache.results import Result


class Flight:
    """A load under way. `number` tells which of two began first.

    `result` is set, before it lands, if it may be handed to those who wait: it was read after this
    flight's number was given, so it is no older than any call that had seen a smaller number.
    """

    def __init__(self, number: int, landed: Any) -> None:
        self.number = number
        self.result: Result | None = None
        self.landed = landed

    def wait(self) -> Any:
        """A value or an awaitable, for steps."""
        return self.landed.wait()


class Flights:
    """Those under way in this process. `event` makes what can be waited for."""

    def __init__(self, event: type[threading.Event] | type[asyncio.Event]) -> None:
        self._event = event
        self._lock = threading.Lock()
        self._under_way: dict[bytes, Flight] = {}
        self._last = 0

    def now(self) -> int:
        """The number of the flight that has begun last."""
        return self._last

    def join(self, key: bytes) -> tuple[Flight, bool]:
        """The one under way, or a new one; whether the caller must fly it, and `land` it."""
        with self._lock:
            if (there := self._under_way.get(key)) is not None:
                return there, False
            self._last += 1
            flight = self._under_way[key] = Flight(self._last, self._event())
            return flight, True

    def land(self, key: bytes, flight: Flight) -> None:
        with self._lock:
            del self._under_way[key]
        flight.landed.set()
