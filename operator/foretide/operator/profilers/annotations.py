"""Profilers that annotations on workloads ask for. Pure.

    foretide.dev/profile: once                  # or continuous
    foretide.dev/profile-container: app         # as the fields of a Profiler's spec
    foretide.dev/profile-duration: 30s
    foretide.dev/profile-pods: "2"
    foretide.dev/profile-run: again

Each gets a Profiler of its own, which belongs to the workload and goes with it, or with the
annotation. Whoever may annotate a workload may not thereby have it restarted, or get at locals.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from ..api.crds import GROUP, VERSION
from ..api.profiler import ProfilerSpec
from ..settings import explain

Json = dict[str, Any]

PROFILE = f"{GROUP}/profile"
# On Profilers that an annotation has asked for: only these are changed and deleted.
ANNOTATED = f"{GROUP}/annotated"
_MODES = {"once": "Once", "continuous": "Continuous"}
_FIELDS = ("container", "duration", "pods", "run")


@dataclass(frozen=True, slots=True)
class Workload:
    """A workload's kind (of apps/v1) and its metadata."""

    kind: str
    meta: Mapping[str, Any]

    @property
    def where(self) -> tuple[str, str]:
        """Namespace and name of its Profiler. A dot keeps it apart from names people give."""
        return self.meta["namespace"], f"{self.kind.lower()}.{self.meta['name']}"[:253]


class BadAnnotation(Exception):
    """An annotation cannot be used; the message says what to write."""


def asks(workload: Workload) -> bool:
    """Whether it is to be profiled."""
    return PROFILE in (workload.meta.get("annotations") or {})


def profiler_of(workload: Workload) -> Json:
    """The Profiler that a workload asks for.

    Raises:
        BadAnnotation: what it says cannot be.
    """
    given = workload.meta.get("annotations") or {}
    mode = _MODES.get(str(given[PROFILE]).strip().lower())
    if mode is None:
        raise BadAnnotation(f"{PROFILE} must be once or continuous, not {given[PROFILE]!r:.40}")
    spec: Json = {
        "targetRef": {
            "apiVersion": "apps/v1",
            "kind": workload.kind,
            "name": workload.meta["name"],
        },
        "mode": mode,
    }
    for name in _FIELDS:
        text = given.get(f"{PROFILE}-{name}")
        if text is not None:
            # Of more digits than a number of pods can have Python itself refuses to make one.
            is_number = name == "pods" and text.isdecimal() and len(text) < 10
            spec[name] = int(text) if is_number else text
    try:
        ProfilerSpec.model_validate(spec)
    except ValidationError as error:
        raise BadAnnotation(f"{PROFILE}-…: {explain(error)}") from None
    namespace, name = workload.where
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "Profiler",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {ANNOTATED: "true"},
            "ownerReferences": [
                {
                    "apiVersion": "apps/v1",
                    "kind": workload.kind,
                    "name": workload.meta["name"],
                    "uid": workload.meta["uid"],
                }
            ],
        },
        "spec": spec,
    }


@dataclass(frozen=True, slots=True)
class Changes:
    """What to do so that there are the Profilers that are asked for, and no others of these."""

    create: tuple[Json, ...] = ()
    change: tuple[Json, ...] = ()
    delete: tuple[tuple[str, str], ...] = ()


def changes(wanted: Iterable[Json], there: Iterable[Mapping[str, Any]]) -> Changes:
    """Hold what is wanted against the Profilers there are; those of people are left alone."""
    known = {(it["metadata"]["namespace"], it["metadata"]["name"]): it for it in there}
    ours = {
        where for where, it in known.items() if ANNOTATED in (it["metadata"].get("labels") or {})
    }
    asked = {(it["metadata"]["namespace"], it["metadata"]["name"]): it for it in wanted}
    return Changes(
        create=tuple(it for where, it in asked.items() if where not in known),
        change=tuple(
            it
            for where, it in asked.items()
            if where in ours and not _says(known[where].get("spec") or {}, it["spec"])
        ),
        delete=tuple(sorted(ours - asked.keys())),
    )


def _says(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether a spec, with the API server's defaults, says what is wanted, and no more."""
    full = ProfilerSpec.model_validate(wanted).model_dump(mode="json", by_alias=True)
    try:
        found = ProfilerSpec.model_validate(there).model_dump(mode="json", by_alias=True)
    except ValidationError:
        return False
    return full == found
