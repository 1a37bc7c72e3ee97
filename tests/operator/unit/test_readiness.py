"""Start-up times from pods as they are listed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretide.operator.conditions import timestamp
from foretide.operator.readiness import PodFacts, PodWatch, observe, read_pod

NOON = 1_790_000_000.0


def pod(
    uid="a",
    *,
    created=NOON,
    scheduled=1.0,
    started=1.0,
    ready=None,
    changed=None,
    restarts=0,
    ending=False,
    reason=None,
):
    """A pod's JSON; `scheduled`, `started` and `changed` are seconds after its creation."""
    changed = started if changed is None else changed
    conditions = [
        {
            "type": "PodScheduled",
            "status": "False" if reason else "True",
            **({"reason": reason} if reason else {}),
            "lastTransitionTime": timestamp(created + scheduled),
        }
    ]
    if ready is not None:
        conditions.append(
            {
                "type": "Ready",
                "status": str(ready),
                "lastTransitionTime": timestamp(
                    created + (started if changed is None else changed)
                ),
            }
        )
    return {
        "metadata": {
            "uid": uid,
            "creationTimestamp": timestamp(created),
            **({"deletionTimestamp": timestamp(created)} if ending else {}),
        },
        "status": {
            "phase": "Running",
            "startTime": timestamp(created + started),
            "conditions": conditions,
            "containerStatuses": [{"restartCount": restarts}],
        },
    }


class Listings:
    """One target's pods, listed again and again."""

    def __init__(self, *, first=NOON - 60, counted_until=float("-inf")):
        self.watch = PodWatch(counted_until=counted_until)
        if first is not None:
            self.see(first)

    def see(self, at, *pods):
        """The start-ups that a listing at a time shows."""
        facts = [fact for one in pods if (fact := read_pod(one)) is not None]
        starts, self.watch = observe(facts, self.watch, at)
        return starts


def test_a_pod_that_was_seen_to_start_counts_once_it_is_ready():
    listings = Listings()
    assert not listings.see(NOON + 15, pod(ready=False))
    (start,) = listings.see(NOON + 60, pod(ready=True, changed=42.0))
    assert (start.seconds, start.waited_for_node) == (42.0, False)
    assert not listings.see(NOON + 75, pod(ready=True, changed=42.0))


def test_a_pod_that_is_not_ready_again_later_is_no_second_start():
    listings = Listings()
    listings.see(NOON + 15, pod(ready=False))
    listings.see(NOON + 60, pod(ready=True, changed=42.0))
    assert not listings.see(NOON + 900, pod(ready=False, changed=880.0))
    assert not listings.see(NOON + 930, pod(ready=True, changed=920.0))


def test_a_pod_that_started_between_two_listings_counts():
    assert [start.seconds for start in Listings().see(NOON + 9, pod(ready=True, changed=6.0))] == [
        6
    ]


def test_a_pod_that_was_created_right_after_the_last_listing_counts_although_times_are_whole():
    listings = Listings(first=NOON + 0.9)
    assert listings.see(NOON + 15, pod(ready=True, changed=6.0))


def test_a_pod_that_joins_late_by_its_labels_does_not_count():
    listings = Listings(first=NOON + 600)
    assert not listings.see(NOON + 900, pod(ready=True, changed=200.0))


@pytest.mark.parametrize("ready", [False, True])
def test_a_pod_whose_containers_restarted_on_the_way_does_not_count(ready):
    listings = Listings()
    listings.see(NOON + 15, pod(ready=ready, restarts=1))
    assert not listings.see(NOON + 300, pod(ready=True, changed=290.0, restarts=1))


def test_a_restart_after_it_was_first_ready_changes_nothing():
    listings = Listings()
    listings.see(NOON + 15, pod(ready=False))
    assert listings.see(NOON + 60, pod(ready=True, changed=42.0))
    assert not listings.see(NOON + 90, pod(ready=True, changed=80.0, restarts=1))


def test_a_pod_that_is_being_deleted_does_not_count():
    listings = Listings()
    listings.see(NOON + 15, pod(ready=False))
    assert not listings.see(NOON + 60, pod(ready=True, changed=42.0, ending=True))


def test_pods_that_run_already_teach_a_new_resource_something():
    listings = Listings(first=None)
    starts = listings.see(NOON + 9_000, pod(ready=True, changed=42.0))
    assert [start.seconds for start in starts] == [42.0]


def test_a_probe_that_failed_after_days_is_not_taken_for_a_start_of_days():
    listings = Listings(first=None)
    assert not listings.see(NOON + 9_000, pod(ready=True, changed=8_000.0))


def test_a_pod_that_was_ready_before_the_operator_came_is_not_seen_as_starting():
    listings = Listings(first=None)
    listings.see(NOON + 5_000, pod(ready=False, changed=4_990.0))
    assert not listings.see(NOON + 5_015, pod(ready=True, changed=5_010.0))


def test_a_slow_start_is_followed_over_a_restart_of_the_operator():
    listings = Listings(first=None)
    listings.see(NOON + 1_500, pod(ready=False, changed=1.0))
    (start,) = listings.see(NOON + 1_800, pod(ready=True, changed=1_790.0))
    assert start.seconds == 1_790.0


def test_after_a_restart_what_was_counted_before_is_not_counted_again():
    counted = pod("a", ready=True, changed=42.0)
    fresh = pod("b", created=NOON + 100, ready=True, changed=40.0)
    listings = Listings(first=None, counted_until=NOON + 60)
    assert [start.created for start in listings.see(NOON + 900, counted, fresh)] == [NOON + 100]


def test_a_pod_that_was_seen_unschedulable_waited_for_a_node():
    listings = Listings()
    listings.see(NOON + 15, pod(reason="Unschedulable", ready=None))
    listings.see(NOON + 200, pod(scheduled=190.0, started=191.0, ready=False))
    (start,) = listings.see(NOON + 260, pod(scheduled=190.0, ready=True, changed=240.0))
    assert (start.waited_for_node, start.seconds) == (True, 240.0)
    assert start.scheduled == NOON + 190


def test_a_pod_that_was_scheduled_late_waited_for_a_node_although_nobody_looked():
    (start,) = Listings().see(NOON + 260, pod(scheduled=190.0, ready=True, changed=240.0))
    assert start.waited_for_node


def test_what_is_kept_is_no_more_than_the_pods_there_are():
    listings = Listings()
    listings.see(NOON + 15, *(pod(str(i), ready=i % 2 == 0) for i in range(50)))
    listings.see(NOON + 30, pod("7", ready=False))
    assert set(listings.watch.starting) | listings.watch.done == {"7"}


def test_pods_that_have_ended_are_not_read():
    ended = pod(ready=True)
    ended["status"]["phase"] = "Succeeded"
    assert read_pod(ended) is None


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"metadata": {}},
        {"metadata": {"uid": "a", "creationTimestamp": "soon"}},
        {"metadata": {"uid": "a", "creationTimestamp": None}},
        {"metadata": {"uid": "a", "creationTimestamp": timestamp(NOON)}, "status": 7},
    ],
)
def test_a_pod_that_cannot_be_read_is_left_out(broken):
    assert read_pod(broken) is None


def test_a_pod_without_any_status_waits():
    fact = read_pod({"metadata": {"uid": "a", "creationTimestamp": timestamp(NOON)}})
    assert fact == PodFacts("a", NOON)
    assert fact.never_ready


seconds = st.none() | st.floats(0, 5_000)
facts = st.builds(
    lambda uid, created, started, scheduled, changed, **rest: PodFacts(
        uid,
        NOON + created,
        *(None if after is None else NOON + created + after for after in (started, scheduled)),
        ready_changed=None if changed is None else NOON + created + changed,
        **rest,
    ),
    st.just("a"),
    st.floats(0, 600),
    seconds,
    seconds,
    seconds,
    unschedulable=st.booleans(),
    ready=st.booleans(),
    restarts=st.integers(0, 1),
    ending=st.booleans(),
)


@pytest.mark.slow
@given(st.lists(facts, max_size=12))
def test_whatever_a_pod_goes_through_it_counts_once_at_most(sightings):
    watch, counted = PodWatch(), 0
    for i, seen in enumerate(sightings):
        starts, watch = observe([seen], watch, NOON + 60.0 * i)
        counted += len(starts)
    assert counted <= 1
