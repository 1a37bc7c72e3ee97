"""The Profiler resource: what is refused, and that models and CEL say the same."""

import pytest
from pydantic import ValidationError

from foretide.operator.api.profiler import PROFILER_RULES, ProfilerMode, ProfilerSpec

SELECTED = {"selector": {"matchLabels": {"app": "shop"}}}
TARGET = {"targetRef": {"kind": "Deployment", "name": "shop"}}
PERIOD = {"start": "2026-03-01T00:00:00Z", "end": "2026-03-01T01:00:00Z"}


def test_little_needs_to_be_said():
    spec = ProfilerSpec.model_validate(SELECTED)
    assert (spec.mode, spec.duration, spec.rate) == (ProfilerMode.ONCE, 60.0, 20)
    assert [spec.allow_rollout, spec.locals, spec.suspend] == [False, False, False]


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({}, "exactly one of targetRef and selector"),
        ({**SELECTED, **TARGET}, "exactly one of targetRef and selector"),
        ({**SELECTED, "allowRollout": True, "mode": "Continuous"}, "allowRollout needs targetRef"),
        ({**TARGET, "allowRollout": True}, "allowRollout needs mode Continuous"),
        ({**SELECTED, "duration": "5s"}, "duration must be between 10s and 1h"),
        ({**SELECTED, "rotateEvery": "10s"}, "rotateEvery must be between 1m and 1d"),
        ({**SELECTED, "baseline": {}}, "exactly one of profiler and start"),
        ({**SELECTED, "baseline": {"profiler": "a", **PERIOD}}, "exactly one of profiler"),
        ({**SELECTED, "baseline": {"start": PERIOD["start"]}}, "start and end go together"),
        (
            {**SELECTED, "baseline": {"start": PERIOD["end"], "end": PERIOD["start"]}},
            "start must be before end",
        ),
        ({**SELECTED, "baseline": {**PERIOD, "start": "yesterday"}}, "baseline"),
        ({"selector": {"matchLabels": {}}}, "matchLabels"),
        ({"selector": {"matchLabels": {"app,tier": "x"}}}, "'app,tier' is no name of a label"),
        ({"selector": {"matchLabels": {"": "x"}}}, "is no name of a label"),
        ({**SELECTED, "container": "../x"}, "container"),
        ({**SELECTED, "image": "evil:1"}, "image"),
    ],
)
def test_what_cannot_be_is_refused_with_a_reason(spec, told):
    with pytest.raises(ValidationError) as refused:
        ProfilerSpec.model_validate(spec)
    assert told in str(refused.value)


def test_every_rule_in_cel_has_words_that_the_models_use_too():
    with_words = [rule["message"] for rules in PROFILER_RULES.values() for rule in rules]
    assert len(set(with_words)) == len(with_words) == 5
