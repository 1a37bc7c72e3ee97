"""The calendar of each resource: from its spec, files in ConfigMaps, annotations on its target.

Objects are asked for, not watched: that needs no right but `get`, and what is read of them may be
some minutes old. While the API server is away, the last good answer holds.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from foretide.forecasting.events.annotations import read_annotations
from foretide.forecasting.events.model import EventCalendar
from foretide.forecasting.events.sources import Expansion, Found, Source, expand

from .api.events import EventSpec, FileOfEvents, to_calendar_sources
from .cluster import Cluster, ClusterError, Target
from .conditions import timestamp
from .event_files import read_file

logger = logging.getLogger(__name__)

_MOST_PROBLEMS = 10
_KEPT = 5_000
# How long a calendar is used before it is made anew for the time that has come into view.
_REMADE = 3_600.0
_NOTHING = Found()

Key = tuple[Any, ...]
Read = Callable[[Mapping[str, Any]], Found]


@dataclass(frozen=True, slots=True)
class CalendarView:
    """A resource's calendar, and what is wrong with it in sentences for people."""

    calendar: EventCalendar
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Known:
    """What was last read of an object: asked for again at `due`, good as of `read_at`."""

    found: Found
    version: str
    asked_at: float
    read_at: float
    due: float
    trouble: str = ""

    @property
    def problems(self) -> tuple[str, ...]:
        return (*self.found.problems, self.trouble) if self.trouble else self.found.problems


@dataclass(frozen=True, slots=True)
class _Made:
    """A calendar that was made of these sources for this stretch of time."""

    sources: tuple[Source, ...]
    time_zone: str
    past: float
    ahead: float
    made_at: float
    expansion: Expansion


class Calendars:
    """Calendars by resource; objects are read once each `ttl` seconds, `retry` after a failure."""

    def __init__(self, cluster: Cluster, *, ttl: float = 300.0, retry: float = 30.0) -> None:
        self._cluster = cluster
        self._ttl = ttl
        self._retry = retry
        self._known: dict[Key, _Known] = {}
        self._locks: defaultdict[Key, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._made: dict[str, _Made] = {}
        self._mistakes: dict[str, str] = {}

    async def view(
        self,
        uid: str,
        target: Target,
        events: Sequence[EventSpec],
        *,
        time_zone: str,
        now: float,
        past: float,
        ahead: float,
    ) -> CalendarView:
        """The calendar of the resource `uid`, from `past` seconds ago to `ahead` seconds from now.

        ConfigMaps are those of the target's namespace. Never raises for what is in a calendar,
        nor for what cannot be read: those are problems, and the rest counts all the same.
        """
        try:
            spec = to_calendar_sources(events)
            read = await asyncio.gather(
                self._annotations(target, now),
                *(self._file(target.namespace, file, now) for file in spec.files),
            )
            sources = (*spec.sources, *(source for known in read for source in known.found.sources))
            made = await self._make(uid, sources, time_zone, now=now, past=past, ahead=ahead)
            problems = (
                *spec.problems,
                *(p for known in read for p in known.problems),
                *made.problems,
            )
            view = CalendarView(made.calendar, tuple(dict.fromkeys(problems))[:_MOST_PROBLEMS])
        except Exception as error:  # a mistake of ours in a calendar must not stop the scaling
            if self._mistakes.get(uid) != repr(error):  # a traceback once, not at every tick
                logger.exception("the calendar of %s cannot be made", uid)
                self._mistakes[uid] = repr(error)
            return CalendarView(EventCalendar(), (_mistake(error),))
        self._mistakes.pop(uid, None)
        return view

    def forget(self, uid: str) -> None:
        """The resource is gone."""
        self._made.pop(uid, None)
        self._mistakes.pop(uid, None)

    async def _annotations(self, target: Target, now: float) -> _Known:
        path = target.path.removesuffix("/scale")
        what = f"annotations of {target.ref.kind} {target.ref.name}"
        return await self._read((path,), path, what, _from_annotations, now)

    async def _file(self, namespace: str, file: FileOfEvents, now: float) -> _Known:
        path = f"/api/v1/namespaces/{_part(namespace)}/configmaps/{_part(file.config_map)}"
        what = f"event {file.name}: ConfigMap {file.config_map}"
        key = (path, file)
        return await self._read(key, path, what, lambda body: _from_config_map(body, file), now)

    async def _read(self, key: Key, path: str, what: str, read: Read, now: float) -> _Known:
        # Of many resources that share a file, the first one reads it for all.
        async with self._locks[key]:
            known = self._known.get(key)
            if known is not None and known.asked_at <= now < known.due:
                return known
            fresh = await self._ask(known, path, what, read, now)
            if len(self._known) >= _KEPT:
                self._known.clear()  # what nobody asks for any more is left behind
                self._locks.clear()
            self._known[key] = fresh
            return fresh

    async def _ask(
        self, known: _Known | None, path: str, what: str, read: Read, now: float
    ) -> _Known:
        again = now + self._retry
        try:
            body = await self._cluster.request("GET", path)
        except ClusterError as error:
            if error.status == 404:
                return _Known(_NOTHING, "", now, now, again, f"{what} does not exist")
            trouble = f"{what} cannot be read: {error.message}"
            if known is None or not known.version:
                return _Known(_NOTHING, "", now, now, again, trouble)
            old = f"{trouble}; what it said at {timestamp(known.read_at)} holds"
            return replace(known, asked_at=now, due=again, trouble=old)
        version = str((body.get("metadata") or {}).get("resourceVersion") or "")
        if known is not None and version and known.version == version:
            return replace(known, asked_at=now, read_at=now, due=now + self._ttl, trouble="")
        # Large files take a while: the event loop must not stand still for them.
        found = await asyncio.to_thread(read, body)
        told = Found(found.sources, tuple(f"{what}: {problem}" for problem in found.problems))
        return _Known(told, version, now, now, now + self._ttl)

    async def _make(
        self,
        uid: str,
        sources: tuple[Source, ...],
        time_zone: str,
        *,
        now: float,
        past: float,
        ahead: float,
    ) -> Expansion:
        made = self._made.get(uid)
        if (
            made is not None
            and made.made_at <= now < made.made_at + _REMADE
            and (made.time_zone, made.past, made.ahead) == (time_zone, past, ahead)
            and made.sources == sources
        ):
            return made.expansion
        if not sources:
            self._made.pop(uid, None)
            return Expansion(EventCalendar())
        expansion = await asyncio.to_thread(
            expand, sources, now - past, now + ahead + _REMADE, time_zone
        )
        self._made[uid] = _Made(sources, time_zone, past, ahead, now, expansion)
        return expansion


def _from_annotations(body: Mapping[str, Any]) -> Found:
    return read_annotations((body.get("metadata") or {}).get("annotations") or {})


def _from_config_map(body: Mapping[str, Any], file: FileOfEvents) -> Found:
    text = (body.get("data") or {}).get(file.key)
    if text is None:
        if file.key in (body.get("binaryData") or {}):
            return Found(problems=(f"key {file.key} is binary: save the file as UTF-8",))
        return Found(problems=(f"has no key {file.key}",))
    try:
        found = read_file(file.key, str(text), file.declared)
    except ValueError as error:  # CalendarError, FileError
        return Found(problems=(f"key {file.key}: {error}",))
    except Exception as error:  # a parser's own mistake must not stop the scaling
        return Found(problems=(f"key {file.key} cannot be read: {type(error).__name__}",))
    return Found(found.sources, tuple(f"key {file.key}: {problem}" for problem in found.problems))


def _mistake(error: Exception) -> str:
    return f"no event counts: the calendar cannot be made ({type(error).__name__}, see the log)"


def _part(text: str) -> str:
    return quote(text, safe="")
