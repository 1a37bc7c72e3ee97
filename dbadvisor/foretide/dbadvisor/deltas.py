"""The workload between two snapshots: what each query has cost in that time.

pg_stat_statements only counts on. What it counted can be lost in three ways, and none of them may
look like a quiet (or a negative) hour: all counters are reset; a statement is thrown away to make
room, and comes back with counters that begin anew; it is thrown away and does not come back.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

from foretide.dbadvisor import sql_text
from foretide.dbadvisor.database import is_ours
from foretide.dbadvisor.snapshot import Query, Snapshot, Statement, Workload

Key = tuple[int, int, bool]


def between(before: Snapshot, after: Snapshot) -> Workload:
    """What was executed from one snapshot to the later one of the same database.

    Raises:
        ValueError: they are of two databases, or in the wrong order.
    """
    if before.database != after.database:
        raise ValueError(f"snapshots of two databases: {before.database} and {after.database}")
    if before.at > after.at:
        raise ValueError("the earlier snapshot is the later one")
    caveats = list(_of_statements(after))
    if _was_reset(before, after):
        begun = after.statements_reset or before.at
        caveats.append("pg_stat_statements was reset meanwhile: what came before is not counted")
        counted = list(after.statements)
        seconds = after.at - max(begun, before.at)
    else:
        earlier = {_key(each): each for each in before.statements}
        counted = [_grown(earlier.get(_key(each)), each) for each in after.statements]
        seconds = after.at - before.at
        thrown_away = (after.dealloc or 0) - (before.dealloc or 0)
        gone = len(earlier.keys() - {_key(each) for each in after.statements})
        if thrown_away > 0 or gone:
            caveats.append(
                f"pg_stat_statements threw away {gone} known statements meanwhile, and others that "
                "came and went: raise pg_stat_statements.max to count them all"
            )
    return Workload(_queries(counted, after.examples), seconds, tuple(caveats))


def total(snapshot: Snapshot) -> Workload:
    """All that was counted since the counters began, if there is but one snapshot."""
    caveats = list(_of_statements(snapshot))
    if snapshot.dealloc:
        caveats.append(
            f"pg_stat_statements has thrown statements away {snapshot.dealloc} times: rare queries "
            "are missing, raise pg_stat_statements.max"
        )
    seconds = None
    if snapshot.statements_reset is not None:
        seconds = max(0.0, snapshot.at - snapshot.statements_reset)
    elif snapshot.statements:
        caveats.append(
            "since when statements are counted is not known (PostgreSQL 13 keeps no date)"
        )
    return Workload(_queries(snapshot.statements, snapshot.examples), seconds, tuple(caveats))


def is_of_interest(text: str) -> bool:
    """Whether it is of the workload and has a plan: not our own, no BEGIN, SET or VACUUM."""
    if is_ours(text):
        return False
    # A text that was lost may have been any.
    return not text.strip() or sql_text.first_word(text) in sql_text.PLANNED


def _of_statements(snapshot: Snapshot) -> Iterable[str]:
    return (text for text in snapshot.missing if text.startswith("statements: "))


def _key(statement: Statement) -> Key:
    return statement.queryid, statement.userid, statement.toplevel


def _was_reset(before: Snapshot, after: Snapshot) -> bool:
    if before.statements_reset is not None and after.statements_reset is not None:
        # To the second: nothing else moves it.
        return after.statements_reset - before.statements_reset > 1.0
    # Without a moment: nothing is left of what there was, or all that is left has shrunk.
    earlier = {_key(each): each.calls for each in before.statements}
    left = [(each.calls, earlier[_key(each)]) for each in after.statements if _key(each) in earlier]
    return bool(earlier) and all(calls < known for calls, known in left)


def _grown(before: Statement | None, after: Statement) -> Statement:
    """What was added. With fewer calls than before, its counters began anew in between."""
    if before is None or after.calls < before.calls or after.total_ms < before.total_ms:
        return after
    return replace(
        after,
        calls=after.calls - before.calls,
        total_ms=after.total_ms - before.total_ms,
        rows=max(0, after.rows - before.rows),
        blocks_hit=max(0, after.blocks_hit - before.blocks_hit),
        blocks_read=max(0, after.blocks_read - before.blocks_read),
        temp_blocks=max(0, after.temp_blocks - before.temp_blocks),
        stddev_ms=_deviation(
            after.calls - before.calls,
            after.total_ms - before.total_ms,
            squares(after) - squares(before),
        ),
    )


def squares(each: Statement | Query) -> float:
    """The sum of the squares of all times."""
    return each.calls * each.stddev_ms**2 + (each.total_ms**2 / each.calls if each.calls else 0.0)


def _deviation(calls: float, total_ms: float, squared: float) -> float:
    return math.sqrt(max(0.0, squared / calls - (total_ms / calls) ** 2)) if calls else 0.0


def _queries(statements: Iterable[Statement], examples: Mapping[int, str]) -> tuple[Query, ...]:
    """One for each queryid, costliest first, whoever executed it and from wherever."""
    found: dict[int, Query] = {}
    # Where several users' texts differ, that of the one who called it most often is taken.
    for each in sorted(statements, key=lambda each: (-each.calls, _key(each))):
        if each.calls > 0 and is_of_interest(each.text):
            samples = (examples[each.queryid],) if each.queryid in examples else ()
            new = Query(str(each.queryid), each.text, 0.0, 0.0, samples=samples)
            known = found.get(each.queryid, new)
            found[each.queryid] = replace(
                known,
                text=known.text or each.text,
                calls=known.calls + each.calls,
                total_ms=known.total_ms + each.total_ms,
                rows=known.rows + each.rows,
                blocks_hit=known.blocks_hit + each.blocks_hit,
                blocks_read=known.blocks_read + each.blocks_read,
                stddev_ms=_deviation(
                    known.calls + each.calls,
                    known.total_ms + each.total_ms,
                    squares(known) + squares(each),
                ),
            )
    return tuple(sorted(found.values(), key=lambda query: (-query.total_ms, query.id)))
