import re
from pathlib import Path

import pytest
import yaml

from foretide.forecasting.engines.catalogue import AUTO
from foretide.operator.api.crds import all_crds
from foretide.operator.api.profiler import PROFILER_RULES
from foretide.operator.api.rules import RULES

CRDS = all_crds()
STRUCTURAL = {
    "type",
    "properties",
    "items",
    "required",
    "enum",
    "default",
    "description",
    "pattern",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "additionalProperties",
    "anyOf",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
    "x-kubernetes-validations",
}


def walk(node, path=""):
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from walk(child, f"{path}.{name}".lstrip("."))
    if "items" in node:
        yield from walk(node["items"], f"{path}[]")


@pytest.fixture(scope="module")
def crd():
    return CRDS["predictivescalers"]


@pytest.fixture(scope="module")
def version(crd):
    return crd["spec"]["versions"][0]


@pytest.fixture(scope="module")
def schema(version):
    return version["schema"]["openAPIV3Schema"]


@pytest.fixture(scope="module")
def nodes(schema):
    return dict(walk(schema))


def test_the_schema_uses_only_what_a_structural_schema_may(nodes):
    foreign = {path: node.keys() - STRUCTURAL for path, node in nodes.items()}
    assert not {path: keys for path, keys in foreign.items() if keys}
    assert not [path for path, node in nodes.items() if node.get("additionalProperties") is False]


def test_every_field_has_a_type_or_is_a_quantity(nodes):
    untyped = {path for path, node in nodes.items() if "type" not in node}
    assert untyped == {
        "spec.metrics[].perReplica",
        "spec.metrics[].loadCurve[].load",
        "spec.slo.objective",
    }
    assert all(nodes[path]["x-kubernetes-int-or-string"] is True for path in untyped)
    assert {node["type"] for path, node in nodes.items() if path not in untyped} <= {
        "object",
        "array",
        "string",
        "integer",
        "number",
        "boolean",
    }


def test_every_object_says_what_is_in_it_and_every_array_of_what(nodes):
    for node in nodes.values():
        if node.get("type") == "object":
            assert node["properties"]
        if node.get("type") == "array":
            assert node["items"]


def test_every_field_is_described(nodes):
    assert not [
        path
        for path, node in nodes.items()
        if path and not path.endswith("[]") and not node.get("description")
    ]


def test_exclusive_bounds_are_booleans_beside_a_bound(nodes):
    for node in nodes.values():
        for bound in ("Minimum", "Maximum"):
            if f"exclusive{bound}" in node:
                assert node[f"exclusive{bound}"] is True
                assert bound.lower() in node
    assert nodes["spec.metrics[].targetUtilization"]["minimum"] == 0


def test_what_is_required_exists_and_has_no_default(nodes):
    for node in nodes.values():
        for name in node.get("required", ()):
            assert "default" not in node["properties"][name]


def test_defaults_fit_their_own_schema(nodes):
    for path, node in nodes.items():
        if "default" not in node:
            continue
        default = node["default"]
        assert default is not None
        if "enum" in node:
            assert default in node["enum"], path
        if "pattern" in node:
            assert re.search(node["pattern"], default), path


def test_defaults_inside_of_objects_take_effect_when_the_object_is_left_out(nodes):
    objects = ["forecast", "signals", "surge", "behavior", "behavior.scaleUp", "behavior.scaleDown"]
    for path in objects:
        assert nodes[f"spec.{path}"]["default"] == {}
        assert not nodes[f"spec.{path}"].get("required")
    assert nodes["spec.forecast.horizon"]["default"] == "30h"
    assert nodes["spec.signals.derivative"]["default"] is True


def test_what_is_not_asked_for_is_not_filled_in(nodes):
    for path in ("spec.costGuard", "spec.slo", "spec.forecast.quantile"):
        assert "default" not in nodes[path]


def test_the_bounds_of_what_may_be_left_out_are_kept(nodes):
    quantile = nodes["spec.forecast.quantile"]
    assert (quantile["minimum"], quantile["maximum"]) == (0.5, 1)
    assert quantile["exclusiveMaximum"] is True


def test_the_api_server_itself_refuses_two_events_of_one_name(nodes):
    assert nodes["spec.events"]["x-kubernetes-list-type"] == "map"
    assert nodes["spec.events"]["x-kubernetes-list-map-keys"] == ["name"]


def test_status_has_no_defaults_but_empty_texts_and_lists(nodes):
    defaults = [
        node["default"]
        for path, node in nodes.items()
        if path.startswith("status.")
        if "default" in node
    ]
    assert all(default in ("", []) for default in defaults)


def test_rules_in_cel_sit_where_they_belong(nodes):
    ruled = {path for path, node in nodes.items() if "x-kubernetes-validations" in node}
    assert ruled == RULES.keys()


def test_lists_and_strings_with_rules_are_bounded(nodes):
    # The API server estimates a rule's cost by what may come, and refuses an unbounded one.
    for path, rules in RULES.items():
        for ancestor in [path[:at] for at in range(len(path) + 1) if path[at:].startswith("[]")]:
            assert nodes[ancestor]["maxItems"] <= 50, path
        if rules and nodes[path].get("type") == "string":
            assert nodes[path]["maxLength"] == 4_096, path


def test_columns_show_fields_that_exist(version, nodes):
    for column in version["additionalPrinterColumns"]:
        path = re.sub(r"\[\?\(@\.type=='\w+'\)\]", "[]", column["jsonPath"]).lstrip(".")
        if path == "metadata.creationTimestamp":
            assert column["type"] == "date"
            continue
        assert nodes[path]["type"] == column["type"]


def test_status_is_written_apart_from_the_spec(version):
    assert version["subresources"] == {"status": {}}


def test_exactly_one_version_is_stored(crd):
    assert [version["storage"] for version in crd["spec"]["versions"]] == [True]
    assert crd["metadata"]["name"] == f"{crd['spec']['names']['plural']}.{crd['spec']['group']}"


def test_the_manifest_in_the_repository_is_the_generated_one(crd):
    manifest = Path(__file__).parents[3] / "crds" / "predictivescalers.yaml"
    assert yaml.safe_load(manifest.read_text(encoding="utf-8")) == crd


def test_users_are_told_which_engines_auto_mixes(nodes):
    mixture = (
        nodes["spec.forecast.engine"]["description"]
        .partition("mixture of ")[2]
        .partition(", each")[0]
    )
    assert mixture.replace(" and ", ", ").split(", ") == list(AUTO)


@pytest.fixture(scope="module", params=CRDS)
def kind(request):
    """Each kind in turn: its plural, its CustomResourceDefinition, the nodes of its schema."""
    crd = CRDS[request.param]
    version = crd["spec"]["versions"][0]
    return request.param, crd, dict(walk(version["schema"]["openAPIV3Schema"]))


def test_each_kind_is_structural_described_and_in_the_repository(kind):
    plural, crd, nodes = kind
    assert not {path for path, node in nodes.items() if node.keys() - STRUCTURAL}
    assert not [
        path for path in nodes if path and path[-1] != "]" and not nodes[path].get("description")
    ]
    manifest = Path(__file__).parents[3] / "crds" / f"{plural}.yaml"
    assert yaml.safe_load(manifest.read_text(encoding="utf-8")) == crd


def test_each_kind_has_columns_of_fields_that_exist(kind):
    plural, crd, nodes = kind
    assert crd["metadata"]["name"] == f"{plural}.foretide.dev"
    for column in crd["spec"]["versions"][0]["additionalPrinterColumns"]:
        path = re.sub(r"\[\?\(@\.type=='\w+'\)\]", "[]", column["jsonPath"]).lstrip(".")
        assert path == "metadata.creationTimestamp" or nodes[path]["type"] == column["type"]


def test_the_profilers_rules_sit_where_they_belong():
    schema = CRDS["profilers"]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    ruled = {path for path, node in walk(schema) if "x-kubernetes-validations" in node}
    assert ruled == PROFILER_RULES.keys()
