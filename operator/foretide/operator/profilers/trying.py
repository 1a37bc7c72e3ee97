"""Work that goes on in the background: nobody asks for it, so that it fails is told once."""

import logging
from collections.abc import Awaitable, Callable

from ..cluster import ClusterError


class Trying:
    """Tries again and again what may fail; `complaint` says what users have to do without."""

    def __init__(self, complaint: str, logger: logging.Logger) -> None:
        self._complaint = complaint
        self._logger = logger
        self._trouble = ""

    async def once(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do it; a trouble is told where the last time had another, or none."""
        try:
            await work()
            self._trouble = ""
        except ClusterError as error:
            if error.reason != self._trouble:
                self._logger.warning("%s: %s", self._complaint, error.message)
            self._trouble = error.reason
        except Exception:  # a mistake of ours must not end it for good
            if self._trouble != "Internal":
                self._logger.exception("%s", self._complaint)
            self._trouble = "Internal"
