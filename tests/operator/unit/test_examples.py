"""The examples are valid, and the full one says something of every field."""

from pathlib import Path

import pytest
import yaml

from foretide.operator.api.events import to_calendar_sources
from foretide.operator.api.predictivescaler import PredictiveScalerSpec

EXAMPLES = Path(__file__).parents[3] / "examples"


def example(name):
    document = yaml.safe_load((EXAMPLES / name).read_text(encoding="utf-8"))
    assert document["kind"] == "PredictiveScaler"
    return PredictiveScalerSpec.model_validate(document["spec"])


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("predictivescaler*")), ids=lambda it: it.name)
def test_an_example_is_valid(path):
    assert example(path.name).scale_target_ref.name == "shop"


def test_the_full_example_has_every_field():
    spec = example("predictivescaler-full.yaml")
    assert spec.model_fields_set == set(PredictiveScalerSpec.model_fields)


def test_the_events_of_the_full_example_can_be_used():
    found = to_calendar_sources(example("predictivescaler-full.yaml").events)
    assert (found.problems, len(found.sources), len(found.files)) == ((), 3, 1)
