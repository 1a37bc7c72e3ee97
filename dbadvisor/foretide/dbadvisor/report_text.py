"""The whole advice as text for a terminal: what to do first, then what it rests on."""

from collections.abc import Mapping, Sequence

from foretide.dbadvisor.figures import size, time_of
from foretide.dbadvisor.nplusone.advice import Advice as Batch
from foretide.dbadvisor.report import Advice, IndexAdvice, Topic
from foretide.dbadvisor.report_words import (
    NOT_TRIED,
    cached,
    change,
    clean,
    exact,
    in_short,
    introduction,
    moment,
    of_blocker,
    of_indexes,
    share,
    short,
    title_of,
    undecided,
    version_of,
)

MOST = 10
# Of an index: on a partitioned table there are four for each partition.
MOST_STATEMENTS = 12


def report(advice: Advice, *, most: int = MOST) -> str:
    """The report; `most` of each kind are told."""
    texts = {query.id: query.text for query in advice.workload.queries}
    parts = [
        _introduction(advice),
        _indexes(advice, texts, most),
        _scans(advice, texts, most),
        _drops(advice, most),
        _batches(advice, most),
        _caches(advice, most),
        _locks(advice, most),
        _distribution(advice, most),
        _unplanned(advice, texts, most),
        _remarks(advice),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _introduction(advice: Advice) -> str:
    head = f"{clean(advice.database)} on PostgreSQL {version_of(advice.version)}"
    urgent = [
        f"! {clean(each.message)}"
        for each in advice.remarks
        if each.topic in (Topic.ENDED_EARLY, Topic.PERMISSION_MISSING)
        or (not advice.workload.known and "pg_stat_statements" in each.message)
    ]
    told = [f"{head}, {moment(advice.at)}", introduction(advice), in_short(advice), *urgent]
    return "\n".join(told)


def _section(title: str, lines: Sequence[str], found: int, most: int) -> str:
    if not lines:
        return ""
    more = [f"    … and {found - most} more: --json or --html has all"] if found > most else []
    return "\n".join([title, *lines, *more])


def _indexes(advice: Advice, texts: Mapping[str, str], most: int) -> str:
    found = advice.indexes
    lines = [f"  {of_indexes(advice)}"]
    for number, index in enumerate(found.indexes[:most], 1):
        lines += ["", *_index(number, index, found.before_ms, texts)]
    for worse in found.regressions[:most]:
        lines.append(f"  ! query {worse.query} would cost more with all of them: {change(worse)}")
    title = f"Indexes to create: {len(found.indexes)}"
    return _section(title, lines, len(found.indexes), most)


def _index(number: int, index: IndexAdvice, whole_ms: float, texts: Mapping[str, str]) -> list[str]:
    verb = "saves" if index.verified else "may serve full scans that take"
    lines = [
        f"{number:2}. {title_of(index.candidate)}",
        f"    {verb} {time_of(index.saved_ms)} ({share(index.saved_ms, whole_ms)}), takes "
        f"{size(index.bytes)}; {clean(index.why)}",
    ]
    if index.upkeep_ms > 0:
        lines.append(f"    writes take {time_of(index.upkeep_ms)} more, taken off already")
    lines += [
        f"    {change(each)}, query {each.query}: {short(texts.get(each.query, ''), 60)}"
        for each in index.queries[:3]
    ]
    if len(index.queries) > 3:
        lines.append(f"    and {len(index.queries) - 3} more queries")
    if index.worst is not None:
        lines.append(f"    worst off: {change(index.worst)}, query {index.worst.query}")
    if index.replaces:
        replaced = ", ".join(clean(str(each)) for each in index.replaces)
        lines.append(f"    then of no use: {replaced}")
    lines += [f"      {exact(statement)};" for statement in index.statements[:MOST_STATEMENTS]]
    left = len(index.statements) - MOST_STATEMENTS
    if left > 0:
        lines.append(f"      … and {left} more statements, for all partitions: --html has them")
    return lines


def _scans(advice: Advice, texts: Mapping[str, str], most: int) -> str:
    wasteful = [scan for scan in advice.scans if scan.wasted > 0]
    lines = []
    for number, scan in enumerate(wasteful[:most], 1):
        by = f", by {short(' and '.join(scan.filters))}" if scan.filters else ""
        lines += [
            f"{number:2}. {clean(str(scan.table))}: {time_of(scan.ms)} in query {scan.query}",
            f"    reads {scan.reads:,.0f} rows a call and keeps {scan.returns:,.0f}{by}",
            f"    {short(texts.get(scan.query, ''))}",
        ]
        if scan.remedy:
            lines += [f"    {NOT_TRIED}", f"      {exact(scan.remedy)};"]
    return _section("Tables read whole, for few of their rows", lines, len(wasteful), most)


def _drops(advice: Advice, most: int) -> str:
    found = advice.drops
    lines = []
    for number, drop in enumerate(found.drops[:most], 1):
        lines += [
            f"{number:2}. {clean(str(drop.index))} on {clean(str(drop.table))}, "
            f"{size(drop.bytes)}: {drop.reason}, {clean(drop.message)}",
            *(f"    {clean(each)}" for each in drop.caveats),
            *(f"      {exact(statement)};" for statement in drop.statements),
        ]
    if found.unproven:
        lines.append(f"  Unused ones cannot be told: {clean(found.unproven)}")
    return _section(f"Indexes to drop: {len(found.drops)}", lines, len(found.drops), most)


def _batches(advice: Advice, most: int) -> str:
    found = advice.repeats
    lines = []
    for number, batch in enumerate(found.batches[:most], 1):
        lines += _batch(number, batch)
    lines += [
        f"    sent again with the same values, {each.calls:,.0f} times: {short(each.child)}"
        for each in found.redundant[:most]
    ]
    if found.unproven or not lines:
        lines.append(f"  {clean(found.unproven) or 'none was seen'}")
    return _section(f"N+1: {len(found.batches)}", lines, len(found.batches), most)


def _batch(number: int, batch: Batch) -> list[str]:
    finding, proof = batch.finding, batch.proof
    took = f" in {time_of(finding.seconds * 1000)}" if finding.seconds is not None else ""
    lines = [
        f"{number:2}. {finding.calls:,.0f} look-ups{took}: {short(finding.child)}",
        f"    {finding.per_parent:,.0f} for each execution of: {short(finding.parent or '?')}",
        *(f"    {clean(each)}" for each in finding.evidence[:2]),
    ]
    if batch.rewrite is not None:
        lines.append(f"    instead: {exact(batch.rewrite.batch)}")
    if proof is not None and proof.equal:
        lines.append(
            f"    tried with {proof.keys} keys: the same rows, {proof.speedup:.0f} times faster "
            f"({time_of(proof.lookups_seconds * 1000)} → {time_of(proof.batch_seconds * 1000)})"
        )
    if batch.reason:
        lines.append(f"    {clean(batch.reason)}")
    return lines


def _caches(advice: Advice, most: int) -> str:
    found = cached(advice.caches)
    lines = []
    for number, (query, verdict, chosen) in enumerate(found[:most], 1):
        lines += [
            f"{number:2}. query {query.id}: for {chosen.ttl:g} s; {chosen.invalidated:.0%} of its "
            f"reads from the cache, {chosen.saved:.2g} ms of each second saved",
            f"    {short(query.text)}",
            f"    {clean(verdict.basis)}; its tables change {verdict.writes:.3g} times a second",
        ]
    lines += [f"    {each}" for each in undecided(advice.caches)[:most]]
    return _section(f"Answers to cache: {len(found)}", lines, len(found), most)


def _locks(advice: Advice, most: int) -> str:
    found = advice.locks
    lines = []
    for blocker in found.blockers[:most]:
        lines += [
            f"    {of_blocker(blocker)}",
            f"      {short(blocker.statement)}",
            f"      {clean(blocker.remedy)}",
        ]
    for each in found.lingering[:most]:
        lines += [
            f"    process {each.pid} ({clean(each.state)}) open for {each.seconds:,.0f} s",
            f"      {clean(each.remedy)}",
        ]
    for wait in found.waits[:most]:
        what = clean(f"{wait.kind} {wait.event}")
        lines.append(f"    {wait.sessions:.2g} sessions wait for {what}: {clean(wait.remedy)}")
    title = f"Locks and waits, in {found.looks} looks"
    return _section(title, lines, len(found.blockers), most)


def _distribution(advice: Advice, most: int) -> str:
    lines = []
    for each in advice.distribution[:most]:
        column = f" {each.column}" if each.column else ""
        lines += [
            f"    {each.kind}: {clean(f'{each.relation}{column}')}: {clean(each.message)}",
            f"      {clean(each.remedy)}",
            *(f"      {exact(statement)}" for statement in each.statements),
        ]
    return _section("How data lies", lines, len(advice.distribution), most)


def _unplanned(advice: Advice, texts: Mapping[str, str], most: int) -> str:
    found = [each for each in advice.unplanned if not each.expected]
    lines = []
    for each in found[:most]:
        lines += [
            f"    query {each.id}: {clean(each.reason)}",
            f"      {short(texts.get(each.id, ''))}",
        ]
    return _section(f"Queries that could not be planned: {len(found)}", lines, len(found), most)


def _remarks(advice: Advice) -> str:
    lines = [f"    {clean(each.message)}" for each in advice.remarks]
    return _section("What limits this advice", lines, len(lines), len(lines))
