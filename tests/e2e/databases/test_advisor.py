"""A DatabaseAdvisor from nothing to advice, and through what goes wrong, on a real API server."""

import json

import pytest


def test_from_a_refusal_to_advice_and_through_an_outage(operator, namespace, shop, wait_for):
    shop.open()
    shop.advisor()
    shop.await_ready("False", "SecretMissing")
    shop.keep_secret()
    shop.await_ready("False", "HostNotAllowed")
    assert shop.sessions() == 0
    operator.configure(databases={"allowed": [shop.rule]})
    shop.await_ready("True", "Recommending")
    status = shop.status()
    (index,) = [it for it in status["indexes"] if it["table"] == "public.orders"]
    assert "customer" in index["statements"][1]
    assert index["verified"]
    assert float(index["savedPercent"]) > 50
    assert status["database"] == "shop"
    namespace.await_event("IndexAdvised")

    # The database lets nobody in any more, and then does so again.
    shop.run(
        "ALTER DATABASE shop ALLOW_CONNECTIONS false",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'shop'",
        database="postgres",
    )
    shop.await_ready("False", "DatabaseAway")
    assert shop.status()["indexes"] == status["indexes"]
    shop.run("ALTER DATABASE shop ALLOW_CONNECTIONS true", database="postgres")
    shop.await_ready("True", "Recommending")

    everything = namespace.kubectl("get", "dbadv,events", "-o", "json") + operator.log.read_text()
    assert shop.password not in everything
    assert json.loads(namespace.kubectl("get", "dbadv", "-o", "json"))["items"]
    namespace.kubectl("delete", "dbadv", "shop")
    wait_for(lambda: shop.sessions() == 0)


def test_in_mode_apply_an_index_is_created_watched_and_kept(make_operator, shop, wait_for):
    shop.open()
    shop.keep_secret()
    operator = make_operator()
    operator.configure(databases={"allowed": [shop.rule]})
    operator.start()
    shop.advisor(mode="Apply", maintenanceWindows=[{"start": "00:00", "duration": "1d"}])

    def states():
        return [index["state"] for index in shop.status().get("applied", [])]

    wait_for(lambda: states() == ["Verifying"], within=90, what=lambda: str(shop.status()))

    def kept():
        shop.look_up(20)  # it is judged by how long these take
        return states() == ["Kept"]

    wait_for(kept, within=90, what=lambda: str(shop.status()))
    asked = "SELECT indexdef FROM pg_indexes WHERE tablename = 'orders' AND indexdef ~ 'customer'"
    assert len(shop.run(asked)[0]) == 1
    shop.namespace.await_event("IndexKept")
    assert "Traceback" not in operator.log.read_text()


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"mode": "Apply"}, "mode Apply needs maintenanceWindows"),
        ({"storageBudget": "0"}, "must be a quantity greater than 0"),
        ({"connection": {"secretRef": {"name": "../x"}}}, "secretRef.name"),
        ({"interval": "soon"}, "interval"),
    ],
)
def test_admission_refuses(spec, said, shop, refused):
    with pytest.raises(refused, match=said):
        shop.advisor(**spec)
