"""Frozen dataclasses from what JSON has read, and back, by their types.

A field that is not known is left out, and one that is missing has its default: profiles are kept
for weeks, and read by a Foretide that is newer or older than the one that wrote them.
"""

import dataclasses
import types
from collections.abc import Mapping
from enum import Enum
from functools import lru_cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from .profile import BadProfile
from .window import LARGEST

_Record = TypeVar("_Record")
# Digits behind the point: a microsecond, where seconds are meant.
_DIGITS = 6


def to_plain(value: Any) -> Any:
    """What JSON can write; fields that have their default are left out, floats are rounded."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            one.name: to_plain(getattr(value, one.name))
            for one in dataclasses.fields(value)
            if not _is_default(one, getattr(value, one.name))
        }
    if isinstance(value, Mapping):
        return {str(key): to_plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [to_plain(inner) for inner in value]
    return round(value, _DIGITS) if isinstance(value, float) else value


def from_plain(kind: type[_Record], plain: Any) -> _Record:
    """A record of that class.

    Raises:
        BadProfile: the data has another form.
    """
    if not isinstance(plain, dict):
        raise BadProfile(f"it is damaged: {kind.__name__} is no object")
    values, hints = {}, _hints(kind)  # type: ignore[arg-type]
    for one in dataclasses.fields(kind):  # type: ignore[arg-type]
        if one.name in plain:
            values[one.name] = _read(hints[one.name], plain[one.name], one.name)
    try:
        return kind(**values)
    except TypeError:
        raise BadProfile(f"it is damaged: {kind.__name__} lacks a field") from None


@lru_cache(maxsize=64)
def _hints(kind: type[Any]) -> dict[str, Any]:
    return get_type_hints(kind)


def _is_default(one: "dataclasses.Field[Any]", value: Any) -> bool:
    if one.default is not dataclasses.MISSING:
        return bool(value == one.default)
    if one.default_factory is not dataclasses.MISSING:
        return bool(value == one.default_factory())
    return False


def _read(kind: Any, plain: Any, name: str) -> Any:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        if plain is None:
            return None
        return _read(next(one for one in get_args(kind) if one is not type(None)), plain, name)
    if dataclasses.is_dataclass(kind):
        return from_plain(kind, plain)  # type: ignore[arg-type]
    if origin is tuple and isinstance(plain, list):
        inner = get_args(kind)[0]
        return tuple(_read(inner, one, name) for one in plain)
    if origin is Mapping and isinstance(plain, dict):
        key, inner = get_args(kind)
        return {_key(key, one, name): _read(inner, value, name) for one, value in plain.items()}
    return _read_one(kind, plain, name)


def _read_one(kind: Any, plain: Any, name: str) -> Any:
    if kind in (int, float) and isinstance(plain, int | float) and not abs(plain) <= LARGEST:
        raise BadProfile(f"it is damaged: {name} is no number that can be")
    if kind is float and isinstance(plain, int | float) and not isinstance(plain, bool):
        return float(plain)
    if kind in (int, str, bool) and type(plain) is kind:
        return plain
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _key(kind, plain, name)
    raise BadProfile(f"it is damaged: {name} has no value of its kind")


def _key(kind: Any, plain: Any, name: str) -> Any:
    try:
        return kind(plain)
    except (ValueError, TypeError):
        raise BadProfile(f"it is damaged: {name} has the key {str(plain)[:40]!r}") from None
