"""`foretide store profiles`: list, export and delete the profiles that a store keeps."""

import argparse
import contextlib
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from foretide.profiling import codec, files
from foretide.profiling.profile import BadProfile, Profile, combine
from foretide.profiling.window import Window
from foretide.store.errors import StoreRefused
from foretide.store.profiles import KeptProfile, Kind, ProfiledWorkload, ProfileQuery, every

from .store_where import add_where, opened_profiles, run, split_name
from .tables import size_of, table, time_of

# What Foretide's own files with profiles end in.
_OURS = ".ftp"


def add_parser(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `profiles` to the actions of `foretide store`."""
    profiles = actions.add_parser(
        "profiles",
        help="list, export or delete profiles",
        description="List the profiles that a store keeps, write them into files, or delete them.",
    )
    verbs = profiles.add_subparsers(title="actions", required=True, metavar="ACTION")

    listed = verbs.add_parser(
        "list",
        help="what is kept, and how much room it takes",
        description="List the workloads whose profiles are kept, with sizes; or, of one workload, "
        "the profiles.",
    )
    listed.add_argument("workload", nargs="?", metavar="NAMESPACE[/WORKLOAD]")
    _add_query(listed)
    listed.set_defaults(run=_list)

    export = verbs.add_parser(
        "export",
        help="write profiles into files",
        description="Write the profiles of a workload as they are kept, each into a file of its "
        f"own; or all of them into one file, where its name ends in {_OURS}: `foretide profile` "
        "reads and compares such files.",
    )
    export.add_argument("workload", metavar="NAMESPACE/WORKLOAD")
    _add_query(export)
    export.add_argument("--id", type=int, metavar="N", help="this one only")
    export.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="PATH",
        help=f"a folder, made if it is not there, or a file that ends in {_OURS}",
    )
    export.set_defaults(run=_export)

    delete = verbs.add_parser("delete", help="delete profiles of a workload")
    delete.add_argument("workload", metavar="NAMESPACE/WORKLOAD")
    _add_query(delete)
    delete.add_argument("--yes", action="store_true", help="do it: without, it is only told")
    delete.set_defaults(run=_delete)


def _add_query(parser: argparse.ArgumentParser) -> None:
    add_where(parser)
    parser.add_argument("--container", metavar="NAME", help="of this container only")
    parser.add_argument("--pod", metavar="NAME", help="of this pod only")
    parser.add_argument("--kind", choices=[str(kind) for kind in Kind], help="of this kind only")
    parser.add_argument(
        "--since", metavar="TIME", help="from then on: RFC 3339, or a duration before now as 30m"
    )
    parser.add_argument("--until", metavar="TIME", help="before then, likewise")


def _query(options: argparse.Namespace) -> ProfileQuery:
    namespace, workload = split_name(options.workload)
    now = time.time()
    query = ProfileQuery(
        namespace=namespace,
        workload=workload,
        container=options.container,
        pod=options.pod,
        kind=None if options.kind is None else Kind(options.kind),
    )
    if options.since is not None:
        query = replace(query, start=_moment(options.since, now, "--since"))
    if options.until is not None:
        query = replace(query, end=_moment(options.until, now, "--until"))
    return query


def _list(options: argparse.Namespace) -> int:
    async def work() -> None:
        async with opened_profiles(options) as profiles:
            if options.workload and "/" in options.workload:
                found = [one async for one in every(profiles, _query(options))]
                rows = _profile_rows(found)
            else:
                rows = _workload_rows(await profiles.workloads(options.workload))
        if len(rows) == 1:
            print("The store keeps no such profiles.", file=sys.stderr)
        else:
            with contextlib.suppress(BrokenPipeError):
                print(table(rows), flush=True)

    return run(work)


def _export(options: argparse.Namespace) -> int:
    async def work() -> None:
        output: Path = options.output
        found: list[KeptProfile] = []
        count = 0
        async with opened_profiles(options) as profiles:
            async for one in every(profiles, _query(options), data=True):
                if options.id not in (None, one.id):
                    continue
                count += 1
                if output.suffix == _OURS:
                    found.append(one)
                else:
                    _write_into(output, one)
        if not count:
            raise StoreRefused("NoProfile", "the store keeps no such profiles")
        if output.suffix == _OURS:
            _write_joined(output, found)
        print(f"{count} profiles are in {output}.", file=sys.stderr)

    return run(work)


def _write_into(folder: Path, one: KeptProfile) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _file_name(one)).write_bytes(one.data or b"")


def _write_joined(file: Path, found: Sequence[KeptProfile]) -> None:
    """Write all of them into one file.

    Raises:
        StoreRefused: one cannot be read, or raw and merged ones would be added up.
    """
    windows: list[Window] = []
    profiles: list[Profile] = []
    for one in found:
        try:
            content = files.read_data(one.data or b"")
        except BadProfile as error:
            raise StoreRefused("BadProfile", f"profile {one.id}: {error}") from None
        if isinstance(content, Profile):
            profiles.append(content)
        else:
            windows += content
    if windows and profiles:
        raise StoreRefused(
            "Malformed", "raw and merged profiles are of the same time: choose with --kind"
        )
    if profiles:
        data = codec.pack_profile(combine(profiles))
    else:
        data = codec.pack_windows(sorted(windows, key=lambda window: window.started_at))
    file.write_bytes(data)


def _delete(options: argparse.Namespace) -> int:
    async def work() -> None:
        query = _query(options)
        async with opened_profiles(options) as profiles:
            if options.yes:
                gone = await profiles.delete(query)
                print(f"Deleted {gone.profiles} profiles, {size_of(gone.size)}.")
                return
            sizes = [one.size async for one in every(profiles, query)]
        print(f"Would delete {len(sizes)} profiles, {size_of(sum(sizes))}: say --yes to do it.")

    return run(work)


def _moment(text: str, now: float, option: str) -> float:
    """A time in Unix seconds, of RFC 3339 or a duration before now.

    Raises:
        StoreRefused: it is neither.
    """
    with contextlib.suppress(ValueError):
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=found.tzinfo or UTC).timestamp()
    from ..api.fields import parse_duration

    with contextlib.suppress(ValueError):
        return now - float(parse_duration(text))
    raise StoreRefused(
        "BadTime", f"{option} is a time as 2026-01-31T12:00:00Z, or a duration before now as 30m"
    )


def _workload_rows(found: Sequence[ProfiledWorkload]) -> list[tuple[str, ...]]:
    rows = [
        ("NAMESPACE", "WORKLOAD", "CONTAINER", "KIND", "PODS", "PROFILES", "SIZE", "FIRST", "LAST")
    ]
    rows += [
        (
            one.namespace,
            one.workload,
            one.container,
            one.kind,
            str(one.pods),
            str(one.profiles),
            size_of(one.size),
            time_of(one.first),
            time_of(one.last),
        )
        for one in found
    ]
    return [*rows]


def _profile_rows(found: Sequence[KeptProfile]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [
        ("ID", "START", "SECONDS", "KIND", "POD", "CONTAINER", "PROCESS", "WINDOWS", "SIZE")
    ]
    rows += [
        (
            str(one.id),
            time_of(one.start),
            f"{one.end - one.start:.0f}",
            one.kind,
            one.target.pod,
            one.target.container,
            one.process,
            str(one.windows),
            size_of(one.size),
        )
        for one in found
    ]
    return rows


def _file_name(one: KeptProfile) -> str:
    """Made of what the profile is of; nothing in it can lead out of the folder."""
    at = f"{datetime.fromtimestamp(one.start, UTC):%Y%m%dT%H%M%SZ}"
    parts = (at, one.target.pod or one.target.workload, one.target.container, one.process)
    named = "-".join(re.sub(r"[^A-Za-z0-9_.-]+", "_", part)[:63] for part in parts if part)
    end = _OURS if one.content_type == codec.CONTENT_TYPE else ".profile"
    return f"{named}-{one.kind}-{one.id}{end}"
