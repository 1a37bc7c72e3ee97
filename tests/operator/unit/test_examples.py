"""The examples are valid, and the full one says something of every field."""

import re
from pathlib import Path

import pytest
import yaml

from foretide.operator.api.databaseadvisor import DatabaseAdvisorSpec
from foretide.operator.api.events import to_calendar_sources
from foretide.operator.api.predictivescaler import PredictiveScalerSpec
from foretide.operator.api.profiler import ProfilerSpec
from foretide.operator.databases.targets import place_of
from foretide.operator.settings import OperatorSettings, parse

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


def test_the_profiler_is_valid():
    document = yaml.safe_load((EXAMPLES / "profiler.yaml").read_text(encoding="utf-8"))
    assert document["kind"] == "Profiler"
    assert ProfilerSpec.model_validate(document["spec"]).target_ref.name == "shop"


def test_the_database_advisor_and_its_secret_are_valid_and_may_connect():
    text = (EXAMPLES / "databaseadvisor.yaml").read_text(encoding="utf-8")
    secret, resource = yaml.safe_load_all(text)
    assert resource["kind"] == "DatabaseAdvisor"
    spec = DatabaseAdvisorSpec.model_validate(resource["spec"])
    assert spec.connection.secret_ref.name == secret["metadata"]["name"]
    rules = configuration().databases.allowed
    found = place_of(secret["stringData"], spec.connection, "shop", rules)
    assert (found.host, found.port) == ("postgres.shop.svc", 5432)


def test_the_events_of_the_full_example_can_be_used():
    found = to_calendar_sources(example("predictivescaler-full.yaml").events)
    assert (found.problems, len(found.sources), len(found.files)) == ((), 3, 1)


def configuration(*, whole=False):
    """The operator's configuration; as a whole with all that is commented out."""
    text = (EXAMPLES / "foretide.yaml").read_text(encoding="utf-8")
    if whole:
        text = re.sub(r"^( *)# ( *[-\w]+:(?: \S+)?)$", r"\1\2", text, flags=re.MULTILINE)
    return parse(text)


def test_the_configuration_is_valid_and_needs_no_store():
    settings = configuration()
    assert settings.store is None
    assert settings.pyroscope is None
    assert settings.model_fields_set == set(OperatorSettings.model_fields) - {"store", "pyroscope"}
    assert {"workers", "cores"} <= settings.fitting.model_fields_set


def test_what_is_commented_out_of_the_configuration_is_valid_too():
    settings = configuration(whole=True)
    assert settings.store is not None
    assert settings.store.url.startswith("http")
    assert settings.pyroscope is not None
    assert settings.pyroscope.tenant == "shop"
    assert set(settings.sources) == {"default", "long-term"}
