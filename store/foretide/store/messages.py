"""What goes over HTTP, as JSON. Times are Unix seconds; what is not known is `null`.

    POST   /v1/rollups   WriteRequest → WriteAnswer
    GET    /v1/rollups   ?namespace&name&metric&fingerprint&start&end[&columns=max] → ReadAnswer
    GET    /v1/series    [?namespace][&name] → SeriesAnswer
    DELETE /v1/series    ?namespace&name[&metric][&fingerprint] → DeleteAnswer

Every other answer than 200 is an `ErrorAnswer`. A token goes along: `Authorization: Bearer …`.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .errors import StoreRefused
from .rollups import STEP, Batch, Columns, SeriesInfo, SeriesKey

LONGEST_READ = 400 * 86_400
LARGEST_REQUEST = 16 * 1024 * 1024

Part = Annotated[str, Field(min_length=1, max_length=253)]
Known = Annotated[float, Field(allow_inf_nan=False)]


class Message(BaseModel):
    """Base of all messages: no guessing of types, no unknown fields."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Series(Message):
    """What names a series."""

    namespace: Part
    name: Part
    metric: Part
    fingerprint: Part

    @property
    def key(self) -> SeriesKey:
        """The same for the rest of the code."""
        return SeriesKey(self.namespace, self.name, self.metric, self.fingerprint)


class Block(Series):
    """Roll-ups of one series as columns of equal length."""

    start: list[int]
    samples: list[int]
    mean: list[Known | None]
    max: list[Known]
    last: list[Known | None]


class WriteRequest(Message):
    """Roll-ups to keep."""

    series: list[Block]

    @classmethod
    def of(cls, batch: Batch) -> Self:
        """The message for a batch."""
        blocks = [
            Block.model_construct(
                None,
                **_named(key),
                start=list(columns.start),
                samples=list(columns.samples),
                mean=_nullable(columns.mean),
                max=list(columns.max),
                last=_nullable(columns.last),
            )
            for key, columns in batch.items()
        ]
        return cls.model_construct(series=blocks)

    def batch(self) -> dict[SeriesKey, Columns]:
        """The batch that the message stands for.

        Raises:
            StoreRefused: a series is there twice.
        """
        found = {
            block.key: Columns(
                block.start, block.samples, _filled(block.mean), block.max, _filled(block.last)
            )
            for block in self.series
        }
        if len(found) < len(self.series):
            raise StoreRefused("Malformed", "a series is there twice; give each of them once")
        return found


class WriteAnswer(Message):
    """How many roll-ups came, and how many changed what is kept."""

    received: int
    changed: int


class ReadAnswer(Message):
    """Roll-ups on a grid: those at `start`, `start + step`, …; `samples` is 0 where there is none.

    `mean` and `last` are left out where only the maximum was asked for.
    """

    start: int
    step: int
    samples: list[int]
    max: list[Known | None]
    mean: list[Known | None] | None = None
    last: list[Known | None] | None = None

    @classmethod
    def of(cls, columns: Columns, *, peaks_only: bool) -> Self:
        """The message for roll-ups that ascend."""
        first = columns.start[0] if len(columns) else 0
        places = [(start - first) // STEP for start in columns.start]
        size = places[-1] + 1 if places else 0
        samples = [0] * size
        for place, count in zip(places, columns.samples, strict=True):
            samples[place] = count
        return cls.model_construct(
            start=first,
            step=STEP,
            samples=samples,
            max=_spread(columns.max, places, size),
            mean=None if peaks_only else _spread(columns.mean, places, size),
            last=None if peaks_only else _spread(columns.last, places, size),
        )

    def columns(self) -> Columns:
        """The roll-ups that there are.

        Raises:
            ValueError: the columns differ in length.
        """
        size = len(self.samples)
        columns = [
            [None] * size if column is None else column
            for column in (self.mean, self.max, self.last)
        ]
        if any(len(column) != size for column in columns):
            raise ValueError("the columns differ in length")
        places = [place for place, samples in enumerate(self.samples) if samples]
        return Columns(
            [self.start + self.step * place for place in places],
            [self.samples[place] for place in places],
            *([_filled_one(column[place]) for place in places] for column in columns),
        )


class Kept(Series):
    """A series that is kept; `first` and `last` are the starts of its outermost roll-ups."""

    first: int
    last: int


class SeriesAnswer(Message):
    """The series that are kept."""

    series: list[Kept]

    @classmethod
    def of(cls, found: Iterable[SeriesInfo]) -> Self:
        """The message for these."""
        return cls(
            series=[Kept(**_named(info.key), first=info.first, last=info.last) for info in found]
        )

    def infos(self) -> list[SeriesInfo]:
        """The same for the rest of the code."""
        return [SeriesInfo(kept.key, kept.first, kept.last) for kept in self.series]


class DeleteAnswer(Message):
    """How many series were deleted."""

    deleted: int


class Trouble(Message):
    """Why not: a machine-readable reason, and a sentence for people."""

    reason: str
    message: str


class ErrorAnswer(Message):
    """The answer where something is wrong."""

    error: Trouble


def explain(error: ValidationError) -> str:
    """The first problems of a message that is malformed, without its values."""
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    told = [
        f"{'.'.join(map(str, problem['loc'])) or 'body'}: {problem['msg']}"
        for problem in problems[:3]
    ]
    if len(problems) > len(told):
        told.append(f"and {len(problems) - len(told)} more")
    return "; ".join(told)[:1000]


def _named(key: SeriesKey) -> dict[str, str]:
    return {
        "namespace": key.namespace,
        "name": key.name,
        "metric": key.metric,
        "fingerprint": key.fingerprint,
    }


def _nullable(values: Sequence[float]) -> list[float | None]:
    return [None if math.isnan(value) else value for value in values]


def _filled(values: Sequence[float | None]) -> list[float]:
    return [_filled_one(value) for value in values]


def _filled_one(value: float | None) -> float:
    return math.nan if value is None else value


def _spread(values: Sequence[float], places: Sequence[int], size: int) -> list[float | None]:
    grid: list[float | None] = [None] * size
    for place, value in zip(places, _nullable(values), strict=True):
        grid[place] = value
    return grid
