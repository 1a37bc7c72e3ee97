"""What the clients of the store send and how they read the answers: all but the sending."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypeVar

import httpx
from pydantic import ValidationError

from . import messages
from .errors import StoreError, StoreRefused, StoreUnavailable
from .rollups import LARGEST_BATCH, Batch, Columns, SeriesKey, Written, check_range

M = TypeVar("M", bound=messages.Message)

_LARGEST_ANSWER = 64 * 1024 * 1024
_EARLIEST = 946_684_800.0  # 2000-01-01


class Request(NamedTuple):
    """One HTTP request; the path is relative."""

    method: str
    path: str
    params: Mapping[str, str] = {}
    content: bytes | None = None


def write_requests(batch: Batch) -> Iterator[Request]:
    """The requests that write a batch."""
    for part in split(batch, LARGEST_BATCH):
        content = messages.WriteRequest.of(part).model_dump_json().encode()
        yield Request("POST", "v1/rollups", content=content)


def split(batch: Batch, size: int) -> Iterator[dict[SeriesKey, Columns]]:
    """The same in batches of at most `size` roll-ups."""
    part: dict[SeriesKey, Columns] = {}
    room = size
    for key, columns in batch.items():
        done = 0
        while done < len(columns):
            piece = columns[done : done + room]
            part[key] = piece
            done += len(piece)
            room -= len(piece)
            if room == 0:
                yield part
                part, room = {}, size
    if part:
        yield part


def read_requests(
    key: SeriesKey, start: float, end: float, *, peaks_only: bool
) -> Iterator[Request]:
    """The requests that read start…end. No answer is longer than the store allows.

    Raises:
        StoreRefused: these are no times.
    """
    check_range(start, end)
    named = given(
        namespace=key.namespace, name=key.name, metric=key.metric, fingerprint=key.fingerprint
    )
    if peaks_only:
        named["columns"] = "max"
    at = max(start, _EARLIEST)
    while at < end:
        until = min(end, at + messages.LONGEST_READ)
        yield Request("GET", "v1/rollups", {**named, "start": f"{at:.3f}", "end": f"{until:.3f}"})
        at = until


def given(**values: str | None) -> dict[str, str]:
    """Parameters, without those that are None."""
    return {name: value for name, value in values.items() if value is not None}


def summed(answers: list[messages.WriteAnswer]) -> Written:
    """The answers to all parts of a batch, as one."""
    return Written(
        sum(answer.received for answer in answers), sum(answer.changed for answer in answers)
    )


def joined(answers: list[messages.ReadAnswer]) -> Columns:
    """The answers to all parts of a range of time, as one."""
    try:
        parts = [answer.columns() for answer in answers]
    except ValueError:
        raise not_the_store() from None
    if len(parts) == 1:
        return parts[0]
    return Columns(
        *(
            [value for part in parts for value in getattr(part, column)]
            for column in ("start", "samples", "mean", "max", "last")
        )
    )


def limit(body: bytearray) -> None:
    """Raise `StoreUnavailable` once a body is longer than any that could be right."""
    if len(body) > _LARGEST_ANSWER:
        raise not_the_store()


def checked(status: int, body: bytes) -> bytes:
    """The body of a good answer.

    Raises:
        StoreRefused, StoreUnavailable: the answer is another.
    """
    if status == 200:
        return body
    if status in (401, 403):
        raise StoreUnavailable("Unauthorized", "the store refuses the token")
    try:
        trouble = messages.ErrorAnswer.model_validate_json(body).error
    except ValidationError:
        raise StoreUnavailable("NotTheStore", f"HTTP status {status}, not by the store") from None
    kind: type[StoreError] = StoreRefused if 400 <= status < 500 else StoreUnavailable
    raise kind(trouble.reason, trouble.message[:500])


def parse(kind: type[M], body: bytes) -> M:
    """The message in a good answer's body.

    Raises:
        StoreUnavailable: it is another message, or none.
    """
    try:
        return kind.model_validate_json(body)
    except ValidationError:
        raise not_the_store() from None


def not_the_store() -> StoreUnavailable:
    """What an answer means that no store would give."""
    return StoreUnavailable(
        "NotTheStore", "the answer is not one of the store's: is the URL right?"
    )


def unreachable(error: Exception) -> StoreUnavailable:
    """What an error of the HTTP client means."""
    if isinstance(error, httpx.TimeoutException | TimeoutError):
        return StoreUnavailable("Unreachable", "the store does not answer in time")
    text = " ".join(str(error).split())[:200] or type(error).__name__
    return StoreUnavailable("Unreachable", f"cannot reach the store: {text}")
