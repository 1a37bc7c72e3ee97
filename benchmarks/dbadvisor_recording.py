"""The peers of one workload measured: each choice made and built, kept as soon as it is there."""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from benchmarks.dbadvisor_building import Built
from benchmarks.dbadvisor_choosing import Chosen
from benchmarks.dbadvisor_recorded import MEGABYTE, Key, Made, Record
from foretide.dbadvisor.candidate import Candidate


class Choosing(Protocol):
    """What chooses, such as `dbadvisor_choosing.Peers`."""

    def choose(self, way: str, budget: float) -> Chosen: ...


class Recording:
    """Adds to a record what it lacks. `peers` makes what chooses, once something must be chosen,
    `build` builds a set and measures it, and `save` keeps the record.
    """

    def __init__(
        self,
        record: Record,
        peers: Callable[[], Choosing],
        build: Callable[[Sequence[Candidate]], Built],
        save: Callable[[], None],
        tell: Callable[[str], None],
    ) -> None:
        self.record = record
        self._make_peers = peers
        self._peers: Choosing | None = None
        self._build, self._save, self._tell = build, save, tell

    def complete(self, keys: Iterable[Key]) -> dict[Key, Chosen]:
        """Chooses first and builds then, whatever is not there yet; what was chosen now."""
        wanted = [key for key in keys if key not in self.record.made]
        now = {}
        for key in wanted:
            if key not in self.record.chosen:
                now[key] = self.record.chosen[key] = self.choose(key)
                self._save()
        for key in wanted:
            chosen = self.record.chosen[key]
            built = self._build(chosen.indexes)
            self.record.made[key] = Made(
                chosen.indexes,
                chosen.calls,
                chosen.seconds,
                built.bytes,
                built.cost,
                built.seconds,
            )
            del self.record.chosen[key]
            self._save()
            self._tell(f"{_place(key)}: {built}")
        return now

    def choose(self, key: Key) -> Chosen:
        """Whether it was recorded or not."""
        if self._peers is None:
            self._peers = self._make_peers()
        found = self._peers.choose(*key)
        self._tell(f"{_place(key)}: {found.calls} plans, {found.seconds:.1f} s of CPU")
        return found


def _place(key: Key) -> str:
    way, budget = key
    return f"{budget / MEGABYTE:g} MB {way}"
