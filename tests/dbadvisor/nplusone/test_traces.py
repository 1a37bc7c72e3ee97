"""N+1 on traces of real ORMs and a real PostgreSQL (`benchmarks/nplusone_recording.py`)."""

import pytest

from benchmarks.nplusone import WAYS, score, traces

TOOLS = {"asyncio", "django", "pgbouncer", "psycopg", "sqlalchemy"}


@pytest.fixture(scope="module")
def recorded():
    return traces()


def test_there_are_sixty_traces_half_of_them_negative(recorded):
    negative = [trace for trace in recorded if not trace.looped]
    assert len(recorded) >= 60
    assert len(negative) >= len(recorded) / 2 - 1
    assert {trace.tool for trace in recorded} == TOOLS
    assert sum(trace.orm for trace in recorded) >= len(recorded) / 2
    assert sum(trace.held_out for trace in recorded) >= len(recorded) / 6


@pytest.mark.slow
@pytest.mark.parametrize("way", sorted(WAYS))
@pytest.mark.parametrize("held_out", [False, True])
def test_precision_and_recall(recorded, way, held_out):
    some = [trace for trace in recorded if trace.held_out is held_out]
    found = score((trace, WAYS[way](trace)) for trace in some)
    # One of few held-out traces may be missed by counters alone.
    assert found.precision >= (0.9 if held_out else 0.95), found.wrong
    assert found.recall >= (0.9 if held_out else 0.95), found.missed


@pytest.mark.slow
def test_precision_and_recall_of_both_ways_together(recorded):
    found = score((trace, look(trace)) for look in WAYS.values() for trace in recorded)
    assert found.precision >= 0.95, found.wrong
    assert found.recall >= 0.95, found.missed
