"""What can be declared about an event in one line of text: `multiplier=2.5,kind=campaign`.

Annotations are written so, and lines in the events of an iCalendar file.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from .model import NO_EFFECT, Effect, Kind

LEAST_MULTIPLIER, MOST_MULTIPLIER = 0.01, 100.0
LONGEST_RAMP = 7 * 86_400.0
_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_DURATION = re.compile(r"(?:[0-9]{1,9}[dhms])+")


class SettingError(ValueError):
    """A setting cannot be used; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Declared:
    """A kind and an effect that were declared, on top of what holds otherwise."""

    kind: Kind
    effect: Effect = NO_EFFECT

    def with_settings(self, settings: Mapping[str, str]) -> "Declared":
        """These, with what the settings name put over them: kind, multiplier, minReplicas, ramps.

        Raises:
            SettingError: a value is not what it must be. Unknown names are not looked at.
        """
        effect = self.effect
        if "multiplier" in settings:
            effect = replace(effect, multiplier=_multiplier(settings["multiplier"]))
        if "minReplicas" in settings:
            effect = replace(effect, min_replicas=_replicas(settings["minReplicas"]))
        if "rampBefore" in settings:
            effect = replace(effect, ramp_before=_ramp("rampBefore", settings["rampBefore"]))
        if "rampAfter" in settings:
            effect = replace(effect, ramp_after=_ramp("rampAfter", settings["rampAfter"]))
        kind = _kind(settings["kind"]) if "kind" in settings else self.kind
        return Declared(kind, effect)


def split_settings(text: str, known: frozenset[str]) -> dict[str, str]:
    """The settings of one line: `name=value`, separated by commas.

    Raises:
        SettingError: not that, a name twice, or one that is not among the known.
    """
    settings: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not value:
            raise SettingError(f"{part[:40]!r} is not name=value")
        if name not in known:
            raise SettingError(f"{name[:40]!r} is not one of {', '.join(sorted(known))}")
        if name in settings:
            raise SettingError(f"{name} is given twice")
        settings[name] = value
    return settings


EFFECT_SETTINGS = frozenset({"kind", "multiplier", "minReplicas", "rampBefore", "rampAfter"})


def parse_seconds(name: str, text: str) -> float:
    """The seconds of a duration such as `90s`, `15m` or `1h30m`.

    Raises:
        SettingError: not a duration.
    """
    if not _DURATION.fullmatch(text):
        raise SettingError(f"{name}={text[:20]!r} is not a duration such as 90s, 15m or 1h30m")
    return float(sum(int(n) * _UNITS[unit] for n, unit in re.findall(r"([0-9]+)([dhms])", text)))


def _multiplier(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not LEAST_MULTIPLIER <= value <= MOST_MULTIPLIER:
        raise SettingError(
            f"multiplier={text[:20]!r} must be a number from {LEAST_MULTIPLIER} to "
            f"{MOST_MULTIPLIER:g}"
        )
    return value


def _replicas(text: str) -> int:
    if not (text.isdecimal() and len(text) <= 7 and 1 <= int(text) <= 1_000_000):
        raise SettingError(f"minReplicas={text[:20]!r} must be a number from 1 to 1000000")
    return int(text)


def _ramp(name: str, text: str) -> float:
    seconds = parse_seconds(name, text)
    if seconds > LONGEST_RAMP:
        raise SettingError(f"{name} must be at most {LONGEST_RAMP / 86_400:.0f}d")
    return seconds


def _kind(text: str) -> Kind:
    for kind in Kind:
        if text.casefold() == kind.value.casefold():
            return kind
    raise SettingError(f"kind={text[:20]!r} must be one of {', '.join(Kind)}")
