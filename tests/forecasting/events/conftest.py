"""Builders that the tests of events share."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from foretide.forecasting.events.learning import learn
from foretide.forecasting.events.model import Effect, Event, EventCalendar, Kind, event_key, pool_of
from foretide.forecasting.events.sources import expand
from foretide.forecasting.series import Series

# A Monday.
MONDAY = datetime(2026, 3, 2, tzinfo=UTC).timestamp()
HOUR, DAY = 3_600.0, 86_400.0


@pytest.fixture(scope="session")
def monday():
    """The midnight (UTC) that begins Monday, 2 March 2026."""
    return MONDAY


@pytest.fixture(scope="session")
def at():
    """Unix seconds of a wall-clock time: at("2026-03-29T02:30", "Europe/Berlin")."""

    def make(text, zone="UTC"):
        return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()

    return make


@pytest.fixture(scope="session")
def make_event():
    """An event of two hours that begins `start` seconds after that Monday."""

    def make(start=0.0, lasts=2 * HOUR, name="sale", kind=Kind.CAMPAIGN, **effect):
        begins = MONDAY + start
        pools = (pool_of(kind),)
        return Event(
            name, kind, begins, begins + lasts, event_key(kind, name), pools, Effect(**effect)
        )

    return make


@pytest.fixture(scope="session")
def make_holiday():
    """A holiday on the day (UTC) that begins so many days after that Monday."""

    def make(day, name="Founders' Day"):
        begins = MONDAY + day * DAY
        pools = ("holiday:XX", "holiday")
        return Event(name, Kind.HOLIDAY, begins, begins + DAY, f"holiday:XX:{name}", pools)

    return make


@pytest.fixture(scope="session")
def calendar_of():
    """A calendar of the given events."""
    return lambda *events: EventCalendar(events)


@pytest.fixture(scope="session")
def starts_of(at):
    """The wall-clock starts of a source's events from one date to another, as texts."""

    def make(source, start, end, zone="Europe/Berlin"):
        expansion = expand([source], at(start, zone), at(end, zone), zone)
        assert not expansion.problems
        return [
            datetime.fromtimestamp(event.start, ZoneInfo(zone)).isoformat()[:16]
            for event in expansion.calendar.events
        ]

    return make


class World:
    """Demand of a shop: a daily wave, less on weekends, some noise; what events do is told to it.

    From 56 days before that Monday to it, in steps of half an hour.
    """

    def __init__(self, *, noise=0.03, before=56, seed=7):
        self.step = 1_800.0
        self.times = MONDAY - before * DAY + self.step * np.arange(before * 48)
        self.usual = self.expected(self.times)
        rng = np.random.default_rng(seed)
        self.demand = self.usual * np.exp(noise * rng.standard_normal(len(self.times)))

    @staticmethod
    def expected(times):
        """What demand is without events and noise."""
        hour = (times % DAY) / HOUR
        weekend = ((times // DAY + 3) % 7) >= 5
        work = 100 + 60 * np.sin((hour - 8) / 24 * 2 * np.pi)
        rest = 70 + 20 * np.sin((hour - 14) / 24 * 2 * np.pi)
        return np.where(weekend, rest, work)

    def happen(self, event, factor):
        """An event multiplies demand, by a number or by a function of the times."""
        part = (self.times >= event.start) & (self.times < event.end)
        by = factor(self.times[part]) if callable(factor) else factor
        self.demand[part] *= by

    def learn(self, calendar, **changes):
        """What is learned from it, with the expected demand as the baseline."""
        history = Series(float(self.times[0]), self.step, self.demand)
        return learn(history, self.usual, calendar, **changes)


@pytest.fixture
def make_world():
    """A world whose past one may change."""
    return World
