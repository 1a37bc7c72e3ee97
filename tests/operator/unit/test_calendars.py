import asyncio
import base64

import pytest

from foretide.forecasting.events.model import Kind
from foretide.operator.api.events import EventSpec
from foretide.operator.calendars import Calendars
from foretide.operator.cluster import ClusterError

# 24 November 2026, a Tuesday.
NOW = 1_795_500_000.0
DEPLOYMENT = "/apis/apps/v1/namespaces/web/deployments/shop"
CONFIG_MAP = "/api/v1/namespaces/web/configmaps/calendar"
ICS = """BEGIN:VCALENDAR
BEGIN:VEVENT
UID:1
SUMMARY:All-hands sale
DTSTART:20261127T080000Z
DURATION:PT2H
END:VEVENT
END:VCALENDAR
"""


class Objects:
    """Answers GET for the objects it holds, or the error it was told to; counts what is asked."""

    def __init__(self):
        self.bodies = {DEPLOYMENT: {"metadata": {"resourceVersion": "1"}}}
        self.error = None
        self.asked = []

    def put(self, path, *, version="1", annotations=None, **data):
        """Put an object there."""
        metadata = {"resourceVersion": version, "annotations": annotations or {}}
        self.bodies[path] = {"metadata": metadata, **data}

    async def request(self, method, path, body=None, *, content_type="application/json"):
        """See `Cluster`."""
        self.asked.append(path)
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        if path not in self.bodies:
            raise ClusterError("NotFound", "not found", 404)
        return self.bodies[path]


AWAY = ClusterError("ApiUnreachable", "no answer from https://api: connection refused")


@pytest.fixture
def cluster():
    return Objects()


@pytest.fixture
def calendars(cluster):
    return Calendars(cluster)


@pytest.fixture
def view(calendars, target):
    """What the resource's calendar is at `now`."""

    async def look(*events, now=NOW, uid="uid", time_zone="UTC"):
        return await calendars.view(
            uid,
            target(),
            [EventSpec.model_validate(event) for event in events],
            time_zone=time_zone,
            now=now,
            past=30 * 86_400.0,
            ahead=14 * 86_400.0,
        )

    return look


def company(key="events.ics", **more):
    return {"name": "company", "configMap": {"name": "calendar", "key": key}, **more}


def names(found):
    return [event.name for event in found.calendar.events]


async def test_a_resource_without_events_has_an_empty_calendar(view):
    found = await view()
    assert (len(found.calendar), found.problems) == (0, ())


async def test_the_calendar_joins_the_spec_a_file_and_the_annotations_of_the_target(view, cluster):
    cluster.put(CONFIG_MAP, data={"events.ics": ICS})
    cluster.put(
        DEPLOYMENT,
        annotations={"foretide.dev/event.v2": "start=2026-11-25T08:00Z,duration=1h", "other": "x"},
    )
    found = await view(
        {"name": "black-friday", "start": "2026-11-27", "multiplier": 3},
        {"name": "holidays", "holidays": {"country": "US"}},
        company(multiplier=1.5),
    )
    assert found.problems == ()
    assert names(found)[-4:] == ["v2", "Thanksgiving Day", "black-friday", "All-hands sale"]
    by_name = {event.name: event for event in found.calendar.events}
    assert by_name["v2"].kind is Kind.RELEASE
    assert by_name["All-hands sale"].effect.multiplier == 1.5


async def test_days_are_those_of_the_workloads_zone(view):
    for zone, midnight in {"UTC": 0, "Asia/Tokyo": 15}.items():
        found = await view({"name": "sale", "start": "2026-11-27"}, time_zone=zone)
        assert found.calendar.events[0].start % 86_400 == midnight * 3_600


async def test_objects_are_asked_for_once_in_five_minutes(view, cluster):
    cluster.put(CONFIG_MAP, data={"events.ics": ICS})
    for second in (0, 15, 299):
        await view(company(), now=NOW + second)
    assert sorted(cluster.asked) == [CONFIG_MAP, DEPLOYMENT]
    await view(company(), now=NOW + 300)
    assert len(cluster.asked) == 4


async def test_a_file_that_many_resources_share_is_read_once_for_all(view, cluster):
    cluster.put(CONFIG_MAP, data={"events.ics": ICS})
    views = await asyncio.gather(*(view(company(), uid=f"uid-{i}") for i in range(20)))
    assert cluster.asked.count(CONFIG_MAP) == 1
    assert all(names(found) == ["All-hands sale"] for found in views)


async def test_a_clock_that_was_set_back_does_not_keep_old_answers_for_long(view, cluster):
    await view()
    await view(now=NOW - 86_400)
    assert len(cluster.asked) == 2


async def test_a_changed_file_takes_effect_when_it_is_read_again(view, cluster):
    cluster.put(CONFIG_MAP, data={"events.ics": ICS})
    await view(company())
    cluster.put(CONFIG_MAP, version="2", data={"events.ics": ICS.replace("All-hands", "Winter")})
    assert names(await view(company(), now=NOW + 60)) == ["All-hands sale"]
    assert names(await view(company(), now=NOW + 301)) == ["Winter sale"]


async def test_a_changed_spec_takes_effect_at_once(view):
    await view({"name": "sale", "start": "2026-11-27"})
    assert names(await view({"name": "party", "start": "2026-11-27"}, now=NOW + 1)) == ["party"]
    assert names(await view(now=NOW + 2)) == []


async def test_while_the_api_server_is_away_the_last_answer_holds_and_that_is_told(view, cluster):
    cluster.put(CONFIG_MAP, data={"events.ics": ICS})
    await view(company())
    cluster.error = AWAY
    found = await view(company(), now=NOW + 3_000)
    assert names(found) == ["All-hands sale"]
    assert found.problems[1] == (
        "event company: ConfigMap calendar cannot be read: no answer from https://api: "
        "connection refused; what it said at 2026-11-24T06:00:00Z holds"
    )
    cluster.error = None
    found = await view(company(), now=NOW + 3_030)  # half a minute later
    assert (names(found), found.problems) == (["All-hands sale"], ())


async def test_an_api_server_that_was_never_there_stops_nothing_that_needs_it_not(view, cluster):
    cluster.error = AWAY
    found = await view({"name": "sale", "start": "2026-11-27"}, company())
    assert names(found) == ["sale"]
    assert [problem.split(":")[0] for problem in found.problems] == [
        "annotations of Deployment shop cannot be read",
        "event company",
    ]


async def test_after_a_failure_it_is_tried_again_soon_but_not_at_each_tick(view, cluster):
    cluster.error = AWAY
    for second in (0, 15, 29):
        await view(now=NOW + second)
    assert len(cluster.asked) == 1
    await view(now=NOW + 30)
    assert len(cluster.asked) == 2


async def test_a_missing_right_is_told_with_what_the_api_server_says(view, cluster):
    cluster.error = ClusterError("Forbidden", 'configmaps "calendar" is forbidden: User …', 403)
    assert 'configmaps "calendar" is forbidden' in (await view(company())).problems[1]


async def test_a_file_that_was_deleted_holds_no_events_any_more(view, cluster):
    cluster.put(CONFIG_MAP, data={"events.ics": ICS})
    await view(company())
    del cluster.bodies[CONFIG_MAP]
    found = await view(company(), now=NOW + 301)
    assert names(found) == []
    assert found.problems == ("event company: ConfigMap calendar does not exist",)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({}, "ConfigMap calendar: has no key events.ics"),
        ({"data": None}, "ConfigMap calendar: has no key events.ics"),
        ({"data": {"events.ics": "x"}}, "key events.ics: line 1 is not NAME:value: 'x'"),
        (
            {"binaryData": {"events.ics": base64.b64encode(ICS.encode("utf-16")).decode()}},
            "key events.ics is binary: save the file as UTF-8",
        ),
        (
            {"data": {"events.ics": ICS.replace("DURATION:PT2H", "DURATION:-PT2H")}},
            "key events.ics: event 1 (All-hands sale): it must last longer than nothing",
        ),
    ],
)
async def test_what_is_wrong_with_a_file_is_told_with_where(view, cluster, body, problem):
    cluster.put(CONFIG_MAP, **body)
    found = await view({"name": "sale", "start": "2026-11-27"}, company())
    assert names(found) == ["sale"]
    assert len(found.problems) == 1
    assert problem in found.problems[0]


async def test_a_bad_annotation_is_told_and_the_good_one_counts(view, cluster):
    cluster.put(
        DEPLOYMENT,
        annotations={
            "foretide.dev/event.good": "start=2026-11-27",
            "foretide.dev/event.bad": "soon",
        },
    )
    found = await view()
    assert names(found) == ["good"]
    assert found.problems == (
        "annotations of Deployment shop: annotation foretide.dev/event.bad: "
        "'soon' is not name=value",
    )


async def test_the_problems_of_the_spec_and_of_its_sources_are_told_too(view):
    found = await view(
        {"name": "never", "start": "2026-02-30"}, {"name": "nowhere", "holidays": {"country": "XX"}}
    )
    assert [problem.split(":")[0] for problem in found.problems] == ["event never", "event nowhere"]


async def test_the_calendar_moves_on_with_time(view):
    daily = {
        "name": "daily",
        "start": "2026-01-01T12:00",
        "duration": "1h",
        "rrule": "FREQ=DAILY",
    }
    first = (await view(daily)).calendar
    assert (await view(daily, now=NOW + 60)).calendar is first
    moved = (await view(daily, now=NOW + 86_400)).calendar
    assert moved.events[-1].start == first.events[-1].start + 86_400
    assert moved.events[0].start == first.events[0].start + 86_400


async def test_what_is_gone_is_forgotten(view, calendars):
    first = (await view({"name": "sale", "start": "2026-11-27"})).calendar
    calendars.forget("uid")
    calendars.forget("uid")
    again = (await view({"name": "sale", "start": "2026-11-27"})).calendar
    assert again == first
    assert again is not first


async def test_dates_and_rules_that_no_calendar_has_are_told_and_the_others_count(view, cluster):
    far = ICS.replace("DTSTART:20261127T080000Z\nDURATION:PT2H", "DTSTART;VALUE=DATE:99991231")
    both = ICS.removesuffix("END:VCALENDAR\n") + far.removeprefix("BEGIN:VCALENDAR\n")
    cluster.put(CONFIG_MAP, data={"events.ics": both})
    ninth = {"start": "2026-01-01", "rrule": "FREQ=MONTHLY;BYDAY=+9MO"}
    found = await view({"name": "ninth", **ninth}, company())
    assert names(found) == ["All-hands sale"]
    assert found.problems == (
        "event company: ConfigMap calendar: key events.ics: event 2 (All-hands sale): "
        "one of its dates lies beyond the years that can be counted with",
        "event ninth: rrule: BYDAY asks for a weekday that no month has",
    )


async def test_a_mistake_in_the_code_is_told_as_a_problem_and_logged_once(
    view, monkeypatch, caplog
):
    def slip(*_):
        raise KeyError("a slip")

    monkeypatch.setattr("foretide.operator.calendars.expand", slip)
    for _ in range(2):
        found = await view({"name": "sale", "start": "2026-11-27"})
    assert names(found) == []
    assert found.problems == (
        "no event counts: the calendar cannot be made (KeyError, see the log)",
    )
    assert len(caplog.records) == 1
