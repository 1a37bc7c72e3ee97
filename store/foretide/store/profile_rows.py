"""Profiles and their targets as rows of the database, and back. Pure."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from .profiles import KeptProfile, Kind, Profile, Target


def best_of_each(batch: Sequence[Profile]) -> list[Profile]:
    """One of each key: two in one statement would be an error of PostgreSQL. In a fixed order, so
    that two writers do not wait for each other.
    """
    best: dict[tuple[str, str, int, str], Profile] = {}
    for profile in batch:
        key = (
            identity(profile.target),
            profile.kind,
            milliseconds(profile.start),
            profile.process,
        )
        if key not in best or profile.windows > best[key].windows:
            best[key] = profile
    return [best[key] for key in sorted(best)]


def identity(target: Target) -> str:
    """32 hexadecimal digits that tell a target from all others."""
    parts = [
        target.namespace,
        target.workload,
        target.container,
        target.pod,
        target.version,
        _labels(target),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _labels(target: Target) -> str:
    return json.dumps(dict(target.labels), sort_keys=True, separators=(",", ":"))


def target_row(target: Target, now: int) -> dict[str, Any]:
    """The row of a target that is new."""
    return {
        "identity": identity(target),
        "namespace": target.namespace,
        "workload": target.workload,
        "container": target.container,
        "pod": target.pod,
        "version": target.version,
        "labels": _labels(target),
        "created_at": now,
    }


def profile_row(profile: Profile, target_id: int) -> dict[str, Any]:
    """The row of a profile, without its id."""
    return {
        "target_id": target_id,
        "kind": str(profile.kind),
        "start": milliseconds(profile.start),
        "process": profile.process,
        "end": milliseconds(profile.end),
        "windows": profile.windows,
        "size": len(profile.data),
        "content_type": profile.content_type,
        "data": profile.data,
    }


def kept_profile(row: Any, data: bytes | None) -> KeptProfile:
    """From a row of a profile joined with its target's."""
    return KeptProfile(
        id=row.id,
        target=Target(
            row.namespace,
            row.workload,
            row.container,
            row.pod,
            row.version,
            json.loads(row.labels),
        ),
        kind=Kind(row.kind),
        start=row.start / 1_000,
        end=row.end / 1_000,
        windows=row.windows,
        process=row.process,
        content_type=row.content_type,
        size=row.size,
        data=data,
    )


def milliseconds(seconds: float) -> int:
    """A time as it is kept."""
    return round(seconds * 1_000)
