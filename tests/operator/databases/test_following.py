"""Indexes that somebody creates by hand, seen by the operator: what they did, and what to do."""

from dataclasses import replace

import pytest

from foretide.dbadvisor.applying_state import Applied, Phase
from foretide.dbadvisor.candidate import Candidate
from foretide.dbadvisor.snapshot import Relation
from foretide.dbadvisor.verdicts import Timing, Watch
from foretide.operator.databases.applied import (
    MOST_BYTES_OF_OTHERS,
    recalled_of_others,
    remembered_of_others,
)

pytestmark = pytest.mark.postgres

WALK = "SELECT * FROM visit WHERE status = 'rare' ORDER BY key LIMIT 1"
MOST_LOOKS = 20


async def judged(world, api, work):
    """Looks, each after some calls, until there is a verdict; the index as it is told then. Two are
    enough, as a rule: a busy machine may take as many calls to tell the change from chance.
    """
    for _ in range(MOST_LOOKS):
        work()
        await world.tick()
        (one,) = api.status["followed"]
        if one["state"] != "Verifying":
            break
    return one


async def test_an_index_that_helps_is_told_in_any_mode(world, api, shop):
    shop.fill(20_000)
    shop.look_up(200)
    world.advisor()
    for _ in range(2):
        await world.tick()
    assert "followed" not in api.status
    shop.run("CREATE INDEX by_hand ON orders (customer)")
    await world.tick()
    (one,) = api.status["followed"]
    assert (one["name"], one["state"]) == ("public.by_hand", "Verifying")
    one = await judged(world, api, lambda: shop.look_up(200))
    assert one["state"] == "Kept"
    assert one["queries"][0]["change"] == "Faster"
    assert "statements" not in one
    assert [it for it in world.reasons() if it.startswith("Index")][-2:] == [
        "IndexCreated",
        "IndexKept",
    ]
    shop.run("DROP INDEX by_hand")
    await world.tick()
    assert "followed" not in api.status


@pytest.fixture
async def verifying(world, shop):
    """The world with an index that somebody has created and that is being verified."""
    shop.fill(20_000)
    shop.look_up(200)
    world.advisor()
    for _ in range(2):
        await world.tick()
    shop.run("CREATE INDEX by_hand ON orders (customer)")
    await world.tick()
    await world.tick(600)
    return world


async def test_it_is_verified_on_by_an_operator_that_was_started_anew(verifying, api, shop):
    (before,) = verifying.member.theirs
    verifying.restart()
    assert verifying.member.theirs == (before,)
    await verifying.tick()
    assert [one["state"] for one in api.status["followed"]] == ["Verifying"]
    one = await judged(verifying, api, lambda: shop.look_up(200))
    assert (one["state"], one["queries"][0]["change"]) == ("Kept", "Faster")
    assert verifying.reasons().count("IndexCreated") == 1


async def test_one_that_was_dropped_while_no_operator_ran_is_forgotten(verifying, api, shop):
    shop.run("DROP INDEX by_hand")
    verifying.restart()
    await verifying.tick()
    assert "followed" not in api.status
    assert "followedMemory" not in api.status


async def test_what_was_proposed_stays_while_the_database_is_away(verifying, api, shop):
    (one,) = verifying.member.theirs
    verifying.member.theirs = (replace(one, phase=Phase.REVERTING, tried=0.0, reason="harm"),)
    await verifying.tick()
    (before,) = api.status["followed"]
    assert before["statements"]
    api.keep("shop", {**shop.secret, "password": "another"})
    verifying.restart()
    del api.secrets["shop"]
    await verifying.tick()
    assert api.condition("Collected")[1] == "SecretMissing"
    assert api.status["followed"] == [before]


async def test_a_memory_of_another_database_is_not_gone_by(verifying, api, shop):
    api.keep("shop", {**shop.secret, "dbname": "postgres"})
    verifying.restart()
    await verifying.tick()
    assert api.status["database"] == "postgres"
    assert "followed" not in api.status


@pytest.mark.parametrize("memory", ["nonsense", "[{}]", "{}", "[1]", "edited"])
async def test_a_memory_that_was_edited_is_forgotten(verifying, api, memory):
    if memory == "edited":
        memory = api.status["followedMemory"].replace('"begun":', '"begun":"soon","_":')
    verifying.restart(followedMemory=memory, followed=[1, {"statements": 3}, {"name": "x"}])
    await verifying.tick()
    assert "followed" not in api.status
    assert api.condition("Collected")[:2] == ("True", "Collected")


def test_of_many_the_newest_are_remembered():
    timing = Timing(1e6, 1e9, 1e6, 1e12)
    watches = tuple(Watch(str(n), timing, timing) for n in range(40))
    state = tuple(
        Applied(f"i{n}", Candidate(Relation("s", "t"), ()), Phase.VERIFYING, -n, 0, 0, 0, 0, None)
        for n in range(30)
    )
    state = tuple(replace(each, watches=watches) for each in state)
    text = remembered_of_others(state)
    assert len(text) <= MOST_BYTES_OF_OTHERS
    again, _ = recalled_of_others({"followedMemory": text})
    assert again == state[: len(again)]
    assert 5 < len(again) < 30
    assert remembered_of_others(()) is None


@pytest.mark.slow
async def test_an_index_that_does_harm_is_proposed_to_be_dropped(world, api, shop):
    shop.run(
        "CREATE TABLE visit (key int, status text, filler text)",
        "INSERT INTO visit SELECT k, CASE WHEN k > 39200 THEN 'rare' ELSE 'usual' END, "
        "repeat('x', 60) FROM generate_series(1, 40000) k ORDER BY md5(k::text)",
        "ANALYZE visit",
        # Else the one INSERT is waited for, which the index might help: for a week, where the harm
        # is less than 30 ms a call, as it is on some machines.
        "SELECT pg_stat_statements_reset()",
        *[WALK] * 40,
    )
    world.advisor()
    for _ in range(2):
        await world.tick()
    shop.run("CREATE INDEX by_hand ON visit (key)")
    await world.tick()
    one = await judged(world, api, lambda: shop.run(*[WALK] * 40))
    assert one["state"] == "Reverting"
    assert one["statements"][1] == 'DROP INDEX CONCURRENTLY IF EXISTS "public"."by_hand"'
    assert "IndexHarmful" in world.reasons()
    assert shop.run("SELECT count(*) FROM pg_indexes WHERE indexname = 'by_hand'") == [[(1,)]]
