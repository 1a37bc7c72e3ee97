"""Answers in memory: room, age, changes."""

import contextlib
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import DataError, pq

from foretide.dbadvisor.cache.backend import Change
from foretide.dbadvisor.cache.memory import ENTRY_BYTES, TABLES, Memory
from foretide.dbadvisor.cache.results import Result, packed, unpacked

COLUMN = pq.PGresAttDesc(b"amount", 16384, 2, 0, 23, 4, -1)


def result(value=b"1", rows=1):
    return Result((COLUMN,), ((value,),) * rows)


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def memory(clock):
    return Memory(100_000, clock=clock)


def test_an_answer_lives_for_its_ttl_counted_from_before_it_was_loaded(memory, clock):
    ticket = memory.ticket()
    clock.now += 4
    assert memory.put(b"k", ticket, ["a.b"], result(), 10)
    clock.now += 5.9
    assert memory.get(b"k") == result()
    clock.now += 0.1
    assert memory.get(b"k") is None
    assert (len(memory), memory.size) == (0, 0)
    assert not memory.put(b"k", ticket, ["a.b"], result(), 10)


def test_a_change_between_load_and_keeping_is_not_lost(memory):
    ticket = memory.ticket()
    memory.changed([Change("a.b", "1")])
    assert not memory.put(b"k", ticket, ["a.b"], result(), 10)
    assert memory.put(b"k", ticket, ["a.c"], result(), 10)


def test_clearing_reaches_what_is_being_loaded(memory):
    ticket = memory.ticket()
    memory.put(b"k", ticket, [], result(), 10)
    memory.clear()
    assert memory.get(b"k") is None
    assert not memory.put(b"k", ticket, [], result(), 10)
    assert memory.put(b"k", memory.ticket(), [], result(), 10)


def test_the_least_recently_used_answer_goes_first():
    one = ENTRY_BYTES + result().size
    memory = Memory(3 * one)
    for key in (b"a", b"b", b"c"):
        memory.put(key, memory.ticket(), [], result(), 10)
    memory.get(b"a")
    memory.put(b"d", memory.ticket(), [], result(), 10)
    assert [key for key in (b"a", b"b", b"c", b"d") if memory.get(key)] == [b"a", b"c", b"d"]
    assert memory.size == 3 * one


def test_what_is_larger_than_the_cache_is_not_kept_and_drives_nothing_out(memory):
    memory.put(b"a", memory.ticket(), [], result(), 10)
    assert not memory.put(b"b", memory.ticket(), [], result(b"x" * 100_000), 10)
    assert memory.get(b"a") is not None


def test_made_up_names_of_tables_take_no_memory_without_end(memory):
    memory.put(b"a", memory.ticket(), ["t.0"], result(), 10)
    memory.changed(Change(f"t.{n}", "1") for n in range(TABLES + 1))
    assert memory.get(b"a") is None
    assert len(memory._changed) == 0


def test_a_cache_without_room_is_refused():
    with pytest.raises(ValueError, match="max_bytes"):
        Memory(0)


TABLE = st.sampled_from(["s.a", "s.b", "s.c"])
STEP = st.one_of(
    st.tuples(st.just("ticket"), st.integers(0, 3)),
    st.tuples(st.just("put"), st.integers(0, 3), st.lists(TABLE, max_size=2)),
    st.tuples(st.just("changed"), TABLE),
    st.tuples(st.just("clear")),
    st.tuples(st.just("get"), st.integers(0, 3)),
)


@pytest.mark.slow
@settings(derandomize=True, deadline=None, max_examples=150, database=None)
@given(st.lists(STEP, max_size=40))
def test_whatever_comes_in_between_no_answer_outlives_a_change_of_its_tables(steps):
    """Against a model that remembers all changes in their order."""
    memory = Memory()
    log, tickets, kept = [], {}, {}
    for kind, *rest in steps:
        if kind == "ticket":
            tickets[rest[0]] = (memory.ticket(), len(log))
        elif kind == "put" and rest[0] in tickets:
            key, tables = rest
            ticket, since = tickets[key]
            if memory.put(b"%d" % key, ticket, tables, result(), 1000):
                kept[key] = (since, tables)
            else:
                assert any(name == "*" or name in tables for name in log[since:])
        elif kind == "changed":
            log.append(rest[0])
            memory.changed([Change(rest[0], "1")])
        elif kind == "clear":
            log.append("*")
            memory.clear()
        elif kind == "get":
            since, tables = kept.get(rest[0], (0, None))
            valid = tables is not None and not any(
                name == "*" or name in tables for name in log[since:]
            )
            assert (memory.get(b"%d" % rest[0]) is not None) == valid


CELLS = st.lists(st.tuples(st.none() | st.binary(max_size=9), st.binary(max_size=300)), max_size=5)


@settings(derandomize=True, deadline=None, max_examples=100, database=None)
@given(CELLS)
def test_packed_results_come_back_equal(rows):
    two = COLUMN._replace(name="größe".encode(), atttypmod=12)
    given_result = Result((COLUMN, two), tuple(rows))
    assert unpacked(packed(given_result)) == given_result


@settings(derandomize=True, deadline=None, max_examples=100, database=None)
@given(st.binary(max_size=60))
def test_bytes_of_somebody_else_are_refused_or_read_but_never_crash(data):
    with contextlib.suppress(DataError):
        unpacked(data)


def test_the_size_of_a_result_is_about_what_python_takes():
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    made = Result((COLUMN,) * 5, tuple(tuple(bytes(20 + c) for c in range(5)) for _ in range(2000)))
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert 0.8 < made.size / taken < 1.4
