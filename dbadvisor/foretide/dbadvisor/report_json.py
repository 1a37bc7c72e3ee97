"""The whole advice as JSON: the same advice gives the same bytes.

Names are those of the dataclasses. Tables and indexes are `schema.name`, numbers have six digits
(`at`, Unix seconds, has all to the millisecond), and what is not known is null. Keys that look-ups
were seen with are left out, as they may be anybody's data; constants in what is to be created (a
partial index) are not. `report_read` makes the advice of it again.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from foretide.dbadvisor import ddl
from foretide.dbadvisor.cacheable import NotCacheable
from foretide.dbadvisor.caching import Cacheable, CacheAdvice
from foretide.dbadvisor.candidate import Candidate
from foretide.dbadvisor.nplusone.findings import Finding
from foretide.dbadvisor.nplusone.proof import Proof
from foretide.dbadvisor.report import Advice, Change, IndexAdvice
from foretide.dbadvisor.snapshot import Relation

# What is computed from the fields, and what people look for.
_COMPUTED = {Change: ("ratio",), Proof: ("speedup",)}
_LEFT_OUT = {Finding: {"values"}, Proof: {"differences"}, Candidate: {"queries", "why", "reads"}}


def figures(advice: Advice) -> dict[str, Any]:
    """As what `json.dumps` takes."""
    found = _plain(advice)
    assert isinstance(found, dict)
    return found


def text(advice: Advice) -> str:
    """As a text that ends in a newline."""
    return json.dumps(figures(advice), indent=1, ensure_ascii=True) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, Relation):
        return str(value)
    if isinstance(value, bool) or value is None or isinstance(value, int):
        return value
    if isinstance(value, str):
        # A text that a server gave us in no encoding may hold halves of characters.
        return str(value).encode("utf-8", "replace").decode()
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if isinstance(value, CacheAdvice):
        return _cache(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(value[key]) for key in sorted(value, key=str)}
    if is_dataclass(value) and not isinstance(value, type):
        return _record(value)
    return [_plain(each) for each in value]


def _record(value: Any) -> dict[str, Any]:
    without = _LEFT_OUT.get(type(value), set())
    found = {
        each.name: _plain(getattr(value, each.name))
        for each in fields(value)
        if each.name not in without
    }
    if isinstance(value, Advice):  # six digits would be hours
        found["at"] = round(value.at, 3)
    for name in _COMPUTED.get(type(value), ()):
        found[name] = _plain(getattr(value, name))
    if isinstance(value, IndexAdvice):
        found["definition"] = ddl.definition(value.candidate)
    return found


def _cache(advice: CacheAdvice) -> dict[str, Any]:
    """`verdict` is Cache, NotWorthIt, MustNot or Unknown."""
    verdict = advice.verdict
    kind = "Unknown"
    if isinstance(verdict, Cacheable):
        kind = "NotWorthIt" if verdict.ttl is None else "Cache"
    elif isinstance(verdict, NotCacheable):
        kind = "MustNot"
    return {
        "query": advice.query.id,
        "verdict": kind,
        "saved": _plain(advice.saved),
        **_record(verdict),
    }
