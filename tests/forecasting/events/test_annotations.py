import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretide.forecasting.events.annotations import MOST_ANNOTATIONS, PREFIX, read_annotations
from foretide.forecasting.events.model import Effect, Kind
from foretide.forecasting.events.sources import expand


@pytest.fixture
def event(at):
    """The one event that an annotation's text gives."""

    def make(text):
        found = read_annotations({f"{PREFIX}release-42": text})
        assert not found.problems
        (only,) = expand(
            found.sources, at("2026-01-01"), at("2027-01-01"), "Europe/Berlin"
        ).calendar.events
        return only

    return make


def test_an_annotation_announces_a_campaign_with_its_effect(event, at):
    found = event(
        "start=2026-11-27T08:00Z, end=2026-11-27T20:00Z, multiplier=2.5, kind=campaign, "
        "minReplicas=20, rampBefore=30m, rampAfter=1h30m"
    )
    assert (found.start, found.end) == (at("2026-11-27T08:00"), at("2026-11-27T20:00"))
    assert (found.name, found.kind, found.key) == (
        "release-42",
        Kind.CAMPAIGN,
        "campaign:release-42",
    )
    assert found.effect == Effect(2.5, 20, 1_800.0, 5_400.0)


def test_the_least_is_a_start_and_how_long_it_lasts_and_means_a_release(event, at):
    found = event("start=2026-11-27T08:00,duration=2h")
    assert found.start == at("2026-11-27T08:00", "Europe/Berlin")
    assert found.end - found.start == 7_200
    assert (found.kind, found.effect) == (Kind.RELEASE, Effect())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "start is missing, such as start="),
        ("soon", "'soon' is not name=value"),
        ("start=", "is not name=value"),
        ("start=2026-11-27T08:00", "give end or duration"),
        ("start=2026-11-27,start=2026-11-28", "start is given twice"),
        ("start=2026-11-27,factor=3", "'factor' is not one of duration, end, kind, minReplicas"),
        ("start=2026-11-27,multiplier=much", "multiplier='much' must be a number from 0.01 to 100"),
        ("start=2026-11-27,multiplier=nan", "must be a number"),
        ("start=2026-11-27,multiplier=0", "must be a number"),
        ("start=2026-11-27,minReplicas=-1", "minReplicas='-1' must be a number from 1"),
        ("start=2026-11-27,minReplicas=99999999", "minReplicas="),
        ("start=2026-11-27,rampBefore=8d", "rampBefore must be at most 7d"),
        ("start=2026-11-27,rampAfter=-1h", "rampAfter='-1h' is not a duration"),
        ("start=2026-11-27,kind=party", "kind='party' must be one of Holiday, Campaign"),
        ("start=2026-11-27," + "x" * 1_000, "longer than 1000 characters"),
    ],
)
def test_a_bad_annotation_is_told_by_its_name_and_stops_no_other(text, message):
    found = read_annotations({f"{PREFIX}bad": text, f"{PREFIX}good": "start=2026-11-27"})
    assert [source.name for source in found.sources] == ["good"]
    assert len(found.problems) == 1
    assert found.problems[0].startswith("annotation foretide.dev/event.bad: ")
    assert message in found.problems[0]


def test_other_annotations_are_not_looked_at():
    found = read_annotations({"foretide.dev/events": "x", "deployment.kubernetes.io/revision": "1"})
    assert (found.sources, found.problems) == ((), ())


def test_an_annotation_without_a_name_is_told():
    assert "give the event a name" in read_annotations({PREFIX: "start=2026-11-27"}).problems[0]


def test_of_too_many_annotations_only_the_first_count():
    many = {f"{PREFIX}{i:04}": "start=2026-11-27" for i in range(MOST_ANNOTATIONS + 5)}
    found = read_annotations(many)
    assert len(found.sources) == MOST_ANNOTATIONS
    assert "more than 100 annotations" in found.problems[0]


@given(st.dictionaries(st.text(max_size=10).map(PREFIX.__add__), st.text(max_size=80), max_size=5))
def test_no_annotation_whatever_raises(annotations):
    found = read_annotations(annotations)
    assert len(found.sources) + len(found.problems) == len(annotations)
