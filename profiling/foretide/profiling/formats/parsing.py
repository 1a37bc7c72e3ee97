"""JSON of other tools, read with care: what is wrong with it is said, and nothing is believed."""

import json
from typing import Any

from ..profile import BadProfile
from ..window import LARGEST

_LAST_LINE = 2**31 - 1
# Lists and objects: empty ones take 25 times the memory that they take in a file.
_MOST_VALUES = 20_000_000


def read_json(data: bytes) -> Any:
    """What JSON says.

    Raises:
        BadProfile: it is none, nested without end, or would take too much memory.
    """
    if data.count(b"[") + data.count(b"{") > _MOST_VALUES:
        raise BadProfile(f"it has more than {_MOST_VALUES:,} lists and objects")
    try:
        return json.loads(data)
    except RecursionError:
        raise BadProfile("it is nested too deep to be a profile") from None
    except ValueError as error:
        raise BadProfile(f"it is no JSON: {error}") from None


def a_list(value: Any, what: str) -> list[Any]:
    """A list, or a BadProfile that says what is none."""
    if not isinstance(value, list):
        raise BadProfile(f"{what} is no list")
    return value


def a_number(value: Any, what: str) -> float:
    """A number that can be, or a BadProfile that says what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadProfile(f"{what} is no number")
    if not abs(value) <= LARGEST:
        raise BadProfile(f"{what} is too large, or no number")
    return float(value)


def a_line(value: Any) -> int:
    """The number of a line, 0 where it is none."""
    known = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LAST_LINE
    return value if known else 0


def an_index(value: Any, size: int, what: str) -> int:
    """An index into a table of that size."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < size:
        raise BadProfile(f"{what} points to what is not there")
    return value


def a_text(value: Any) -> str:
    """A text, empty where it is none."""
    return value if isinstance(value, str) else ""
