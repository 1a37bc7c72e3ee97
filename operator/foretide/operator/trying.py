"""Work that goes on in the background: nobody asks for it, so that it fails is told once."""

import logging
from collections.abc import Awaitable, Callable

from .cluster import ClusterError


class Trying:
    """Tries again and again what may fail."""

    def __init__(
        self,
        complaint: str,
        relief: str,
        logger: logging.Logger,
        count: Callable[[str], None] = lambda reason: None,
    ) -> None:
        """`complaint` says what users have to do without, `relief` that it is over; `count` gets
        the reason of each failure.
        """
        self._complaint = complaint
        self._relief = relief
        self._logger = logger
        self._count = count
        self._trouble = ""

    async def once(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do it; a trouble is told where the last time had another, or none, and its end."""
        try:
            await work()
        except ClusterError as error:
            if self._is_news(error.reason):
                self._logger.warning("%s: %s", self._complaint, error.message)
        except Exception:  # a mistake of ours must not end it for good
            if self._is_news("Internal"):
                self._logger.exception("%s", self._complaint)
        else:
            if self._trouble:
                self._logger.info("%s", self._relief)
            self._trouble = ""

    def _is_news(self, reason: str) -> bool:
        self._count(reason)
        before, self._trouble = self._trouble, reason
        return reason != before
