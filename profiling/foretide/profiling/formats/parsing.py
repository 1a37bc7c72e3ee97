"""JSON of other tools, read with care: what is wrong with it is said, and nothing is believed."""

import json
import math
from typing import Any

from ..profile import BadProfile


def read_json(data: bytes) -> Any:
    """What JSON says.

    Raises:
        BadProfile: it is none, or nested without end.
    """
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
    """A finite number, or a BadProfile that says what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadProfile(f"{what} is no number")
    return float(value)


def an_index(value: Any, size: int, what: str) -> int:
    """An index into a table of that size."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < size:
        raise BadProfile(f"{what} points to what is not there")
    return value


def a_text(value: Any) -> str:
    """A text, empty where it is none."""
    return value if isinstance(value, str) else ""
