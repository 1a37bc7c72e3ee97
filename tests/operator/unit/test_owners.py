import itertools

import pytest

from foretide.operator.api.predictivescaler import Mode, ScaleTargetRef
from foretide.operator.owners import Claim, other_owner, target_key


def claim(name, created="2026-01-01T00:00:00Z", mode=Mode.AUTO):
    return Claim(f"uid-{name}", name, created, mode)


def test_nobody_else_is_nobody():
    assert other_owner(claim("a"), [], []) is None
    assert other_owner(claim("a"), [], [claim("a")]) is None


@pytest.mark.parametrize("mode", list(Mode))
def test_an_autoscaler_owns_the_target_whatever_the_mode(mode):
    autoscalers = ["ScaledObject b", "HorizontalPodAutoscaler a"]
    assert other_owner(claim("a", mode=mode), autoscalers, []) == "HorizontalPodAutoscaler a"


def test_an_autoscaler_is_named_before_a_rival():
    rivals = [claim("older", "2025-01-01T00:00:00Z")]
    assert other_owner(claim("a"), ["HorizontalPodAutoscaler a"], rivals).startswith("Horizontal")


def test_the_oldest_of_several_keeps_the_target():
    claims = [claim(name, f"2026-01-0{day}T00:00:00Z") for day, name in enumerate("cab", 1)]
    for rivals in itertools.permutations(claims):
        assert other_owner(claims[0], [], rivals) is None
        assert other_owner(claims[1], [], rivals) == "PredictiveScaler c"
        assert other_owner(claims[2], [], rivals) == "PredictiveScaler c"


def test_the_name_decides_between_two_of_the_same_second():
    pair = [claim("b"), claim("a")]
    assert other_owner(pair[0], [], pair) == "PredictiveScaler a"
    assert other_owner(pair[1], [], pair) is None


@pytest.mark.parametrize("mode", [Mode.RECOMMEND, Mode.PAUSED])
def test_those_that_do_not_act_own_nothing(mode):
    older = claim("older", "2025-01-01T00:00:00Z", mode)
    assert other_owner(claim("a"), [], [older]) is None


def test_who_only_recommends_is_told_of_one_that_acts_even_a_younger_one():
    younger = claim("younger", "2027-01-01T00:00:00Z")
    assert other_owner(claim("a", mode=Mode.RECOMMEND), [], [younger]) == "PredictiveScaler younger"


def test_two_versions_of_a_kind_are_the_same_target():
    keys = {
        target_key("web", ScaleTargetRef(api_version=version, kind="Deployment", name="shop"))
        for version in ("apps/v1", "apps/v1beta1")
    }
    assert keys == {("web", "apps", "Deployment", "shop")}


def test_the_same_kind_of_another_group_or_namespace_is_another_target():
    refs = [
        ScaleTargetRef(api_version=v, kind="Deployment", name="shop") for v in ("apps/v1", "v1")
    ]
    assert len({target_key(space, ref) for space in ("web", "api") for ref in refs}) == 4
