"""Mode Apply on a real PostgreSQL: an advised index is created, watched and kept, or nothing is
done and the reason is told. What each step does is tested with the advisor itself.
"""

from dataclasses import replace

import pytest

from foretide.dbadvisor.applying_state import Phase
from foretide.dbadvisor.candidate import Candidate
from foretide.dbadvisor.snapshot import IndexKey, Relation
from foretide.operator.databases import acting
from foretide.operator.databases.consulting import Chosen

pytestmark = pytest.mark.postgres

ALWAYS = [{"start": "00:00", "duration": "1d"}]
MOST_LOOKS = 20
CUSTOMER = Candidate(Relation("public", "orders"), (IndexKey("customer"),))


@pytest.fixture
def applying(world, shop):
    """The world with an index that is advised."""
    shop.fill(20_000)
    shop.look_up(200)
    world.chosen = (Chosen(CUSTOMER, 1e6, ()),)
    return world


def indexes(shop):
    found = shop.run("SELECT indexname FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1")
    return [name for (name,) in found[0] if name != "orders_pkey"]


def states(api):
    return [index["state"] for index in api.status.get("applied", [])]


async def advise(world):
    world.advisor(mode="Apply", maintenanceWindows=ALWAYS)
    for _ in range(2):
        await world.tick()


async def be_judged(world, api, shop):
    """Looks, each after some calls, until there is a verdict: what is seen once may be chance."""
    for _ in range(MOST_LOOKS):
        shop.look_up(200)
        await world.tick()
        if states(api) != ["Verifying"]:
            break


async def test_an_index_is_created_watched_and_kept_and_each_state_is_news(
    applying, api, shop, monkeypatch
):
    began = []
    act = acting.act

    def spied(*arguments):
        began.append((states(api), indexes(shop)))
        return act(*arguments)

    monkeypatch.setattr(acting, "act", spied)
    await advise(applying)
    await applying.tick()
    assert began == [(["Building"], [])]  # it was written first
    await applying.tick()
    assert states(api) == ["Verifying"]
    (name,) = indexes(shop)
    assert api.status["applied"][0]["name"] == f"public.{name}"
    assert api.condition("Applying")[:2] == ("True", "Verifying")
    await be_judged(applying, api, shop)
    assert states(api) == ["Kept"]
    (query,) = api.status["applied"][0]["queries"]
    assert query["change"] == "Faster"
    assert float(query["afterMs"]) < float(query["beforeMs"])
    told = [it for it in applying.reasons() if it.startswith("Index")]
    assert told == ["IndexAdvised", "IndexBuilding", "IndexCreated", "IndexKept"]


async def test_after_a_restart_it_goes_on_where_it_was(applying, api, shop):
    await advise(applying)
    for _ in range(2):
        await applying.tick()
    applying.restart()
    assert [str(each.phase) for each in applying.member.state] == ["Verifying"]
    await be_judged(applying, api, shop)
    assert states(api) == ["Kept"]
    assert len(indexes(shop)) == 1


async def test_an_index_that_does_harm_is_dropped_and_told_of(applying, api, shop):
    await advise(applying)
    for _ in range(2):
        await applying.tick()
    (watched,) = applying.member.state
    reason = "query 17 takes 80 ms instead of 9 ms, seen 2 times in a row"
    harmful = replace(watched, phase=Phase.REVERTING, tried=0.0, reason=reason)
    applying.member.state = (harmful,)
    await applying.tick()
    assert indexes(shop) == []
    await applying.tick()
    assert states(api) == ["Reverted"]
    told = [it for it in applying.events if it["reason"] in ("IndexHarmful", "IndexReverted")]
    assert [(it["reason"], it["kind"]) for it in told] == [
        ("IndexHarmful", "Warning"),
        ("IndexReverted", "Normal"),
    ]
    assert reason in told[0]["message"]
    await applying.tick()
    assert indexes(shop) == []  # it is not created again


@pytest.mark.parametrize("memory", ["nonsense", "[{}]", "{}", "[1]"])
async def test_a_memory_that_was_edited_is_found_again_in_the_database(applying, api, shop, memory):
    await advise(applying)
    for _ in range(2):
        await applying.tick()
    applying.restart(memory=memory)
    await applying.tick()
    assert states(api) == ["Unproven"]
    assert api.status["applied"][0]["message"].startswith("found in the database")


async def test_in_mode_recommend_nothing_is_changed(applying, api, shop):
    applying.advisor()
    for _ in range(5):
        await applying.tick()
    assert indexes(shop) == []
    assert api.condition("Applying") is None


async def test_the_kill_switch_stops_it(applying, api, shop):
    applying.allow(shop.rule, killSwitch=True)
    await advise(applying)
    for _ in range(3):
        await applying.tick()
    assert indexes(shop) == []
    assert api.condition("Applying")[:2] == ("False", "KillSwitch")


async def test_what_cannot_be_written_is_not_done(applying, api, shop):
    await advise(applying)
    api.deaf = True
    for _ in range(2):
        await applying.tick()
    assert indexes(shop) == []
    api.deaf = False
    await applying.tick(600)
    await applying.tick()
    assert len(indexes(shop)) == 1


async def test_one_that_does_not_lead_creates_nothing(applying, shop):
    applying.leads = False
    await advise(applying)
    for _ in range(3):
        await applying.tick()
    assert indexes(shop) == []


async def test_without_the_right_to_it_the_grant_is_told(applying, api, shop):
    shop.run(
        "DROP ROLE IF EXISTS reader",
        "CREATE ROLE reader LOGIN IN ROLE pg_monitor, pg_read_all_data",
    )
    api.keep("shop", {**shop.secret, "username": "reader"})
    await advise(applying)
    for _ in range(2):
        await applying.tick()
    assert indexes(shop) == []
    status, reason, message = api.condition("Applying")
    assert (status, reason) == ("False", "PermissionMissing")
    assert "GRANT" in message
