"""The metrics of an HPA, and the triggers of KEDA's ScaledObject, in one form. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .api.fields import parse_quantity
from .hpa_floor import Kind

Body = Mapping[str, Any]

_RESOURCES = ("cpu", "memory")


class CannotAdopt(Exception):
    """Something is missing; `problems` says what, and what to do about each."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


@dataclass(frozen=True, slots=True)
class ScaledBy:
    """One metric that an autoscaler scales by.

    `average` is the target for each pod, `utilization` that of a resource as a share of what the
    pods request; None where there is no such target. `resource` and `container` are given where
    Foretide can measure it itself, `query` where it is known. `spec` is its part of an HPA.
    """

    name: str
    kind: str
    average: float | None = None
    utilization: float | None = None
    query: str | None = None
    resource: str | None = None
    container: str | None = None
    spec: Body | None = None


def metrics_of(kind: Kind, spec: Body) -> list[ScaledBy]:
    """All metrics, each with a name of its own.

    Raises:
        CannotAdopt: a figure cannot be read.
    """
    if kind is Kind.HPA:
        found = [_of_hpa(entry) for entry in spec.get("metrics") or ()]
    else:
        triggers = enumerate(spec.get("triggers") or ())
        found = [_of_trigger(place, trigger) for place, trigger in triggers]
    named: dict[str, ScaledBy] = {}
    for metric in found:
        name = unlike(metric.name, named)
        named[name] = replace(metric, name=name)
    return list(named.values())


def number(quantity: object) -> float:
    """A quantity's number.

    Raises:
        CannotAdopt: it is none that is understood here.
    """
    try:
        return float(parse_quantity(str(quantity)))
    except ValueError as error:
        raise CannotAdopt([str(error)]) from None


def plain(value: float) -> str:
    """A number as a quantity: six decimals at most, none that say nothing."""
    return f"{value:.6f}".rstrip("0").rstrip(".")


def metric_name(text: str) -> str:
    """A name as a PredictiveScaler's metric may have it."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60].strip("-") or "demand"


def unlike(name: str, taken: Mapping[str, object]) -> str:
    """The name, with a number where it is taken."""
    candidate, place = name, 2
    while candidate in taken:
        candidate, place = f"{name}-{place}", place + 1
    return candidate


def part_name(entry: Body) -> str:
    """The field of an HPA's metric in which the rest of it stands: `external` for `External`."""
    kind = str(entry["type"])
    return kind[:1].lower() + kind[1:]


def _of_hpa(entry: Body) -> ScaledBy:
    kind, given = str(entry["type"]), entry[part_name(entry)]
    average = given["target"].get("averageValue")
    average = None if average is None else number(average)
    if kind not in ("Resource", "ContainerResource"):
        return ScaledBy(str(given["metric"]["name"]), kind, average=average, spec=entry)
    resource, container = str(given["name"]), given.get("container")
    name = f"{container}/{resource}" if container else resource
    if resource not in _RESOURCES:
        return ScaledBy(name, kind, average=average, spec=entry)
    used = given["target"].get("averageUtilization")
    return ScaledBy(
        name,
        kind,
        average=average,
        utilization=None if used is None else used / 100,
        resource=resource,
        container=container,
        spec=entry,
    )


def _of_trigger(place: int, trigger: Body) -> ScaledBy:
    kind, given = str(trigger["type"]), trigger.get("metadata") or {}
    # KEDA names it so in the HPA that it makes.
    name = str(trigger.get("name") or f"s{place}-{kind}")
    if kind == "prometheus":
        shared = trigger.get("metricType", "AverageValue") == "AverageValue"
        average = number(given["threshold"]) if shared and "threshold" in given else None
        return ScaledBy(name, kind, average=average, query=given.get("query"))
    if kind not in _RESOURCES or "value" not in given:
        return ScaledBy(name, kind)
    of_request = trigger.get("metricType", given.get("type")) != "AverageValue"
    amount = number(given["value"])
    return ScaledBy(
        name,
        kind,
        average=None if of_request else amount,
        utilization=amount / 100 if of_request else None,
        resource=kind,
        container=given.get("containerName"),
    )
