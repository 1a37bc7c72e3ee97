"""The words that reports have in common: figures as people read them, and sentences.

Names and statements come out of the database, where anybody may have written them: what could move
a terminal's cursor is taken out.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from foretide.dbadvisor.caching import Cacheable, CacheAdvice, Projection, Undecided
from foretide.dbadvisor.candidate import Candidate
from foretide.dbadvisor.figures import number, size, time_of
from foretide.dbadvisor.locks import Blocker
from foretide.dbadvisor.report import Advice, Change, IndexSet
from foretide.dbadvisor.snapshot import Query

NOT_TRIED = "a GIN index may serve it; HypoPG cannot try one, and each write will cost more:"
SHOWN = 5  # ids of queries for which the same holds


def clean(text: str) -> str:
    """Text without what could move a terminal's cursor; blanks and line ends are one blank each."""
    line = " ".join(text.split())
    return "".join(one if one.isprintable() else "�" for one in line)


def exact(text: str) -> str:
    """A statement to copy: only what no terminal shows is taken out of it."""
    return "".join(one if one.isprintable() else "�" for one in text)


def short(text: str, longest: int = 100) -> str:
    """A query in one line of so many characters."""
    line = clean(text[: 4 * longest])
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def change(each: Change) -> str:
    """A query's cost before and after."""
    return f"cost {each.before:,.0f} → {each.after:,.0f}"


def version_of(number: int) -> str:
    """15.18 of 150018."""
    return f"{number // 10000}.{number % 10000}"


def moment(at: float) -> str:
    """A moment in UTC, to the minute."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")


def title_of(candidate: Candidate) -> str:
    """What an index is on, in short: `public.sale (customer, day DESC) INCLUDE (id) WHERE …`."""
    keys = []
    for key in candidate.keys:
        order = " DESC" if key.descending else ""
        keys.append(f"{key.column or key.expression}{order}")
    text = f"{candidate.table} ({', '.join(keys)})"
    if candidate.include:
        text += f" INCLUDE ({', '.join(candidate.include)})"
    if candidate.predicate:
        text += f" WHERE {candidate.predicate}"
    return clean(text)


def share(part: float, whole: float) -> str:
    """A part as per cent; "" of nothing."""
    return f"{part / whole:.1%}" if whole > 0 else ""


def introduction(advice: Advice) -> str:
    """What was looked at, in one sentence or two."""
    work = advice.workload
    if not work.known:
        return f"No queries are known ({clean(work.source)}), so that nothing is said of indexes."
    over = f" in {time_of(work.seconds * 1000)}" if work.seconds else ""
    text = (
        f"{number(work.known, 'query', 'queries')} took {time_of(work.total_ms)} of the database"
        f"{over} ({clean(work.source)})."
    )
    if work.plannable:
        text += (
            f" {work.planned:,} of {work.plannable:,} that can have a plan were planned"
            f" ({work.planned / work.plannable:.0%})."
        )
    return text


def in_short(advice: Advice) -> str:
    """What there is to do, in one line: what is not there is left out."""
    found = advice.indexes
    saved = share(found.before_ms - found.after_ms, found.before_ms)
    gain = f" (saves {saved})" if not found.unverified else " (not verified)"
    drops = advice.drops.drops
    caches = len(cached(advice.caches))
    several = [
        (len(found.indexes), "index to create", "indexes to create", gain),
        (len(drops), "to drop", "to drop", f" ({size(sum(drop.bytes for drop in drops))})"),
        (len(advice.repeats.batches), "N+1", "N+1", ""),
        (caches, "answer to cache", "answers to cache", ""),
        (len(advice.locks.blockers), "blocker", "blockers", ""),
        (len(advice.distribution), "finding about data", "findings about data", ""),
    ]
    told = [number(count, *names) + more for count, *names, more in several if count]
    return f"In short: {', '.join(told) or 'nothing to do'}."


def of_indexes(advice: Advice) -> str:
    """What the indexes are and do together, in a sentence."""
    found = advice.indexes
    if not found.indexes:
        if not advice.workload.planned:
            return "None, as no query was planned."
        if found.unverified:
            return "No index by the rule for full scans: see what limits this advice."
        if found.beyond_bytes:
            return f"No index fits into {size(found.budget)}.{_beyond(found)}"
        return f"No index would save enough, of {found.candidates:,} that were tried."
    room = f"{size(found.bytes)} of {size(found.budget)}"
    if found.unverified:
        return (
            f"{room}, not verified: these follow from full scans alone, and nobody has asked the "
            "planner whether it would use them."
        )
    saved = found.before_ms - found.after_ms
    return (
        f"{room}; by the planner's estimate they save {time_of(saved)} "
        f"({share(saved, found.before_ms)} of the time).{_beyond(found)}"
    )


def _beyond(found: IndexSet) -> str:
    """What a larger budget would bring."""
    if not found.beyond_bytes:
        return ""
    saved = share(found.before_ms - found.beyond_ms, found.before_ms)
    wanted = size(1.05 * found.beyond_bytes)
    return f" With a budget of {wanted}, indexes would save about {saved}."


def cached(caches: Iterable[CacheAdvice]) -> list[tuple[Query, Cacheable, Projection]]:
    """The queries that are worth caching, with what the advised TTL brings."""
    return [
        (each.query, each.verdict, projection)
        for each in caches
        if isinstance(each.verdict, Cacheable)
        for projection in each.verdict.projections
        if projection.ttl == each.verdict.ttl
    ]


def undecided(caches: Iterable[CacheAdvice]) -> list[str]:
    """Of which queries it cannot be said whether they are worth caching, and why not."""
    ids: dict[str, list[str]] = {}
    for each in caches:
        if isinstance(each.verdict, Undecided):
            ids.setdefault(each.verdict.reason, []).append(each.query.id)
    return [
        clean(f"of {_these(some)} it cannot be said whether caching is worth it: {why}")
        for why, some in ids.items()
    ]


def _these(ids: Sequence[str]) -> str:
    some = ", ".join(ids[:SHOWN])
    more = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
    return f"{'query' if len(ids) == 1 else 'queries'} {some}{more}"


def of_blocker(blocker: Blocker) -> str:
    """Who blocks how many, in a sentence."""
    held = f", its transaction open for {blocker.held:.0f} s" if blocker.held is not None else ""
    who = f" of {blocker.application}" if blocker.application else ""
    return clean(
        f"process {blocker.pid}{who} ({blocker.state}{held}) blocks {len(blocker.victims)} for "
        f"{blocker.cost:.0f} s together"
    )
