"""An advice out of the JSON that `report_json` makes of it, to be shown again.

What the JSON leaves out is empty here, and what is computed is computed anew. Each value must be of
its field's type: who shows the advice relies on numbers being numbers.
"""

import json
import math
import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import StrEnum
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from foretide.dbadvisor.cacheable import NotCacheable
from foretide.dbadvisor.caching import Cacheable, CacheAdvice, Undecided
from foretide.dbadvisor.report import Advice
from foretide.dbadvisor.snapshot import Query, Relation

_LAST = 253_402_300_800.0  # the year 10000, which no date has
_VERDICTS = {
    "Cache": Cacheable,
    "NotWorthIt": Cacheable,
    "MustNot": NotCacheable,
    "Unknown": Undecided,
}


class BadReport(Exception):
    """This is no advice; the message says where it is not."""


def read(data: bytes | str) -> Advice:
    """The advice of such a JSON.

    Raises:
        BadReport: it is none.
    """
    try:
        given = json.loads(data)
    except (ValueError, RecursionError):
        raise BadReport("this is no advice: it is not JSON") from None
    advice = _value(Advice, given, "advice", _texts(given))
    assert isinstance(advice, Advice)
    if not 0 <= advice.at < _LAST:
        raise _bad("advice.at", "a time in Unix seconds")
    return advice


def _texts(given: Any) -> dict[str, str]:
    """The texts of queries by their ids: what is advised on caching names the id alone."""
    try:
        return {one["id"]: one["text"] for one in given["workload"]["queries"]}
    except (KeyError, TypeError):
        return {}


def _value(kind: Any, given: Any, where: str, texts: Mapping[str, str]) -> Any:
    """`given` as a value of this type; `where` it stands."""
    if kind is CacheAdvice:
        return _cache(given, where, texts)
    if kind is Relation:
        schema, dot, name = _typed(str, given, where).partition(".")
        if not dot:
            raise _bad(where, "schema.name")
        return Relation(schema, name)
    if kind is float:
        return math.nan if given is None else float(_typed((int, float), given, where))
    if kind in (str, int, bool):
        return _typed(kind, given, where)
    if is_dataclass(kind):
        return _record(kind, given, where, texts)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        try:
            return kind(_typed(str, given, where))
        except ValueError:
            raise _bad(where, f"one of {', '.join(kind)}") from None
    return _several(kind, given, where, texts)


def _several(kind: Any, given: Any, where: str, texts: Mapping[str, str]) -> Any:
    """A value that may be None, a tuple or a mapping."""
    origin, of = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        (wanted,) = (one for one in of if one is not type(None))
        return None if given is None else _value(wanted, given, where, texts)
    if origin is tuple:
        many = _typed(list, given, where)
        if of[-1] is Ellipsis:
            of = (of[0],) * len(many)
        elif len(of) != len(many):
            raise _bad(where, f"a list of {len(of)}")
        each = zip(of, many, strict=True)
        return tuple(_value(a, b, f"{where}.{n}", texts) for n, (a, b) in enumerate(each))
    assert origin is Mapping, f"{where} is of a type that is not read: {kind}"
    pairs = _typed(dict, given, where).items()
    return {key: _value(of[1], one, f"{where}.{key}", texts) for key, one in pairs}


def _record(kind: Any, given: Any, where: str, texts: Mapping[str, str]) -> Any:
    there = _typed(dict, given, where)
    types_of = _hints(kind)
    return kind(
        **{
            each.name: _value(types_of[each.name], there[each.name], f"{where}.{each.name}", texts)
            for each in fields(kind)
            if each.name in there or _must_be(each, where)
        }
    )


def _must_be(field: "Field[Any]", where: str) -> bool:
    """False for a field that may be missing."""
    if field.default is MISSING and field.default_factory is MISSING:
        raise _bad(f"{where}.{field.name}", "there")
    return False


def _cache(given: Any, where: str, texts: Mapping[str, str]) -> CacheAdvice:
    there = _typed(dict, given, where)
    query = _typed(str, there.get("query"), f"{where}.query")
    kind = _VERDICTS.get(_typed(str, there.get("verdict"), f"{where}.verdict"))
    if kind is None:
        raise _bad(f"{where}.verdict", f"one of {', '.join(_VERDICTS)}")
    text = _typed(str, texts.get(query, ""), f"{where}.query")
    return CacheAdvice(Query(query, text, 0.0, 0.0), _record(kind, there, where, texts))


@cache
def _hints(kind: Any) -> Mapping[str, Any]:
    return get_type_hints(kind)


def _typed(kind: Any, given: Any, where: str) -> Any:
    if not isinstance(given, kind) or (isinstance(given, bool) and kind is not bool):
        names = kind if isinstance(kind, tuple) else (kind,)
        raise _bad(where, f"of type {' or '.join(one.__name__ for one in names)}")
    return given


def _bad(where: str, wanted: str) -> BadReport:
    return BadReport(f"this is no advice: {where[:100]!a} is not {wanted}")
