"""CustomResourceDefinitions, generated from the pydantic models.

A structural schema is a dialect of JSON schema: no `$ref`, no `title`, no type `null`, boolean
`exclusiveMinimum`. What a schema cannot say is said in CEL.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from .databaseadvisor import DATABASE_ADVISOR_RULES
from .databaseadvisor_status import DatabaseAdvisor
from .profiler import PROFILER_RULES
from .profiler_status import Profiler
from .rules import RULES
from .status import PredictiveScaler

GROUP = "foretide.dev"
VERSION = "v1alpha1"
PLURAL = "predictivescalers"
KIND = "PredictiveScaler"
PROFILERS = "profilers"
DATABASE_ADVISORS = "databaseadvisors"

Schema = dict[str, Any]
Rules = Mapping[str, list[dict[str, str]]]

# What kinds have in common.
_READY: Schema = {
    "name": "Ready",
    "type": "string",
    "jsonPath": ".status.conditions[?(@.type=='Ready')].status",
}
_WHY: Schema = {
    "name": "Why",
    "type": "string",
    "priority": 1,
    "jsonPath": ".status.conditions[?(@.type=='Ready')].message",
}
_AGE: Schema = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}

_COLUMNS: list[Schema] = [
    {"name": "Target", "type": "string", "jsonPath": ".spec.scaleTargetRef.name"},
    {"name": "Mode", "type": "string", "jsonPath": ".spec.mode"},
    {"name": "Min", "type": "integer", "jsonPath": ".spec.minReplicas"},
    {"name": "Max", "type": "integer", "jsonPath": ".spec.maxReplicas"},
    {"name": "Replicas", "type": "integer", "jsonPath": ".status.currentReplicas"},
    {"name": "Desired", "type": "integer", "jsonPath": ".status.desiredReplicas"},
    {"name": "Source", "type": "string", "jsonPath": ".status.decision.source"},
    _READY,
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
    _AGE,
]


_PROFILER_COLUMNS: list[Schema] = [
    {"name": "Mode", "type": "string", "jsonPath": ".spec.mode"},
    {"name": "Pods", "type": "string", "jsonPath": ".status.podsSummary"},
    {"name": "Bound", "type": "string", "jsonPath": ".status.bound.kind"},
    {"name": "Top hotspot", "type": "string", "jsonPath": ".status.topHotspot"},
    {"name": "Verdict", "type": "string", "jsonPath": ".status.verdict.verdict"},
    _READY,
    _WHY,
    _AGE,
]

_ADVISOR_COLUMNS: list[Schema] = [
    {"name": "Database", "type": "string", "jsonPath": ".status.database"},
    {"name": "Mode", "type": "string", "jsonPath": ".spec.mode"},
    {"name": "Indexes", "type": "integer", "jsonPath": ".status.counts.indexes"},
    {"name": "Saves %", "type": "string", "jsonPath": ".status.advice.savedPercent"},
    {"name": "N+1", "type": "integer", "jsonPath": ".status.counts.repeats"},
    {"name": "Blockers", "type": "integer", "jsonPath": ".status.counts.blockers"},
    _READY,
    {
        "name": "Host",
        "type": "string",
        "priority": 1,
        "jsonPath": ".status.host",
    },
    _WHY,
    _AGE,
]


def all_crds() -> dict[str, Schema]:
    """Every CustomResourceDefinition by its plural, ready to be dumped as YAML."""
    return {
        PLURAL: predictive_scaler_crd(),
        PROFILERS: profiler_crd(),
        DATABASE_ADVISORS: database_advisor_crd(),
    }


def predictive_scaler_crd() -> Schema:
    """The CustomResourceDefinition of PredictiveScaler."""
    schema = structural(PredictiveScaler, RULES, _DEFAULTED)
    return _definition(KIND, PLURAL, "pscaler", schema, _COLUMNS)


def profiler_crd() -> Schema:
    """The CustomResourceDefinition of Profiler."""
    schema = structural(Profiler, PROFILER_RULES)
    return _definition("Profiler", PROFILERS, "prof", schema, _PROFILER_COLUMNS)


def database_advisor_crd() -> Schema:
    """The CustomResourceDefinition of DatabaseAdvisor."""
    schema = structural(DatabaseAdvisor, DATABASE_ADVISOR_RULES)
    return _definition("DatabaseAdvisor", DATABASE_ADVISORS, "dbadv", schema, _ADVISOR_COLUMNS)


def _definition(
    kind: str, plural: str, short: str, schema: Schema, columns: list[Schema]
) -> Schema:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "shortNames": [short],
                "categories": ["foretide"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": columns,
                }
            ],
        },
    }


def structural(
    model: type[BaseModel], rules: Rules | None = None, defaulted: Iterable[str] = ()
) -> Schema:
    """The structural schema of a model.

    `rules` is CEL by the path of the field, `defaulted` names the objects of which the API server
    fills in the defaults where they are left out.
    """
    schema = model.model_json_schema(by_alias=True)
    return _Conversion(schema.get("$defs", {}), rules or {}, frozenset(defaulted)).convert(
        schema, ""
    )


class _Conversion:
    def __init__(self, definitions: Schema, rules: Rules, defaulted: frozenset[str]) -> None:
        self._definitions = definitions
        self._rules = rules
        self._defaulted = defaulted

    def convert(self, node: Schema, path: str) -> Schema:
        node = _resolve(node, self._definitions)
        if rules := self._rules.get(path):
            node["x-kubernetes-validations"] = rules
        if properties := node.get("properties"):
            node["properties"] = {
                name: self.convert(child, f"{path}.{name}".lstrip("."))
                for name, child in properties.items()
            }
            self._default_objects(node)
        if items := node.get("items"):
            node["items"] = self.convert(items, f"{path}[]")
        return node

    def _default_objects(self, node: Schema) -> None:
        """Let the API server fill in the defaults inside of objects that are left out.

        Only where nothing inside is required, and only in the spec: status has no defaults.
        """
        for name, child in node["properties"].items():
            optional = name not in node.get("required", [])
            if optional and child.get("type") == "object" and name in self._defaulted:
                child.setdefault("default", {})


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


_DEFAULTED = frozenset({"forecast", "signals", "surge", "behavior", "scaleUp", "scaleDown"})
