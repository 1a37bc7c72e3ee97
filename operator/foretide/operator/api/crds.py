"""CustomResourceDefinitions, generated from the pydantic models.

A structural schema is a dialect of JSON schema: no `$ref`, no `title`, no type `null`, boolean
`exclusiveMinimum`. What a schema cannot say is said in CEL.
"""

from typing import Any

from pydantic import BaseModel

from .rules import RULES
from .status import PredictiveScaler

GROUP = "foretide.dev"
VERSION = "v1alpha1"
PLURAL = "predictivescalers"
KIND = "PredictiveScaler"

Schema = dict[str, Any]

_COLUMNS: list[Schema] = [
    {"name": "Target", "type": "string", "jsonPath": ".spec.scaleTargetRef.name"},
    {"name": "Mode", "type": "string", "jsonPath": ".spec.mode"},
    {"name": "Min", "type": "integer", "jsonPath": ".spec.minReplicas"},
    {"name": "Max", "type": "integer", "jsonPath": ".spec.maxReplicas"},
    {"name": "Replicas", "type": "integer", "jsonPath": ".status.currentReplicas"},
    {"name": "Desired", "type": "integer", "jsonPath": ".status.desiredReplicas"},
    {"name": "Source", "type": "string", "jsonPath": ".status.decision.source"},
    {
        "name": "Ready",
        "type": "string",
        "jsonPath": ".status.conditions[?(@.type=='Ready')].status",
    },
    {
        "name": "Forecast",
        "type": "string",
        "priority": 1,
        "jsonPath": ".status.conditions[?(@.type=='ForecastTrusted')].reason",
    },
    {
        "name": "Lead",
        "type": "integer",
        "priority": 1,
        "jsonPath": ".status.leadTime.seconds",
    },
    {
        "name": "Why",
        "type": "string",
        "priority": 1,
        "jsonPath": ".status.decision.message",
    },
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
]


def predictive_scaler_crd() -> Schema:
    """The CustomResourceDefinition of PredictiveScaler, ready to be dumped as YAML."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": "predictivescaler",
                "shortNames": ["pscaler"],
                "categories": ["foretide"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": structural(PredictiveScaler)},
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": _COLUMNS,
                }
            ],
        },
    }


def structural(model: type[BaseModel]) -> Schema:
    """The structural schema of a model."""
    schema = model.model_json_schema(by_alias=True)
    return _convert(schema, schema.get("$defs", {}), "")


def _convert(node: Schema, definitions: Schema, path: str) -> Schema:
    node = _resolve(node, definitions)
    if rules := RULES.get(path):
        node["x-kubernetes-validations"] = rules
    if properties := node.get("properties"):
        node["properties"] = {
            name: _convert(child, definitions, f"{path}.{name}".lstrip("."))
            for name, child in properties.items()
        }
        _default_objects(node)
    if items := node.get("items"):
        node["items"] = _convert(items, definitions, f"{path}[]")
    return node


def _resolve(node: Schema, definitions: Schema) -> Schema:
    """The node with references followed, optionals unwrapped and foreign keywords taken out."""
    outer = {key: value for key, value in node.items() if key not in ("$ref", "anyOf")}
    options = [option for option in node.get("anyOf", []) if option != {"type": "null"}]
    if "$ref" in node:
        outer = {**_resolve(definitions[node["$ref"].rpartition("/")[2]], definitions), **outer}
    elif len(options) == 1:
        outer = {**_resolve(options[0], definitions), **outer}
    elif options:
        outer["anyOf"] = options
    if outer.get("default", ...) is None:
        del outer["default"]
    if "const" in outer:
        outer["enum"] = [outer.pop("const")]
    for bound in ("Minimum", "Maximum"):
        # An optional field comes by twice; the second time it is a boolean already.
        limit = outer.get(f"exclusive{bound}")
        if limit is not None and not isinstance(limit, bool):
            outer[bound.lower()], outer[f"exclusive{bound}"] = limit, True
    # A property may be called `title`, so only a string can be the keyword.
    for foreign in ("title", "additionalProperties", "$defs"):
        if not isinstance(outer.get(foreign), dict) or foreign == "$defs":
            outer.pop(foreign, None)
    return outer


def _default_objects(node: Schema) -> None:
    """Let the API server fill in the defaults inside of objects that are left out.

    Only where nothing inside is required, and only in the spec: status has no defaults.
    """
    for name, child in node["properties"].items():
        optional = name not in node.get("required", [])
        if optional and child.get("type") == "object" and name in _DEFAULTED:
            child.setdefault("default", {})


_DEFAULTED = frozenset({"forecast", "signals", "surge", "behavior", "scaleUp", "scaleDown"})
