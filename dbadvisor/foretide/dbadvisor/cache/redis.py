"""Answers in Redis (6.2 or newer), for many processes. Works with redis-py's client, sync or async.

Each script below is atomic, as Redis runs one at a time. All keys of one cache hash to one slot.
"""

import secrets
import time
from collections.abc import Iterable, Sequence
from typing import Any

import psycopg
from redis.exceptions import RedisError

from foretide.dbadvisor.cache.backend import BackendAway, Change, Ticket
from foretide.dbadvisor.cache.results import Result, packed, unpacked
from foretide.dbadvisor.cache.steps import Steps

SEEN_SECONDS = 60  # for so long the same news from several processes counts once

# The counting of changes lives in one hash: `era` (a new one where the hash was lost, which makes
# all that was kept before unusable), `number`, `cleared`, and `t:TABLE`, the number of its last
# change.
_BEGIN = """
local function era(fresh)
    redis.call('HSETNX', KEYS[1], 'era', fresh)
    return redis.call('HGET', KEYS[1], 'era')
end
local function unchanged(number, first)
    if tonumber(redis.call('HGET', KEYS[1], 'cleared') or '0') > number then return false end
    for i = first, #ARGV do
        if tonumber(redis.call('HGET', KEYS[1], 't:' .. ARGV[i]) or '0') > number then
            return false
        end
    end
    return true
end
"""
# KEYS: counts, entry
_GET = """
local entry = redis.call('HMGET', KEYS[2], 'era', 'number', 'tables', 'data')
if not entry[1] then return false end
local good = entry[1] == redis.call('HGET', KEYS[1], 'era')
local number = tonumber(entry[2])
if good and tonumber(redis.call('HGET', KEYS[1], 'cleared') or '0') > number then good = false end
if good then
    for _, name in ipairs(cjson.decode(entry[3])) do
        if tonumber(redis.call('HGET', KEYS[1], 't:' .. name) or '0') > number then
            good = false
            break
        end
    end
end
if good then return entry[4] end
redis.call('DEL', KEYS[2])
return false
"""
# KEYS: counts; ARGV: an era
_TICKET = (
    _BEGIN
    + """
return {era(ARGV[1]), redis.call('HGET', KEYS[1], 'number') or '0'}
"""
)
# KEYS: counts, entry; ARGV: era, number, milliseconds to live, data, tables ...
_PUT = (
    _BEGIN
    + """
if redis.call('HGET', KEYS[1], 'era') ~= ARGV[1] then return 0 end
if not unchanged(tonumber(ARGV[2]), 5) then return 0 end
local tables = {}
for i = 5, #ARGV do tables[i - 4] = ARGV[i] end
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[2], 'era', ARGV[1], 'number', ARGV[2], 'data', ARGV[4],
    'tables', #tables > 0 and cjson.encode(tables) or '[]')
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return 1
"""
)
# KEYS: counts, what was seen of each change ...; ARGV: an era, seconds, table ...
_CHANGED = (
    _BEGIN
    + """
era(ARGV[1])
for i = 2, #KEYS do
    if redis.call('SET', KEYS[i], '', 'NX', 'EX', ARGV[2]) then
        redis.call('HSET', KEYS[1], 't:' .. ARGV[i + 1],
            redis.call('HINCRBY', KEYS[1], 'number', 1))
    end
end
"""
)
# KEYS: counts; ARGV: an era
_CLEAR = """
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'era', ARGV[1])
"""
# KEYS: lock; ARGV: token
_FOLLOW = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
"""


class Redis:
    """A backend on a `redis.Redis` (for Cache) or a `redis.asyncio.Redis` (for AsyncCache).

    `name` keeps apart what several applications keep in one Redis. Bound Redis' memory with its
    own maxmemory, and any policy. Caches with and without `listen` must not share a name.
    """

    def __init__(self, client: Any, name: str = "foretide-cache") -> None:
        self._client = client
        self._prefix = f"{{{name}}}:".encode()
        self._counts = self._prefix + b"counts"
        for_script = client.register_script
        self._get, self._put = for_script(_GET), for_script(_PUT)
        self._ticket, self._changed = for_script(_TICKET), for_script(_CHANGED)
        self._clear, self._follow = for_script(_CLEAR), for_script(_FOLLOW)

    def get(self, key: bytes) -> Steps[Result | None]:
        data = yield from _asked(lambda: self._get(keys=[self._counts, self._entry(key)]))
        if data is None:
            return None
        try:
            return unpacked(data)
        except psycopg.DataError:
            return None  # another version of this library has written it

    def ticket(self) -> Steps[Ticket]:
        at = time.monotonic()
        era, number = yield from _asked(
            lambda: self._ticket(keys=[self._counts], args=[secrets.token_hex(8)])
        )
        return Ticket(era.decode(), int(number), at)

    def put(
        self, key: bytes, ticket: Ticket, tables: Sequence[str], result: Result, ttl: float
    ) -> Steps[bool]:
        milliseconds = int((ticket.at + ttl - time.monotonic()) * 1000)
        if milliseconds <= 0:
            return False
        arguments = [ticket.era, ticket.number, milliseconds, packed(result), *tables]
        kept = yield from _asked(
            lambda: self._put(keys=[self._counts, self._entry(key)], args=arguments)
        )
        return bool(kept)

    def changed(self, changes: Iterable[Change]) -> Steps[None]:
        known = list(changes)
        seen = [self._seen(change) for change in known]
        arguments = [secrets.token_hex(8), SEEN_SECONDS, *(change.table for change in known)]
        yield from _asked(lambda: self._changed(keys=[self._counts, *seen], args=arguments))

    def clear(self) -> Steps[None]:
        yield from _asked(lambda: self._clear(keys=[self._counts], args=[secrets.token_hex(8)]))

    def lead(self, key: bytes, seconds: float) -> Steps[str | None]:
        token = secrets.token_hex(8)
        milliseconds = max(1, int(seconds * 1000))
        mine = yield from _asked(
            lambda: self._client.set(self._lock(key), token, nx=True, px=milliseconds)
        )
        return token if mine else None

    def follow(self, key: bytes, token: str) -> Steps[None]:
        yield from _asked(lambda: self._follow(keys=[self._lock(key)], args=[token]))

    def _entry(self, key: bytes) -> bytes:
        return self._prefix + b"e:" + key.hex().encode()

    def _lock(self, key: bytes) -> bytes:
        return self._prefix + b"l:" + key.hex().encode()

    def _seen(self, change: Change) -> bytes:
        # Told by hand, each is news of its own.
        transaction = change.transaction if change.transaction.isdigit() else secrets.token_hex(8)
        return self._prefix + f"s:{transaction}:{change.table}".encode()


def _asked(question: Any) -> Steps[Any]:
    """What Redis answers.

    Raises:
        BackendAway: it does not, or cannot do that.
    """
    try:
        return (yield question())
    except (RedisError, OSError) as error:
        raise BackendAway(f"Redis does not answer ({type(error).__name__})") from error
