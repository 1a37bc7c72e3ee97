"""One metric's history in the store, as a fit asks for it in a worker process."""

from dataclasses import dataclass

from foretide.forecasting.demand import Undecided
from foretide.forecasting.series import Series
from foretide.store.rollups import SeriesKey

from .stored_demand import NO_ROLLUPS, StoredDemand, join


@dataclass(frozen=True, slots=True)
class StoredMetric:
    """`StoredHistory` of one metric of one resource."""

    store: StoredDemand
    key: SeriesKey

    def extend(self, recent: Series, start: float) -> Series | Undecided:
        """The history from `start` (Unix seconds) on, the recent one where it knows."""
        found = self.store.history(self.key, start, recent.end)
        if isinstance(found, Undecided):
            return recent if found == NO_ROLLUPS else found
        try:
            return join(found, recent)
        except ValueError as error:
            return Undecided("StepsDiffer", f"store: {error}")

    def keep(self, peaks: Series) -> Undecided | None:
        """Keep a history of peaks, or say why that failed."""
        written = self.store.record(self.key, peaks)
        return written if isinstance(written, Undecided) else None
