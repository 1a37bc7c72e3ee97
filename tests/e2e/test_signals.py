"""Events, growth and what is learned of pods, with real pods and a real Prometheus."""

import datetime
import json


def test_an_event_that_is_near_adds_replicas_ahead_of_it(namespace, operator, demand):
    namespace.deployment("shop", 2)
    demand.set(35)
    start = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=100)
    sale = {
        "name": "sale",
        "start": start.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "duration": "1h",
        "multiplier": 3,
    }
    namespace.scaler("shop", demand.query, events=[sale], maxReplicas=40)
    namespace.await_replicas("shop", 15)  # 35 ÷ 10 at 70 %, three times
    namespace.await_condition("shop", "EventsKnown", "True", "Known")
    assert namespace.status("shop")["decision"]["source"] == "Event"


def test_an_event_by_annotation_is_seen(namespace, operator, demand):
    namespace.deployment("shop", 2)
    demand.set(7)
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%MZ")
    namespace.kubectl(
        *("annotate", "deployment", "shop"),
        f"foretide.dev/event.release-42=start={now},duration=1h,minReplicas=6",
    )
    namespace.scaler("shop", demand.query)
    namespace.await_replicas("shop", 6)


def test_the_lead_time_is_learned_from_real_pods(namespace, operator, demand, wait_for):
    namespace.deployment("shop", 1)
    demand.set(7)
    namespace.scaler("shop", demand.query)
    status = wait_for(
        lambda: (
            (status := namespace.status("shop").get("leadTime"))
            and status["samples"] >= 1
            and status
        ),
        what=lambda: json.dumps(namespace.status("shop"), indent=1),
    )
    assert status["source"] == "Declared"  # one start says nothing of the next
    assert status["p90"] <= 60


def test_a_backlog_is_drained_in_time(namespace, operator, demand):
    namespace.deployment("shop", 1)
    demand.set(42)
    backlog = {"type": "Backlog", "query": demand.query, "drainWithin": "1s", "perReplica": 10}
    namespace.scaler("shop", demand.query, metric=backlog)
    namespace.await_replicas("shop", 6)  # 42 a second ÷ 10 at 70 %


def test_signals_can_be_switched_off(namespace, operator, demand):
    namespace.deployment("shop", 2)
    demand.set(35)
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%MZ")
    sale = {"name": "sale", "start": now, "duration": "1h", "minReplicas": 20}
    namespace.scaler(
        "shop", demand.query, events=[sale], signals={"events": False, "timeSeries": False}
    )
    namespace.await_replicas("shop", 5)
    operator.await_ticks(4)
    assert namespace.replicas("shop") == 5
    assert namespace.condition("shop", "EventsKnown") == (None, None)
