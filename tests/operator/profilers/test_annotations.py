"""Profilers that annotations ask for: made, changed and deleted, and nobody else's touched."""

import pytest

from foretide.operator.api.profiler import ProfilerSpec
from foretide.operator.profilers.annotations import (
    BadAnnotation,
    Workload,
    asks,
    changes,
    profiler_of,
)


def workload(kind="Deployment", **annotations):
    given = {f"foretide.dev/{name.replace('_', '-')}": it for name, it in annotations.items()}
    meta = {"name": "shop", "namespace": "shop", "uid": "u", "annotations": given}
    return Workload(kind, meta)


def test_only_those_that_ask_are_profiled():
    assert asks(workload(profile="once"))
    assert not asks(workload(profile_duration="30s"))
    assert not asks(Workload("Deployment", {"name": "a", "namespace": "b", "uid": "c"}))


def test_an_annotation_becomes_a_profiler_that_belongs_to_the_workload():
    made = profiler_of(workload(profile="Once", profile_duration="30s", profile_pods="3"))
    assert made["metadata"]["name"] == "deployment.shop"
    assert made["metadata"]["ownerReferences"][0]["uid"] == "u"
    spec = ProfilerSpec.model_validate(made["spec"])
    assert (spec.duration, spec.pods, spec.target_ref.name) == (30.0, 3, "shop")


@pytest.mark.parametrize(
    ("annotations", "told"),
    [
        ({"profile": "yes"}, "once or continuous"),
        ({"profile": "once", "profile_duration": "soon"}, "not a duration"),
        ({"profile": "once", "profile_pods": "many"}, "pods"),
        ({"profile": "once", "profile_pods": "9" * 5_000}, "pods"),
    ],
)
def test_what_cannot_be_is_told(annotations, told):
    with pytest.raises(BadAnnotation, match=told):
        profiler_of(workload(**annotations))


def test_an_annotation_gives_no_leave_to_restart_or_to_see_locals():
    made = profiler_of(workload(profile="continuous", profile_allow_rollout="true"))
    spec = ProfilerSpec.model_validate(made["spec"])
    assert (spec.allow_rollout, spec.locals) == (False, False)


def as_served(document):
    """With the defaults that the API server fills in."""
    spec = ProfilerSpec.model_validate(document["spec"]).model_dump(
        mode="json", by_alias=True, exclude_none=True
    )
    return {**document, "spec": spec}


def test_what_is_there_already_is_left_alone():
    wanted = profiler_of(workload(profile="once"))
    found = changes([wanted], [as_served(wanted)])
    assert (found.create, found.change, found.delete) == ((), (), ())


def test_it_is_made_changed_and_deleted_with_the_annotation():
    wanted = profiler_of(workload(profile="once"))
    assert changes([wanted], []).create == (wanted,)
    other = profiler_of(workload(profile="continuous"))
    assert changes([other], [as_served(wanted)]).change == (other,)
    assert changes([], [as_served(wanted)]).delete == (("shop", "deployment.shop"),)


def test_a_profiler_that_somebody_has_made_is_never_touched():
    wanted = profiler_of(workload(profile="once"))
    theirs = as_served(wanted)
    theirs["metadata"] = {"name": "deployment.shop", "namespace": "shop"}
    theirs["spec"] = {**theirs["spec"], "rate": 7}
    assert changes([wanted], [theirs]) == changes([], [theirs]) == changes([], [])
