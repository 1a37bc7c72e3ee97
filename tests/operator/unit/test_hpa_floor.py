"""What is written on an HPA or a ScaledObject to hold its minimum up, and to give it back."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foretide.operator.hpa_floor import (
    FLOOR,
    ORIGINAL,
    OWNER,
    YIELDS_UNTIL,
    Autoscaled,
    Kind,
    Outcome,
    acts,
    plan_floor,
    plan_release,
    target_of,
)

NOW = 1_790_000_000.0


def hpa(minimum=2, maximum=20, *, kind=Kind.HPA, **meta):
    least, most = kind.fields
    spec = {
        "scaleTargetRef": {"kind": "Deployment", "apiVersion": "apps/v1", "name": "shop"},
        **({} if minimum is None else {least: minimum}),
        **({} if maximum is None else {most: maximum}),
    }
    meta = {"name": "shop", "namespace": "web", "resourceVersion": "1", **meta}
    return {"metadata": meta, "spec": spec}


def scaled_object(minimum=None, maximum=None, **meta):
    return hpa(minimum, maximum, kind=Kind.SCALED_OBJECT, **meta)


def seen(body):
    return Autoscaled.from_body(kind_of(body), body)


def kind_of(body):
    return Kind.HPA if "maxReplicas" in body["spec"] else Kind.SCALED_OBJECT


def merge(body, patch):
    """A merge patch, as the API server applies it."""
    result = dict(body)
    for key, value in (patch or {}).items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            result[key] = merge(result.get(key, {}), value)
        else:
            result[key] = value
    return result


def hold(body, floor, *, owner="uid-1", now=NOW):
    plan = plan_floor(seen(body), floor, owner=owner, now=now)
    return plan.outcome, merge(body, plan.patch)


def minimum(body):
    return body["spec"].get(kind_of(body).fields[0])


def marks(body):
    return body["metadata"].get("annotations", {})


def test_a_floor_raises_the_minimum_and_remembers_the_original():
    outcome, body = hold(hpa(2), 7)
    assert outcome is Outcome.HELD
    assert minimum(body) == 7
    assert marks(body) == {ORIGINAL: "2", FLOOR: "7", OWNER: "uid-1"}


def test_the_floor_moves_and_the_original_stays():
    _, body = hold(hpa(2), 7)
    _, body = hold(body, 12)
    assert (minimum(body), marks(body)[ORIGINAL], marks(body)[FLOOR]) == (12, "2", "12")
    _, body = hold(body, 4)
    assert (minimum(body), marks(body)[ORIGINAL], marks(body)[FLOOR]) == (4, "2", "4")


def test_what_is_as_it_should_be_is_not_written_again():
    _, body = hold(hpa(2), 7)
    assert plan_floor(seen(body), 7, owner="uid-1", now=NOW + 15).patch is None
    assert plan_floor(seen(hpa(2)), 2, owner="uid-1", now=NOW).patch is None
    assert plan_release(seen(hpa(2))).patch is None


def test_the_floor_is_never_above_the_maximum():
    plan = plan_floor(seen(hpa(2, 10)), 40, owner="uid-1", now=NOW)
    assert plan.minimum == 10
    assert minimum(hold(scaled_object(2), 400)[1]) == 100  # KEDA's default


def test_a_maximum_that_is_lowered_lowers_the_floor():
    _, body = hold(hpa(2, 20), 15)
    body["spec"]["maxReplicas"] = 15
    _, body = hold(body, 18)
    assert minimum(body) == 15


@pytest.mark.parametrize("floor", [0, 1, 2, 3])
def test_a_floor_that_is_not_above_the_minimum_holds_nothing(floor):
    outcome, body = hold(hpa(3), floor)
    assert outcome is Outcome.UNNEEDED
    assert body == hpa(3)


def test_the_minimum_comes_back_when_the_floor_falls_to_it():
    _, body = hold(hpa(3), 9)
    outcome, body = hold(body, 3)
    assert outcome is Outcome.UNNEEDED
    assert (minimum(body), marks(body)) == (3, {})


def test_a_release_restores_the_minimum_and_takes_all_marks_away():
    _, body = hold(hpa(3, annotations={"team": "web"}), 9)
    body = merge(body, plan_release(seen(body)).patch)
    assert (minimum(body), marks(body)) == (3, {"team": "web"})


def test_a_higher_minimum_of_somebody_else_is_the_original_from_then_on():
    _, body = hold(hpa(2), 7)
    body["spec"]["minReplicas"] = 9
    outcome, body = hold(body, 7)
    assert (outcome, minimum(body), marks(body)) == (Outcome.UNNEEDED, 9, {})
    outcome, body = hold(body, 12)
    assert (minimum(body), marks(body)[ORIGINAL]) == (12, "9")
    body = merge(body, plan_release(seen(body)).patch)
    assert minimum(body) == 9


def test_a_lower_minimum_of_somebody_else_is_the_original_and_the_floor_holds_above_it():
    _, body = hold(hpa(4), 7)
    body["spec"]["minReplicas"] = 1
    outcome, body = hold(body, 7)
    assert (outcome, minimum(body), marks(body)[ORIGINAL]) == (Outcome.HELD, 7, "1")


def test_a_release_leaves_a_minimum_alone_that_somebody_else_has_set():
    _, body = hold(hpa(2), 7)
    body["spec"]["minReplicas"] = 5
    body = merge(body, plan_release(seen(body)).patch)
    assert (minimum(body), marks(body)) == (5, {})


def test_a_tool_that_keeps_setting_it_back_is_given_way_to():
    def set_back(body, at):
        body["spec"]["minReplicas"] = 2
        return hold(body, 7, now=at)

    _, body = hold(hpa(2), 7)
    outcome, body = set_back(body, NOW + 15)
    assert outcome is Outcome.HELD  # once is no habit
    outcome, body = set_back(body, NOW + 30)
    assert outcome is Outcome.YIELDED
    assert (minimum(body), set(marks(body))) == (2, {OWNER, YIELDS_UNTIL})
    for later in (45, 300, 629):
        plan = plan_floor(seen(body), 7, owner="uid-1", now=NOW + later)
        assert (plan.outcome, plan.patch) == (Outcome.YIELDED, None)
    outcome, body = hold(body, 7, now=NOW + 630)
    assert (outcome, minimum(body)) == (Outcome.HELD, 7)
    outcome, body = set_back(body, NOW + 645)
    assert outcome is Outcome.YIELDED  # at once, this time


def test_corrections_far_apart_are_no_habit():
    _, body = hold(hpa(2), 7)
    for hour in range(1, 4):
        body["spec"]["minReplicas"] = 2
        outcome, body = hold(body, 7, now=NOW + hour * 3600)
        assert outcome is Outcome.HELD
    outcome, body = hold(body, 7, now=NOW + 4 * 3600)
    assert YIELDS_UNTIL not in marks(body)


def test_another_predictivescaler_takes_over_with_the_original():
    """One that was deleted and created anew has another uid."""
    _, body = hold(hpa(2), 7)
    _, body = hold(body, 9, owner="uid-2")
    assert marks(body) == {ORIGINAL: "2", FLOOR: "9", OWNER: "uid-2"}


@pytest.mark.parametrize(("own", "noted"), [(None, "none"), (0, "0")])
def test_a_scaled_object_may_go_to_zero_until_two_replicas_are_wanted(own, noted):
    assert hold(scaled_object(own), 1) == (Outcome.UNNEEDED, scaled_object(own))
    outcome, body = hold(scaled_object(own), 2)
    assert (outcome, minimum(body), marks(body)[ORIGINAL]) == (Outcome.HELD, 2, noted)
    body = merge(body, plan_release(seen(body)).patch)
    assert body == merge(scaled_object(own), {"metadata": {"annotations": {}}})


@pytest.mark.parametrize(
    "broken",
    [
        {ORIGINAL: "2.5", FLOOR: "7"},
        {ORIGINAL: "-3", FLOOR: "7"},
        {ORIGINAL: "", FLOOR: "7"},
        {FLOOR: "7"},
        {ORIGINAL: "2"},
        {ORIGINAL: "2", FLOOR: "many", YIELDS_UNTIL: "soon"},
    ],
)
def test_marks_that_cannot_be_read_leave_the_minimum_as_it_is(broken):
    body = hpa(7, annotations={OWNER: "uid-1", **broken})
    assert merge(body, plan_release(seen(body)).patch) == hpa(7, annotations={})
    outcome, body = hold(body, 9)
    assert (outcome, minimum(body), marks(body)[ORIGINAL]) == (Outcome.HELD, 9, "7")


@pytest.mark.parametrize(
    "meta",
    [
        {
            "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "Deployment", "name": "other"},
                {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "queue"},
            ]
        },
        {"labels": {"scaledobject.keda.sh/name": "queue"}},
    ],
)
def test_an_hpa_that_keda_has_made_is_recognised(meta):
    assert seen(hpa(**meta)).keda == "queue"


def test_any_other_hpa_is_nobodys():
    assert seen(hpa()).keda is None
    foreign = [{"apiVersion": "other.io/v1", "kind": "ScaledObject", "name": "x"}]
    assert seen(hpa(ownerReferences=foreign)).keda is None
    path = [{"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "../x"}]
    assert seen(hpa(ownerReferences=path)).keda is None


def test_the_target_of_a_scaled_object_is_a_deployment_unless_it_says_otherwise():
    body = scaled_object()
    body["spec"]["scaleTargetRef"] = {"name": "shop"}
    assert seen(body).target == ("web", "apps", "Deployment", "shop")
    assert seen(hpa()).target == ("web", "apps", "Deployment", "shop")


@pytest.mark.parametrize(
    ("spec", "answer"),
    [
        ({"mode": "Auto", "actuation": "HPAFloor"}, True),
        ({"mode": "Auto", "actuation": "Replicas"}, False),
        ({"mode": "Auto"}, False),
        ({"mode": "Recommend", "actuation": "HPAFloor"}, False),
        ({"mode": "Paused", "actuation": "HPAFloor"}, False),
        ({"actuation": "HPAFloor"}, False),
    ],
)
def test_only_auto_with_this_actuation_holds_anything(spec, answer):
    assert acts({"spec": spec}) is answer


def test_a_predictivescaler_names_its_target_as_autoscalers_do():
    scaler = {
        "metadata": {"namespace": "web"},
        "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "shop"}},
    }
    assert target_of(scaler) == seen(hpa()).target
    assert target_of({"metadata": {"namespace": "web"}, "spec": {}}) is None


steps = st.one_of(
    st.tuples(st.just("floor"), st.integers(0, 30)),
    st.tuples(st.just("minimum"), st.integers(0, 12)),
    st.tuples(st.just("maximum"), st.integers(12, 30)),
    st.tuples(st.just("wait"), st.sampled_from([15, 600, 4000])),
)


@pytest.mark.slow
@settings(max_examples=200)
@given(steps=st.lists(steps, max_size=25), start=st.one_of(st.none(), st.integers(0, 9)))
def test_whatever_happens_the_minimum_that_others_set_last_comes_back(steps, start):
    body, now, own = scaled_object(start, 12), NOW, start
    for what, value in steps:
        if what == "floor":
            plan = plan_floor(seen(body), value, owner="uid-1", now=now)
            body = merge(body, plan.patch)
            assert plan.own == own
            assert (minimum(body) or 0) <= max(own or 0, body["spec"]["maxReplicaCount"])
            assert (minimum(body) or 0) >= (own or 0)
        elif what == "minimum" and value != minimum(body):  # to set what is there changes nothing
            own = value
            body = merge(body, {"spec": {"minReplicaCount": value}})
        elif what == "maximum":
            lowest = minimum(body) or 0
            body = merge(body, {"spec": {"maxReplicaCount": max(value, lowest)}})
        elif what == "wait":
            now += value
    body = merge(body, plan_release(seen(body)).patch)
    assert minimum(body) == own
    assert not marks(body)
