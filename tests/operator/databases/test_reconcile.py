"""Whole ticks of a DatabaseAdvisor on a real PostgreSQL: from the first look to advice, what is
refused on the way, and what is told of it. Advice itself is a double, unless a test says so."""

import asyncio
import json
import os
import threading
from dataclasses import replace

import pytest

from foretide.dbadvisor.database import DatabaseAway
from foretide.operator.databases import reconcile
from foretide.operator.databases.due import AGAIN, QUIET, SOON
from foretide.operator.databases.fleet import AdvisorFleet
from foretide.operator.databases.running import forget_environment
from foretide.operator.databases.watching import Watch
from foretide.operator.thinking import ThinkingFailed
from foretide.operator.ticking import Gone

pytestmark = pytest.mark.postgres


async def test_advice_comes_after_two_looks_and_is_told_once(world, api, shop):
    shop.fill(100)
    world.advisor()
    assert await world.tick() == SOON
    assert api.condition("Ready")[:2] == ("Unknown", "TooFewLooks")
    assert (api.status["database"], api.status["host"]) == (
        shop.name,
        f"127.0.0.1:{shop.server.port}",
    )
    assert await world.tick() == 60.0
    await world.tick()
    assert api.condition("Ready")[:2] == ("True", "Recommending")
    assert [index["name"] for index in api.status["indexes"]] == ["orders_customer"]
    assert api.status["counts"] == {"indexes": 1, "blockers": 0}
    assert world.reasons().count("IndexAdvised") == 1
    written = len(api.patches)
    for _ in range(5):
        await world.tick()
    assert len(api.patches) == written  # nothing that a person would notice
    await world.tick(600)
    assert len(api.patches) == written + 1  # when it was last looked at
    assert len(world.asked) == 1
    assert world.reasons().count("IndexAdvised") == 1


async def test_advice_is_made_anew_after_its_time_and_when_the_spec_changes(world):
    world.advisor()
    for _ in range(3):
        await world.tick()
    await world.tick(3_600)
    assert len(world.asked) == 2
    await world.tick()
    world.advisor(generation=2, findings=3, storageBudget="50Mi", exclude=["audit.*"])
    await world.tick()
    settings = world.asked[-1].settings
    assert (world.asked[-1].shown, settings.budget) == (3, 50 * 2**20)
    assert settings.exclude == ("audit.*",)


async def test_the_password_is_nowhere_but_in_the_secret(world, api, password, caplog):
    caplog.set_level(0)
    world.advisor()
    for _ in range(3):
        await world.tick()
    world.answer = DatabaseAway("gone")
    await world.tick(3_600)
    await world.tick()
    everything = json.dumps([api.patches, world.events]) + caplog.text
    assert password not in everything + repr(world.member) + repr(world.asked)


async def test_a_host_that_is_not_allowed_is_not_connected_to(world, api):
    world.allow({"host": "*.example.org"})
    world.advisor()
    assert await world.tick() == SOON
    assert api.condition("Ready")[:2] == ("False", "HostNotAllowed")
    assert world.watches == []
    assert world.reasons() == ["HostNotAllowed"]


async def test_a_host_that_is_allowed_no_more_is_let_go_of(world, api):
    world.advisor()
    await world.tick()
    (watch,) = world.watches
    world.allow()
    await world.tick()
    assert api.condition("Ready")[:2] == ("False", "HostNotAllowed")
    assert watch._database is None


async def test_a_secret_may_be_missing_forbidden_or_mended(world, api, shop):
    del api.secrets["shop"]
    world.advisor()
    await world.tick()
    assert api.condition("Ready")[:2] == ("False", "SecretMissing")
    api.forbidden = True
    await world.tick()
    assert api.condition("Ready")[1] == "SecretForbidden"
    assert "verb get on secrets" in api.condition("Ready")[2]
    api.forbidden = False
    api.keep("shop", shop.secret)
    await world.tick()
    assert api.condition("Collected")[:2] == ("True", "Collected")


async def test_a_new_password_is_used_with_the_next_look(world, api, shop):
    world.advisor()
    await world.tick()
    first = world.watches[0]._database
    api.keep("shop", {**shop.secret, "password": "another"})
    await world.tick()
    assert world.watches[0]._database is not first
    assert world.member.history.looks == 2  # it is the same database


async def test_another_database_begins_anew(world, api, shop):
    world.advisor()
    await world.tick()
    await world.tick()
    api.keep("shop", {**shop.secret, "dbname": "postgres"})
    await world.tick()
    assert (world.member.history.looks, api.status["database"]) == (1, "postgres")


async def test_a_database_that_is_away_keeps_what_was_advised(world, api, shop):
    world.advisor()
    for _ in range(3):
        await world.tick()
    api.keep("shop", {**shop.secret, "port": "1"})
    world.allow({"host": "127.0.0.1", "ports": [shop.server.port, 1]})
    await world.tick()
    assert api.condition("Ready")[:2] == ("False", "DatabaseAway")
    assert api.status["indexes"]
    api.keep("shop", shop.secret)
    await world.tick()
    assert api.condition("Collected")[:2] == ("True", "Collected")
    assert world.reasons().count("DatabaseAway") == 1


async def test_a_database_that_has_come_to_a_stop_is_given_up(world, api, monkeypatch):
    go_on = threading.Event()
    monkeypatch.setattr(reconcile, "patience", lambda seconds: 0.05)
    monkeypatch.setattr(Watch, "look", lambda *_: go_on.wait(20))
    world.advisor()
    await world.tick()
    assert api.condition("Ready")[:2] == ("False", "DatabaseAway")
    assert "has not answered" in api.condition("Ready")[2]
    monkeypatch.undo()
    go_on.set()
    await world.tick()
    assert api.condition("Collected")[:2] == ("True", "Collected")
    assert len(world.watches) == 2


async def test_an_api_server_that_is_away_costs_no_connection(world, api):
    world.advisor()
    await world.tick()
    database = world.watches[0]._database
    api.away = True
    await world.tick()
    api.away = False
    await world.tick()
    assert world.watches[0]._database is database


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (ThinkingFailed("gave up after 1800 s"), "AdviceFailed"),
        (DatabaseAway("no answer"), "DatabaseAway"),
        (RuntimeError("a bug"), "AdviceFailed"),
    ],
)
async def test_advice_that_fails_is_told_and_tried_again(world, api, trouble, reason):
    sound, world.answer = world.answer, trouble
    world.advisor()
    for _ in range(3):
        await world.tick()
    assert api.condition("Advised")[:2] == ("False", reason)
    assert len(world.asked) == 1
    world.answer = sound
    await world.tick(AGAIN)
    await world.tick()
    assert api.condition("Ready")[:2] == ("True", "Recommending")


async def test_a_suspended_one_lets_go_of_its_database(world, api):
    world.advisor()
    await world.tick()
    world.advisor(generation=2, suspend=True)
    assert await world.tick() == QUIET
    assert api.condition("Ready")[:2] == ("True", "Suspended")
    assert world.watches[0]._database is None


async def test_a_spec_that_is_not_valid_is_told(world, api):
    world.advisor(interval="1s")
    await world.tick()
    assert api.condition("Ready")[1] == "InvalidSpec"
    assert "interval must be between" in api.condition("Ready")[2]


async def test_after_a_restart_status_shows_the_advice_until_there_is_a_newer_one(world, api):
    world.advisor()
    for _ in range(3):
        await world.tick()
    world.events = []
    world.restart()
    await world.tick()
    assert [index["name"] for index in api.status["indexes"]] == ["orders_customer"]
    assert api.condition("Ready")[:2] == ("True", "Recommending")
    assert "IndexAdvised" not in world.reasons()


async def test_statements_are_looked_at_more_closely_for_the_next_advice(world, shop):
    shop.fill(100)
    world.closer = (1, 2)
    world.advisor()
    for _ in range(3):
        await world.tick()
    assert world.asked[0].history.pulses == ()
    await world.tick(3_600)
    assert [pulse.at for pulse in world.asked[1].history.pulses] == [1.0, 2.0]


async def test_a_closer_look_that_fails_costs_nothing_else(world, api):
    def fails(look):
        raise DatabaseAway("the connection is closed")

    world.reconciler = replace(world.reconciler, look_closer=fails)
    world.closer = (1,)
    world.advisor()
    for _ in range(4):
        await world.tick()
    assert api.condition("Ready")[:2] == ("True", "Recommending")


async def test_the_whole_advice_goes_to_the_store_and_status_says_where(world, api, shop):
    world.allow(shop.rule, store={"url": "http://store", "tokenFile": "token"})
    world.advisor()
    for _ in range(3):
        await world.tick()
    (kept,) = await world.store.find("shop", "DatabaseAdvisor", "shop")
    assert api.status["advice"]["report"] == f"/v1/reports/{kept.id}"
    assert api.condition("StoreAvailable")[:2] == ("True", "Reachable")
    world.store.away = True
    await world.tick(3_600)
    await world.tick()
    assert api.condition("StoreAvailable")[:2] == ("False", "Unreachable")
    assert api.condition("Ready")[:2] == ("True", "Recommending")
    assert "report" not in api.status["advice"]


async def test_a_blocker_is_told_of_at_once(world, api, shop, holding):
    shop.fill(10)
    world.advisor()
    await world.tick()
    with holding(shop, "LOCK orders IN ACCESS EXCLUSIVE MODE") as pid:
        waiting = asyncio.create_task(asyncio.to_thread(shop.run, "SELECT count(*) FROM orders"))
        async with asyncio.timeout(20):
            while "BlockerFound" not in world.reasons():
                await world.tick()  # a minute later each time
    await waiting
    (blocker,) = [it for patch in api.patches for it in patch.get("blockers") or ()][:1]
    assert (blocker["pid"], blocker["waiting"]) == (pid, 1)
    assert blocker["statement"] == "LOCK orders IN ACCESS EXCLUSIVE MODE"


async def test_one_that_is_not_the_leader_writes_nothing(world, api):
    world.leads = False
    world.advisor()
    await world.tick()
    assert api.patches == []
    assert world.events == []


async def test_one_that_is_gone_is_given_up(world, api):
    world.advisor()
    api.gone = True
    with pytest.raises(Gone):
        await world.tick()


async def test_metrics_tell_what_is_known_and_are_forgotten_with_it(world):
    world.advisor()
    for _ in range(3):
        await world.tick()
    value = world.telemetry.registry.get_sample_value
    labels = {"namespace": "shop", "name": "shop"}
    assert value("foretide_database_reachable", labels) == 1
    assert value("foretide_database_findings", {**labels, "kind": "indexes"}) == 1
    assert value("foretide_database_saving_ratio", labels) == pytest.approx(0.9)
    world.telemetry.forget_database("shop", "shop")
    assert value("foretide_database_reachable", labels) is None


async def test_a_fleet_lets_go_of_the_database_of_one_that_is_deleted(world, eventually):
    fleet = AdvisorFleet(world.watch)
    fleet.reconciler = world.reconciler
    spec = {"connection": {"secretRef": {"name": "shop"}}, "interval": "5s"}
    meta = {"uid": "u", "namespace": "shop", "name": "shop", "generation": 1}
    fleet.upsert({"metadata": meta, "spec": spec})
    await eventually(lambda: world.watches and world.watches[0]._database)
    fleet.remove("u")
    await eventually(lambda: not world.watches[0]._database)
    await fleet.stop()


def test_the_operators_own_environment_lets_nobody_in(monkeypatch):
    monkeypatch.setenv("PGPASSWORD", "the operator's own")
    monkeypatch.setenv("PGHOSTADDR", "127.0.0.1")
    forget_environment()
    assert not [name for name in os.environ if name.startswith("PG")]
