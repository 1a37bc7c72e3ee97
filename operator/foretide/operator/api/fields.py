"""Field types that the kinds share: durations and quantities, as Kubernetes users write them."""

import contextlib
import math
import re
from decimal import Decimal
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel

DURATION_PATTERN = r"^([0-9]+(d|h|m|s))+$"
_DURATION_LENGTH = 20
_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}

QUANTITY_PATTERN = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"
_SUFFIXES = {
    "m": Decimal("0.001"),
    "": Decimal(1),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
}


class ApiModel(BaseModel):
    """Base of all API models: camelCase outside, snake_case inside, unknown fields refused."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        validate_default=True,
    )


def parse_duration(text: Any) -> Any:
    """Seconds of a duration such as `90s`, `15m`, `1h30m` or `14d`; numbers pass unchanged.

    Raises:
        ValueError: the text is not a duration.
    """
    if not isinstance(text, str):
        return text
    if len(text) > _DURATION_LENGTH or not re.fullmatch(DURATION_PATTERN, text):
        raise ValueError(f"{text[:40]!r} is not a duration such as 90s, 15m, 1h30m or 14d")
    return float(sum(int(n) * _UNITS[unit] for n, unit in re.findall(r"([0-9]+)([dhms])", text)))


def format_duration(seconds: float) -> str:
    """The shortest way to write a duration: 900 → `15m`, 5400 → `1h30m`."""
    rest, parts = round(seconds), []
    for unit, size in _UNITS.items():
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def parse_quantity(value: Any) -> Any:
    """The number that a Kubernetes quantity stands for: `500m` → 0.5, `2k` → 2000.

    Raises:
        ValueError: not a quantity.
    """
    if not isinstance(value, str):
        return value
    number = math.inf
    if match := re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([A-Za-z]*)", value):
        with contextlib.suppress(ArithmeticError, KeyError):
            number = float(Decimal(match[1]) * _SUFFIXES[match[2]])
    if number == math.inf:
        raise ValueError(f"{value[:40]!r} is not a quantity such as 100, 0.5, 500m or 2k")
    return number


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN, "maxLength": _DURATION_LENGTH}),
]

# A number or a string, like every quantity in Kubernetes.
Quantity = Annotated[
    float,
    BeforeValidator(parse_quantity),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "pattern": QUANTITY_PATTERN,
            "x-kubernetes-int-or-string": True,
        }
    ),
]


def lasting(default: str, *, description: str) -> Any:
    """A `Duration` field whose default is written as users write it, in the CRD too."""
    return Field(default=default, description=description)


def within(value: float, name: str, lowest: float, highest: float) -> float:
    """A duration in seconds that lies within its bounds.

    Raises:
        ValueError: it does not.
    """
    if not lowest <= value <= highest:
        raise ValueError(
            f"{name} must be between {format_duration(lowest)} and {format_duration(highest)}, "
            f"not {format_duration(value)}"
        )
    return value


def http_url(value: str, *, credentials: str) -> str:
    """The URL of a service, if it is one; `credentials` says where its secrets belong instead.

    Raises:
        ValueError: it is no URL, or holds a secret; the message does not repeat it.
    """
    try:
        parts = urlsplit(value)
    except ValueError:  # its message repeats the URL
        raise ValueError("url is not a valid URL") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("url must start with http:// or https:// and name a host")
    try:
        parts.port  # noqa: B018 - reading it is what checks it
    except ValueError:
        raise ValueError("url is not a valid URL: it has a port that is not a number") from None
    if parts.username or parts.password:
        raise ValueError(f"url must hold no credentials: use {credentials}")
    # They are shown wherever the URL is, and tokens often stand there. The API's paths go after
    # the URL, so that they would not even be sent.
    if "?" in value or "#" in value:
        raise ValueError(f"url must end before ? and #: for credentials use {credentials}")
    return value


def patience(seconds: float) -> float:
    """A timeout for one request, if it makes sense.

    Raises:
        ValueError: it is shorter than a second or longer than a minute.
    """
    if not 1 <= seconds <= 60:
        raise ValueError("timeout must be between 1s and 1m")
    return seconds
