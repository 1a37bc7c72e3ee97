"""Recurrence rules (RFC 5545), expanded on the wall clock of a time zone."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr

MOST_OCCURRENCES = 2_000
_MOST_STEPS = 50_000
# What all rules of a calendar may cost together, in steps of about a microsecond: they are worked
# out again each hour, in a process that has hundreds of resources to look after.
_BUDGET = 500_000
# What dateutil needs for a day, a week, a month and a year that it looks at.
_COST = {"DAILY": (1.0, 1), "WEEKLY": (7.0, 2), "MONTHLY": (30.4, 5), "YEARLY": (365.2, 30)}
_LONGEST_RULE = 300
_FREQUENCIES = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
_PART = re.compile(
    r"(FREQ|INTERVAL|COUNT|UNTIL|WKST"
    r"|BY(?:DAY|MONTH|MONTHDAY|YEARDAY|WEEKNO|SETPOS|HOUR|MINUTE))=([A-Z0-9,+-]+)"
)
# What every platform's `fromtimestamp` takes: the years 1970 to 2200 and a little.
_EARLIEST, _LATEST = -86_400.0, 7_260_000_000.0
_UNTIL = re.compile(r"(\d{8})(?:T(\d{6})(Z)?)?")
# The Gregorian calendar repeats after so many years, weekdays included.
_CYCLE = 400
_DAYS_OF_CYCLE = 146_097
_FIRST_YEAR, _LAST_YEAR, _MARGIN = 1970, 2199, 100
_BOUNDS = {"INTERVAL": 1_000, "COUNT": _MOST_STEPS}


class RuleError(ValueError):
    """A recurrence rule cannot be used; the message says what to change."""


class Budget:
    """How many steps the rules of a calendar may still take, all together."""

    def __init__(self, steps: float = _BUDGET) -> None:
        self.left = steps

    def check(self) -> None:
        """Refuse work once the steps are used up.

        Raises:
            RuleError: they are.
        """
        if self.left <= 0:
            raise RuleError(
                "left out, as the rrules of all events together take too long to work out: "
                "remove those that are over or never come true, or give later starts"
            )


@dataclass(frozen=True, slots=True)
class Rule:
    """A recurrence rule: `parts` without its end, `until` on the wall clock or in UTC, or none."""

    parts: str
    until: datetime | None = None

    @property
    def settings(self) -> dict[str, str]:
        """The parts by name."""
        return dict(part.split("=") for part in self.parts.split(";"))


def parse_rule(text: str) -> Rule:
    """Read a rule such as `FREQ=WEEKLY;BYDAY=TU`; a leading `RRULE:` may be there.

    Raises:
        RuleError: not a rule that can be used.
    """
    bare = text.strip().upper().removeprefix("RRULE:")
    if len(bare) > _LONGEST_RULE:
        raise RuleError(f"rrule is longer than {_LONGEST_RULE} characters")
    parts: dict[str, str] = {}
    for part in filter(None, bare.split(";")):
        match = _PART.fullmatch(part)
        if not match or match[1] in parts:
            raise RuleError(f"rrule: {part[:40]!r} is not a part of a rule that Foretide knows")
        parts[match[1]] = match[2]
    if parts.get("FREQ") not in _FREQUENCIES:
        raise RuleError(f"rrule needs FREQ={'|'.join(_FREQUENCIES)}")
    until = _parse_until(parts.pop("UNTIL")) if "UNTIL" in parts else None
    if until and "COUNT" in parts:
        raise RuleError("rrule must not have both COUNT and UNTIL")
    for name, highest in _BOUNDS.items():
        if name in parts and not (parts[name].isdecimal() and 1 <= int(parts[name]) <= highest):
            raise RuleError(f"rrule: {name} must be a number from 1 to {highest}")
    rule = Rule(";".join(f"{name}={value}" for name, value in parts.items()), until)
    try:
        rrulestr(rule.parts, dtstart=datetime(2000, 1, 1))
    except (ValueError, KeyError) as error:
        raise RuleError(f"rrule: {error}") from None
    return rule


def starts(
    rule: Rule,
    first: datetime,
    zone: str,
    *,
    start: float,
    end: float,
    budget: Budget | None = None,
) -> list[datetime]:
    """When a rule starts on the wall clock, for starts within start…end (Unix seconds).

    `first` is the first start, a naive wall-clock time. A time that a change to summer time skips
    is the moment after the change that RFC 5545 says; one that comes twice is the first of both.
    What it costs is taken from the budget.

    Raises:
        RuleError: the rule starts too often, never, or at times that no calendar has; or the
            budget is used up.
    """
    if not _FIRST_YEAR <= first.year <= _LAST_YEAR:
        raise RuleError(f"start must lie between the years {_FIRST_YEAR} and {_LAST_YEAR}")
    budget = budget or Budget()
    budget.check()
    lowest, highest = (local_time(at, zone) for at in (start, end))
    if rule.until is not None:
        until = rule.until
        if until.tzinfo is not None:
            until = until.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        highest = min(highest, until)
    found: list[datetime] = []
    for at in _walk(rule, _nearer(rule, first, lowest), budget):
        if at > highest:
            break
        if at >= lowest:
            found.append(at)
        if len(found) > MOST_OCCURRENCES:
            raise RuleError(
                f"rrule gives more than {MOST_OCCURRENCES} occurrences: what happens that often "
                "the forecast learns by itself"
            )
    return found


def to_unix(local: datetime, zone: str) -> float:
    """The moment of a wall-clock time (Unix seconds); an aware time keeps its own zone."""
    return (local if local.tzinfo else local.replace(tzinfo=ZoneInfo(zone))).timestamp()


def midnight(day: date, zone: str) -> float:
    """When a day begins on the wall clock (Unix seconds)."""
    return to_unix(datetime.combine(day, time.min), zone)


def local_time(at: float, zone: str) -> datetime:
    """The wall clock at a moment (Unix seconds), without its zone."""
    bounded = min(max(at, _EARLIEST), _LATEST)
    return datetime.fromtimestamp(bounded, ZoneInfo(zone)).replace(tzinfo=None)


def _nearer(rule: Rule, first: datetime, lowest: datetime) -> datetime:
    """A later first start from which the rule goes on as from its own; its own as a rule."""
    settings = rule.settings
    every = {"DAILY": 1, "WEEKLY": 7}.get(settings["FREQ"])
    if every is None or "COUNT" in settings or first >= lowest:
        return first
    stride = every * int(settings.get("INTERVAL", "1"))
    return first + timedelta(days=(lowest - first).days // stride * stride)


def _walk(rule: Rule, first: datetime, budget: Budget) -> Iterator[datetime]:
    # A rule that never comes true, such as 30 February, ends only with the last year that Python
    # knows. At the end of that time it is centuries away, not millennia.
    cycles = (datetime.max.year - _MARGIN - first.year) // _CYCLE
    shift = timedelta(days=cycles * _DAYS_OF_CYCLE)
    days, cost = _COST[rule.settings["FREQ"]]
    a_day = cost / days / int(rule.settings.get("INTERVAL", "1"))
    reached, steps = first, 0
    try:
        for late in rrulestr(rule.parts, dtstart=first + shift):
            at = late - shift
            steps += 1
            budget.left -= 1 + (at - reached).days * a_day
            if steps > _MOST_STEPS:
                raise RuleError("rrule has begun too long ago: give a later start")
            yield at
            reached = at
    except IndexError:  # dateutil's own, where a month is asked for its ninth Monday
        raise RuleError("rrule: BYDAY asks for a weekday that no month has") from None
    except (ValueError, OverflowError) as error:
        if isinstance(error, RuleError):
            raise
        # Some rules of weeks end so, in the last year of all.
    if steps < int(rule.settings.get("COUNT", _MOST_STEPS)):
        budget.left -= (datetime.max - shift - reached).days * a_day
    if not steps:
        raise RuleError("rrule never comes true: correct or remove it")


def _parse_until(text: str) -> datetime:
    match = _UNTIL.fullmatch(text)
    try:
        if not match:
            raise ValueError
        day, clock, utc = match.groups()
        until = datetime.strptime(day + (clock or "235959"), "%Y%m%d%H%M%S")
    except ValueError:
        raise RuleError(f"rrule: UNTIL={text[:20]} is not a date such as 20271231") from None
    return until.replace(tzinfo=UTC) if utc else until
