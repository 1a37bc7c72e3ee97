"""What is told of events: which ones, and what they are expected to do."""

import pytest

from foretide.forecasting.events.effects import KeyEffect, LearnedEffects
from foretide.forecasting.events.model import Effect, Event, EventCalendar, Kind
from foretide.operator.calendars import CalendarView
from foretide.operator.report import DAY, events_report

NOON = 1_790_000_000.0


@pytest.fixture
def event():
    def make(name, start=NOON + DAY, *, hours=2.0, effect=None):
        key = f"campaign:{name}"
        return Event(name, Kind.CAMPAIGN, start, start + 3_600 * hours, key, (), effect or Effect())

    return make


@pytest.fixture
def tell():
    def make(*events, problems=(), effects=(), now=NOON):
        return events_report(CalendarView(EventCalendar(events), problems), effects, now)

    return make


def names(report):
    return [one.name for one in report.ahead]


def test_events_of_the_next_two_weeks_are_told_and_those_that_go_on(tell, event):
    report = tell(
        event("over", NOON - DAY),
        event("going on", NOON - 3_600),
        event("soon", NOON + DAY),
        event("far", NOON + 15 * DAY),
    )
    assert names(report) == ["going on", "soon"]


def test_what_recurs_is_told_once(tell, event):
    report = tell(event("mail"), event("mail", NOON + 2 * DAY), event("sale", NOON + 3 * DAY))
    assert names(report) == ["mail", "sale"]
    assert report.ahead[0].start == NOON + DAY


def test_no_more_are_told_than_status_holds(tell, event):
    assert len(tell(*(event(f"event {number}") for number in range(20))).ahead) == 8


def test_the_metric_that_knows_an_event_says_what_it_does(tell, event):
    knows = LearnedEffects({"campaign:sale": KeyEffect("campaign:sale", 3, 2.0, 2.6, (), 0.1)})
    report = tell(event("sale"), event("unknown"), effects=[LearnedEffects(), knows])
    assert report.ahead[0].expected.startswith("seen 3 times: 2 times the usual demand")
    assert report.ahead[1].expected.startswith("not seen yet")


def test_a_declared_effect_is_told(tell, event):
    report = tell(event("sale", effect=Effect(multiplier=3.0)))
    assert report.ahead[0].expected == "declared: 3 times the usual demand"


def test_many_problems_are_counted(tell):
    problems = tuple(f"event {number} is wrong" for number in range(9))
    assert tell(problems=problems).problems == (*problems[:4], "and 5 more problems")
    assert tell(problems=problems[:5]).problems == problems[:5]
