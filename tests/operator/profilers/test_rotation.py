"""k of n pods: each has its turn, and nobody moves without need."""

from collections import Counter
from dataclasses import dataclass

from foretide.operator.profilers.rotation import pick, turn_ends, turn_of


@dataclass(frozen=True)
class Pod:
    uid: str


PODS = [Pod(f"pod-{number}") for number in range(10)]


def test_no_more_pods_are_picked_than_asked_for_or_there():
    assert len(pick(PODS, 3, turn="1")) == 3
    assert len(pick(PODS[:2], 3, turn="1")) == 2


def test_the_same_turn_picks_the_same_pods_in_whatever_order_they_come():
    assert pick(PODS, 3, turn="7") == pick(reversed(PODS), 3, turn="7")


def test_a_pod_that_goes_moves_no_other_from_its_turn():
    before = pick(PODS, 3, turn="7")
    gone = next(pod for pod in PODS if pod not in before)
    assert pick([pod for pod in PODS if pod != gone], 3, turn="7") == before


def test_over_many_turns_every_pod_has_its_share():
    seen = Counter(pod.uid for turn in range(500) for pod in pick(PODS, 2, turn=str(turn)))
    assert len(seen) == 10
    assert min(seen.values()) > 60  # 100 each in the mean
    assert max(seen.values()) < 140


def test_those_that_are_attached_already_are_kept():
    last = pick(PODS, 10, turn="1")[-1]
    assert pick(PODS, 1, turn="1", keep=frozenset({last.uid})) == (last,)


def test_turns_have_a_length_and_an_end():
    assert turn_of(599.0, 600.0) != turn_of(600.0, 600.0)
    assert turn_ends(601.0, 600.0) == 1200.0
