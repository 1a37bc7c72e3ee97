"""Answers in Redis (6.2 or newer), for many processes. Works with redis-py's client, sync or async.

All keys of one cache hash to one slot.
"""

import copy
import hashlib
import inspect
import re
import secrets
from collections.abc import Iterable, Sequence
from typing import Any

import psycopg
from redis.exceptions import NoScriptError, RedisError

from foretide.dbadvisor.cache.backend import BackendAway, Change, Ticket
from foretide.dbadvisor.cache.memory import TABLES
from foretide.dbadvisor.cache.results import Result, packed, unpacked
from foretide.dbadvisor.cache.steps import Steps

SEEN_SECONDS = 60  # for so long the same news from several processes counts once
LONGEST_SECONDS = 1e9  # more would be too much for PEXPIREAT
TOLD = re.compile(r"[0-9]+(?:/[0-9.]+)?")  # by a trigger

# One script for all, atomic as Redis runs one at a time. KEYS: counts ...; ARGV: what to do ...
# The counting of changes lives in one hash: `era` (a new one where the hash was lost, which makes
# all that was kept before unusable), `number`, and `t:TABLE`, the number of its last change.
_SCRIPT = """
local counts, act = KEYS[1], {}
local function begin(era)
    redis.call('DEL', counts)
    redis.call('HSET', counts, 'era', era)
end
local function era(fresh)
    redis.call('HSETNX', counts, 'era', fresh)
    return redis.call('HGET', counts, 'era')
end
local function unchanged(number, tables)
    for _, name in ipairs(tables) do
        if tonumber(redis.call('HGET', counts, 't:' .. name) or '0') > number then return false end
    end
    return true
end
local function now()
    local time = redis.call('TIME')
    return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- KEYS: counts, entry
function act.get()
    local entry = redis.call('HMGET', KEYS[2], 'era', 'number', 'tables', 'data')
    if not entry[1] then return false end
    if entry[1] == redis.call('HGET', counts, 'era')
        and unchanged(tonumber(entry[2]), cjson.decode(entry[3])) then return entry[4] end
    redis.call('DEL', KEYS[2])
    return false
end
-- ARGV: act, an era
function act.ticket()
    return {era(ARGV[2]), redis.call('HGET', counts, 'number') or '0', now()}
end
-- KEYS: counts, entry; ARGV: act, era, number, when it ends (ms), data, table ...
function act.put()
    local tables = {}
    for i = 6, #ARGV do tables[i - 5] = ARGV[i] end
    if redis.call('HGET', counts, 'era') ~= ARGV[2] then return 0 end
    if now() >= tonumber(ARGV[4]) or not unchanged(tonumber(ARGV[3]), tables) then return 0 end
    redis.call('DEL', KEYS[2])
    redis.call('HSET', KEYS[2], 'era', ARGV[2], 'number', ARGV[3], 'data', ARGV[5],
        'tables', #tables > 0 and cjson.encode(tables) or '[]')
    redis.call('PEXPIREAT', KEYS[2], ARGV[4])
    return 1
end
-- KEYS: counts, what was seen of each change ...; ARGV: act, an era, seconds, most, table ...
function act.changed()
    era(ARGV[2])
    for i = 2, #KEYS do
        if redis.call('SET', KEYS[i], '', 'NX', 'EX', ARGV[3]) then
            redis.call('HSET', counts, 't:' .. ARGV[i + 3],
                redis.call('HINCRBY', counts, 'number', 1))
        end
    end
    if redis.call('HLEN', counts) > tonumber(ARGV[4]) then begin(ARGV[2]) end
end
-- ARGV: act, an era
function act.clear() begin(ARGV[2]) end
-- KEYS: counts, lock; ARGV: act, token, milliseconds
function act.lead()
    local leader = redis.call('GET', KEYS[2])
    if leader then return leader end
    redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
    return ARGV[2]
end
function act.follow()
    if redis.call('GET', KEYS[2]) == ARGV[2] then redis.call('DEL', KEYS[2]) end
end

return act[ARGV[1]]()
"""


class Redis:
    """A backend on a `redis.Redis` (for Cache) or a `redis.asyncio.Redis` (for AsyncCache).

    `name` keeps apart what several applications keep in one Redis. Bound Redis' memory with its
    own maxmemory, and any policy. Caches with and without `listen` share nothing but the room.
    """

    def __init__(self, client: Any, name: str = "foretide-cache") -> None:
        if client.get_encoder().decode_responses:
            raise ValueError("answers are bytes: give a Redis client without decode_responses")
        self._client = client
        self._inherited: list[object] = []
        self._prefix = f"{{{name}}}:".encode()
        self._counts = self._prefix + b"counts"
        # Of each cache a script of its own, so that each notices when Redis does not know it.
        self._script = f"-- {self._prefix!r}\n{_SCRIPT}"
        self._name = hashlib.sha1(self._script.encode(), usedforsecurity=False).hexdigest()

    def forked(self) -> None:
        """See `Backend.forked`. Clients that are not asynchronous see to it themselves."""
        if inspect.iscoroutinefunction(self._client.execute_command):
            pool = self._client.connection_pool
            self._inherited.append(copy.copy(pool))  # never closed from here
            pool.reset()

    def get(self, key: bytes) -> Steps[Result | None]:
        data = yield from self._run("get", [self._entry(key)])
        if data is None:
            return None
        try:
            return unpacked(data)
        except psycopg.DataError:
            return None  # another version of this library has written it

    def ticket(self) -> Steps[Ticket]:
        era, number, now = yield from self._run("ticket", [], secrets.token_hex(8))
        return Ticket(era.decode(), int(number), now / 1000)

    def put(
        self, key: bytes, ticket: Ticket, tables: Sequence[str], result: Result, ttl: float
    ) -> Steps[bool]:
        ends = int(1000 * (ticket.at + min(ttl, LONGEST_SECONDS)))
        kept = yield from self._run(
            "put",
            [self._entry(key)],
            *(ticket.era, ticket.number, ends, packed(result), *tables),
        )
        return bool(kept)

    def changed(self, changes: Iterable[Change]) -> Steps[None]:
        known = list(changes)
        seen = [self._seen(change) for change in known]
        tables = [change.table for change in known]
        yield from self._run("changed", seen, secrets.token_hex(8), SEEN_SECONDS, TABLES, *tables)

    def clear(self) -> Steps[None]:
        yield from self._run("clear", [], secrets.token_hex(8))

    def lead(self, key: bytes, token: str, seconds: float) -> Steps[str]:
        milliseconds = max(1, int(seconds * 1000))
        leader = yield from self._run("lead", [self._lock(key)], token, milliseconds)
        return str(leader.decode())

    def follow(self, key: bytes, token: str) -> Steps[None]:
        yield from self._run("follow", [self._lock(key)], token)

    def _run(self, act: str, keys: Sequence[bytes], *arguments: Any) -> Steps[Any]:
        """What the script answers.

        A Redis that does not know it was started since, or is another one (scripts are not saved
        to disk, nor copied to replicas from Redis 7 on). What it holds may be from before a change
        that it had confirmed: nothing of that is used.
        """
        known = [self._counts, *keys]
        wanted = (len(known), *known, act, *arguments)
        try:
            return (yield from _asked(lambda: self._client.evalsha(self._name, *wanted)))
        except NoScriptError:
            # This makes the script known, too.
            clear = (1, self._counts, "clear", secrets.token_hex(8))
            yield from _asked(lambda: self._client.eval(self._script, *clear))
            return (yield from _asked(lambda: self._client.evalsha(self._name, *wanted)))

    def _entry(self, key: bytes) -> bytes:
        return self._prefix + b"e:" + key.hex().encode()

    def _lock(self, key: bytes) -> bytes:
        return self._prefix + b"l:" + key.hex().encode()

    def _seen(self, change: Change) -> bytes:
        # Told by hand, each is news of its own.
        told = change.transaction if TOLD.fullmatch(change.transaction) else secrets.token_hex(8)
        return self._prefix + f"s:{told}:{change.table}".encode()


def _asked(question: Any) -> Steps[Any]:
    """What Redis answers.

    Raises:
        NoScriptError: it does not know the script.
        BackendAway: it does not answer, or cannot do that.
    """
    try:
        return (yield question())
    except NoScriptError:
        raise
    except (RedisError, OSError) as error:
        raise BackendAway(f"Redis does not answer ({type(error).__name__})") from error
