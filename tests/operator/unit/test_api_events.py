import pytest
from pydantic import Field, ValidationError

from foretide.forecasting.events.model import Effect, Kind
from foretide.forecasting.events.sources import DatedSource, HolidaySource, RecurringSource
from foretide.operator.api.crds import structural
from foretide.operator.api.events import (
    MOST_EVENTS,
    EventList,
    EventSpec,
    to_calendar_sources,
    to_found,
)
from foretide.operator.api.fields import ApiModel
from foretide.operator.event_files import LARGEST, FileError, read_file
from foretide.operator.settings import explain

FILE = {"name": "company", "configMap": {"name": "calendar", "key": "events.ics"}}


class Resource(ApiModel):
    """A spec of which events are a part."""

    events: EventList = Field(default=[], description="What is known to come.")


@pytest.fixture
def read():
    """An event from what a user writes, on top of a name and a date."""

    def make(**written):
        return EventSpec.model_validate({"name": "sale", "start": "2026-11-27", **written})

    return make


@pytest.fixture
def refusal(read):
    def why(**written):
        with pytest.raises(ValidationError) as raised:
            read(**written)
        return explain(raised.value)

    return why


@pytest.fixture
def source(read):
    """The one source that such an event is."""

    def make(**written):
        found = to_calendar_sources([read(**written)])
        assert not found.problems
        (only,) = found.sources
        return only

    return make


@pytest.fixture
def declared():
    """What a resource says of a whole file that says nothing of it."""
    return to_calendar_sources([EventSpec.model_validate(FILE)]).files[0].declared


def test_a_campaign_has_a_date_and_an_effect(source):
    found = source(
        start="2026-11-27T08:00",
        end="2026-11-27T20:00",
        multiplier=3,
        minReplicas=20,
        rampBefore="1h",
        rampAfter="30m",
    )
    assert isinstance(found, DatedSource)
    assert (found.name, found.kind) == ("sale", Kind.CAMPAIGN)
    assert found.effect == Effect(3.0, 20, 3_600.0, 1_800.0)


def test_what_has_a_rule_recurs(source):
    found = source(start="2026-01-06T09:00", duration="2h", rrule="FREQ=WEEKLY;BYDAY=TU")
    assert isinstance(found, RecurringSource)
    assert (found.kind, found.duration) == (Kind.RECURRING, 7_200)


def test_the_kind_can_be_said(source):
    assert source(kind="Release").kind is Kind.RELEASE
    assert source(rrule="FREQ=YEARLY", kind="Campaign").kind is Kind.CAMPAIGN


def test_holidays_are_those_of_a_country_and_may_have_an_effect(source):
    found = source(start=None, holidays={"country": "DE", "subdivision": "BY"}, multiplier=0.5)
    assert found == HolidaySource("sale", "DE", "BY", ("public",), Effect(0.5))


def test_a_file_is_yet_to_be_read_and_carries_what_holds_for_all_its_events():
    event = EventSpec.model_validate({**FILE, "kind": "Release", "multiplier": 1.5})
    (file,) = to_calendar_sources([event]).files
    assert (file.name, file.config_map, file.key) == ("company", "calendar", "events.ics")
    assert (file.declared.kind, file.declared.effect) == (Kind.RELEASE, Effect(1.5))


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"start": None}, "exactly one of start, holidays and configMap"),
        ({"holidays": {"country": "DE"}}, "exactly one of start, holidays and configMap"),
        ({"configMap": FILE["configMap"]}, "exactly one of start, holidays and configMap"),
        ({"start": None, "holidays": {"country": "DE"}, "duration": "1h"}, "need start"),
        ({"start": None, "holidays": {"country": "DE"}, "rrule": "FREQ=DAILY"}, "need start"),
        (
            {"start": None, "holidays": {"country": "DE"}, "kind": "Holiday"},
            "kind must be left",
        ),
        ({"start": None, "holidays": {"country": "Germany"}}, "holidays.country"),
        ({"start": None, "holidays": {"country": "DE", "categories": []}}, "holidays.categories"),
        ({"start": None, "holidays": {"country": "DE", "region": "BY"}}, "holidays.region"),
        ({"start": None, "configMap": {"name": "a/b", "key": "x"}}, "configMap.name"),
        ({"start": None, "configMap": {"name": "a", "key": "../x"}}, "configMap.key"),
        ({"start": "2026-11-27T08:00"}, "needs end or duration"),
        ({"end": "2026-11-28", "duration": "1h"}, "end or duration, not both"),
        ({"start": "27.11.2026"}, "start"),
        ({"start": "2026-11-27 08:00"}, "start"),
        ({"end": "soon"}, "end"),
        ({"duration": "0s"}, "duration must be longer than 0s"),
        ({"duration": "400d"}, "at most 366d"),
        ({"rampBefore": "8d"}, "rampBefore must be at most 7d"),
        ({"rampAfter": "8d"}, "rampAfter must be at most 7d"),
        ({"multiplier": 0}, "multiplier"),
        ({"multiplier": 101}, "multiplier"),
        ({"multiplier": float("nan")}, "multiplier"),
        ({"minReplicas": 0}, "minReplicas"),
        ({"name": ""}, "name"),
        ({"name": "x\ny"}, "name"),
        ({"name": "x" * 64}, "name"),
        ({"kind": "Party"}, "kind"),
        ({"rrule": ""}, "rrule"),
        ({"rrule": "X" * 301}, "rrule"),
        ({"strt": "2026-11-27"}, "strt"),
    ],
)
def test_a_bad_event_is_refused_by_the_name_of_the_field(refusal, written, message):
    assert message in refusal(**written)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"start": "2026-02-30"}, "event sale: start: '2026-02-30' is not a time"),
        ({"start": "2026-11-27", "end": "2026-11-26"}, "event sale: end must be after start"),
        ({"rrule": "FREQ=HOURLY"}, "event sale: rrule needs FREQ"),
    ],
)
def test_what_a_schema_cannot_see_is_a_problem_and_stops_no_other(read, written, message):
    good = EventSpec(name="good", start="2026-05-01")
    found = to_calendar_sources([read(**written), good])
    assert [source.name for source in found.sources] == ["good"]
    assert len(found.problems) == 1
    assert message in found.problems[0]


def test_dates_that_yaml_has_read_as_dates_are_taken_as_they_were_written(declared):
    text = """
    - {name: day, start: 2026-11-27}
    - {name: hours, start: 2026-11-27T08:00:00Z, end: 2026-11-27T10:00:00+01:00}
    """
    day, hours = read_file("events.yaml", text, declared).sources
    assert (day.start.isoformat(), day.end.isoformat()) == (
        "2026-11-27T00:00:00",
        "2026-11-28T00:00:00",
    )
    assert hours.start.isoformat() == "2026-11-27T08:00:00+00:00"
    assert hours.end.isoformat() == "2026-11-27T10:00:00+01:00"


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("events.yaml", "- {name: a, start: 2026-11-27, multiplier: 2}"),
        ("events", "events:\n- {name: a, start: 2026-11-27, multiplier: 2}"),
        ("events.json", '[{"name": "a", "start": "2026-11-27", "multiplier": 2}]'),
    ],
)
def test_a_file_holds_events_as_the_resource_does(declared, key, text):
    (found,) = read_file(key, text, declared).sources
    assert (found.name, found.kind, found.effect) == ("a", Kind.CAMPAIGN, Effect(2.0))


def test_what_the_resource_says_of_a_file_holds_where_an_event_says_nothing(declared):
    file = EventSpec.model_validate(
        {**FILE, "kind": "Release", "multiplier": 1.5, "minReplicas": 4, "rampBefore": "1m"}
    )
    (entry,) = to_calendar_sources([file]).files
    text = "- {name: a, start: 2026-11-27, multiplier: 2}\n- {name: h, holidays: {country: DE}}"
    first, second = read_file("x.yaml", text, entry.declared).sources
    assert (first.kind, first.effect) == (Kind.RELEASE, Effect(2.0, 4, 60.0))
    assert second.effect == Effect(1.5, 4, 60.0)


def test_an_event_of_a_file_that_cannot_be_used_is_named_and_stops_no_other(declared):
    text = """
    - nonsense
    - {name: bad, strt: 2026-11-27}
    - {name: again, configMap: {name: a, key: b}}
    - {name: good, start: 2026-11-27}
    """
    found = read_file("events.yaml", text, declared)
    assert [source.name for source in found.sources] == ["good"]
    assert found.problems[0] == "event 1 is not an object with a name"
    assert found.problems[1].startswith("event 2 (bad): strt: ")
    assert found.problems[2] == "event again: a file cannot refer to another one"
    assert to_found([]).problems == ()


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("a.yaml", "", "must hold a list of events"),
        ("a.yaml", "name: x", "must hold a list of events"),
        ("a.yaml", "- {name: x", "not YAML: line 1: "),
        ("a.yaml", "- name: x\n  start: 2026-13-45", "not YAML: month must be in 1..12"),
        ("a.yaml", "- &a [1]\n- *a", "line 2: aliases cannot be used"),
        ("a.yaml", "[" * 1_000, "nested too deeply"),
        ("a.json", "[", "not JSON: line 1: "),
        ("a.json", "[" * 2_000, "nested too deeply"),
        ("a.yaml", "x" * (LARGEST + 1), "larger than 64 KiB"),
        ("a.json", "[" + ",".join(["1"] * 501) + "]", "more than 500 events"),
    ],
)
def test_a_file_that_holds_no_events_is_refused_with_where_and_why(declared, key, text, message):
    with pytest.raises(FileError, match=message):
        read_file(key, text, declared)


def test_many_problems_of_a_file_are_counted_rather_than_listed(declared):
    found = read_file("a.json", "[" + ",".join(["1"] * 15) + "]", declared)
    assert len(found.problems) == 11
    assert found.problems[-1] == "and 5 more events with problems"


def test_the_schema_bounds_what_rules_look_at_and_lets_names_be_unique():
    events = structural(Resource)["properties"]["events"]
    assert events["maxItems"] == MOST_EVENTS
    assert events["x-kubernetes-list-type"] == "map"
    assert events["x-kubernetes-list-map-keys"] == ["name"]
    event = events["items"]
    assert event["required"] == ["name"]
    for field in ("start", "end"):
        assert {"type", "pattern", "maxLength"} <= event["properties"][field].keys()
        # A rule asks with has() what was given: a default would have been given always.
        assert "default" not in event["properties"][field]
    assert event["properties"]["kind"]["enum"] == list(Kind)
    assert event["properties"]["multiplier"]["minimum"] == 0.01
