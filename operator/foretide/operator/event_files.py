"""Events in the text of a file: iCalendar, or YAML and JSON in the resource's own notation."""

import json
from typing import Any

import yaml
from pydantic import ValidationError

from foretide.forecasting.events.ical import read_calendar
from foretide.forecasting.events.settings import Declared
from foretide.forecasting.events.sources import Found

from .api.events import EventSpec, to_found
from .settings import explain

# YAML is slow to read: what is larger is better an iCalendar file, or several keys.
LARGEST = 64 * 1024
MOST_EVENTS = 500
_MOST_PROBLEMS = 10


class FileError(ValueError):
    """The file as a whole cannot be used; the message says where and why."""


class _Plain(yaml.SafeLoader):
    """YAML without aliases: a few lines of those expand to more than memory holds."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        parser: Any = self  # its stubs have no types for what is asked here
        if parser.check_event(yaml.AliasEvent):
            mark = parser.peek_event().start_mark
            raise yaml.MarkedYAMLError(problem="aliases cannot be used here", problem_mark=mark)
        return super().compose_node(parent, index)


def read_file(name: str, text: str, declared: Declared) -> Found:
    """The events of a file. What its name ends in says what it is: `.ics` is iCalendar.

    `declared` holds for those events that say nothing else. One that cannot be used is a problem,
    and the others count all the same.

    Raises:
        CalendarError: not an iCalendar file, or too large a one.
        FileError: not YAML or JSON, or not a list of events.
    """
    if name.endswith(".ics"):
        return read_calendar(text, declared)
    entries = _entries(name, text)
    events: list[EventSpec] = []
    problems: list[str] = []
    for position, entry in enumerate(entries, 1):
        if not isinstance(entry, dict):
            problems.append(f"event {position} is not an object with a name")
            continue
        try:
            events.append(EventSpec.model_validate(_with_defaults(entry, declared)))
        except ValidationError as error:
            problems.append(f"event {position}{_named(entry)}: {explain(error)}")
    found = to_found(events)
    problems += found.problems
    if len(problems) > _MOST_PROBLEMS:
        more = len(problems) - _MOST_PROBLEMS
        problems = [*problems[:_MOST_PROBLEMS], f"and {more} more events with problems"]
    return Found(found.sources, tuple(problems))


def _entries(name: str, text: str) -> list[Any]:
    if len(text) > LARGEST:
        raise FileError(
            f"larger than {LARGEST // 1024} KiB: leave out events that are over, or use iCalendar"
        )
    try:
        document = json.loads(text) if name.endswith(".json") else yaml.load(text, _Plain)
    except yaml.MarkedYAMLError as error:
        where = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise FileError(f"not YAML: {where}{error.problem}") from None
    except json.JSONDecodeError as error:
        raise FileError(f"not JSON: line {error.lineno}: {error.msg}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise FileError(f"not YAML: {str(error).splitlines()[0][:160]}") from None
    except RecursionError:
        raise FileError("nested too deeply") from None
    if isinstance(document, dict) and document.keys() == {"events"}:
        document = document["events"]
    if not isinstance(document, list):
        raise FileError("must hold a list of events, or events: and a list")
    if len(document) > MOST_EVENTS:
        raise FileError(f"more than {MOST_EVENTS} events: leave out those that are over")
    return document


def _with_defaults(entry: dict[str, Any], declared: Declared) -> dict[str, Any]:
    """The entry with what the resource says of the whole file, where it says nothing itself."""
    effect = declared.effect
    defaults: dict[str, Any] = {"rampBefore": effect.ramp_before, "rampAfter": effect.ramp_after}
    if "holidays" not in entry and "rrule" not in entry:
        defaults["kind"] = declared.kind
    if effect.multiplier is not None:
        defaults["multiplier"] = effect.multiplier
    if effect.min_replicas is not None:
        defaults["minReplicas"] = effect.min_replicas
    return {**defaults, **entry}


def _named(entry: dict[str, Any]) -> str:
    name = entry.get("name")
    return f" ({name[:60]})" if isinstance(name, str) else ""
