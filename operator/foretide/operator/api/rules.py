"""What a schema cannot say, in CEL: rules by the path of the field.

Each is said in the models too, in the same words, for resources that come by other ways.
"""

from typing import Any

from .curve import CURVE_RULES
from .metrics import METRIC_RULES, QUANTITY_RULES, QUERY_RULES

Rule = dict[str, Any]


def _rule(rule: str, message: str) -> Rule:
    return {"rule": rule, "message": message}


_SPEC_RULES = [
    _rule(
        "self.minReplicas <= self.maxReplicas",
        "minReplicas must not be greater than maxReplicas",
    ),
    _rule(
        "!has(self.events) || self.events.all(event, "
        "!has(event.minReplicas) || event.minReplicas <= self.maxReplicas)",
        "minReplicas of an event must not be greater than maxReplicas",
    ),
]

_EVENT_RULES = [
    _rule(
        "[has(self.start), has(self.holidays), has(self.configMap)]"
        ".filter(given, given).size() == 1",
        "give exactly one of start, holidays and configMap",
    ),
    _rule(
        "has(self.start) || !(has(self.end) || has(self.duration) || has(self.rrule))",
        "end, duration and rrule need start",
    ),
    _rule("!(has(self.end) && has(self.duration))", "give end or duration, not both"),
    _rule(
        "!has(self.start) || self.start.size() == 10 || has(self.end) || has(self.duration)",
        "a start with a time needs end or duration",
    ),
    _rule(
        "!(has(self.holidays) && has(self.kind))",
        "kind must be left out where holidays are given",
    ),
    # CEL's durations know no days.
    _rule(
        "!has(self.duration) || "
        "duration(self.duration.contains('d') ? '1s' : self.duration) > duration('0s')",
        "duration must be longer than 0s",
    ),
    # The API server holds a whole number against the whole part of a bound: 0 passes 0.01.
    _rule(
        "!has(self.multiplier) || self.multiplier >= 0.01",
        "multiplier must be at least 0.01",
    ),
]

RULES: dict[str, list[Rule]] = {
    "spec": _SPEC_RULES,
    "spec.metrics[]": METRIC_RULES,
    "spec.metrics[].query": QUERY_RULES,
    "spec.metrics[].arrivalQuery": QUERY_RULES,
    "spec.metrics[].perReplica": QUANTITY_RULES,
    "spec.metrics[].loadCurve": CURVE_RULES,
    "spec.events[]": _EVENT_RULES,
    "spec.forecast.quantile": [_rule("self >= 0.5", "quantile must be at least 0.5")],
    "spec.costGuard.maxExtraPodHoursPerDay": [
        _rule("self >= 0.1", "maxExtraPodHoursPerDay must be at least 0.1")
    ],
    "spec.slo.query": QUERY_RULES,
}
