"""Executions out of OpenTelemetry spans, as OTLP's JSON has them (a collector's file exporter).

Of each span that has a statement of PostgreSQL: `db.query.text`, or `db.statement` in older
conventions. A trace is one request, so what is in it is one client's: it is taken for a
transaction, whatever connections it took.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from foretide.dbadvisor.nplusone.events import Event, event

_STATEMENT = ("db.query.text", "db.statement")
_SYSTEM = ("db.system.name", "db.system")
_POSTGRESQL = frozenset({"postgresql", "postgres", "cockroachdb", "other_sql", ""})
_PARAMETER = re.compile(r"db\.query\.parameter\.(\d+)$")


def from_otlp(lines: Iterable[str]) -> Iterator[Event]:
    """Of one JSON document on each line. What is no span of a statement is skipped, and so are
    lines that cannot be read.
    """
    for line in lines:
        try:
            document = json.loads(line)
        except (ValueError, RecursionError):
            continue
        for service, span in _spans(document):
            found = _event(service, span)
            if found is not None:
                yield found


def _spans(document: object) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for resource in _list(document, "resourceSpans"):
        named = _attributes(resource.get("resource"))
        for scope in _list(resource, "scopeSpans"):
            for span in _list(scope, "spans"):
                yield named.get("service.name", ""), span


def _event(service: str, span: Mapping[str, Any]) -> Event | None:
    named = _attributes(span)
    text = next((named[name] for name in _STATEMENT if named.get(name)), None)
    system = next((named[name] for name in _SYSTEM if name in named), "")
    try:
        start = int(span["startTimeUnixNano"]) / 1e9
        end = int(span["endTimeUnixNano"]) / 1e9
    except (KeyError, TypeError, ValueError):
        return None
    if text is None or system not in _POSTGRESQL:
        return None
    trace = str(span.get("traceId", ""))
    numbered = {
        int(match[1]): value for name, value in named.items() if (match := _PARAMETER.match(name))
    }
    # They count from 0.
    parameters = tuple(numbered.get(place) for place in range(min(len(numbered), 1000)))
    return event(
        text,
        at=start,
        seconds=max(0.0, end - start),
        session=trace or service,
        transaction=trace,
        pool=service,
        parameters=parameters,
    )


def _attributes(holder: object) -> dict[str, str]:
    found = {}
    for each in _list(holder, "attributes"):
        value = each.get("value")
        if isinstance(value, Mapping) and len(value) == 1:
            found[str(each.get("key"))] = str(next(iter(value.values())))
    return found


def _list(holder: object, name: str) -> list[Mapping[str, Any]]:
    listed = holder.get(name) if isinstance(holder, Mapping) else None
    return (
        [each for each in listed if isinstance(each, Mapping)] if isinstance(listed, list) else []
    )
