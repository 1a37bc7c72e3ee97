"""Operators, API servers and owners that come and go."""

import os
import signal


def test_an_operator_killed_in_the_middle_goes_on_where_it_was(
    namespace, make_operator, demand, wait_for
):
    namespace.deployment("shop", 2)
    demand.set(70)
    # The window keeps 10 replicas although demand has gone; a restart must not forget that.
    behavior = {
        "scaleUp": {"policies": [{"type": "Pods", "value": 40, "periodSeconds": 1}]},
        "scaleDown": {"stabilizationWindowSeconds": 3600},
    }
    operator = make_operator().start()
    namespace.scaler("shop", demand.query, behavior=behavior)
    namespace.await_replicas("shop", 10)
    wait_for(lambda: namespace.status("shop").get("changes"))
    operator.kill()
    demand.set(21)
    with namespace.history("shop") as record:
        operator.start()
        operator.await_ticks(4)
        assert [c["after"] for c in namespace.status("shop")["changes"]] == [10]
        demand.set(140)
        namespace.await_replicas("shop", 20)
    assert min(record.seen) == 10
    assert "Traceback" not in operator.log.read_text()


def test_a_killed_operator_leaves_no_worker_behind(namespace, make_operator, wait_for):
    namespace.deployment("shop", 2)
    operator = make_operator().start()
    namespace.scaler("shop", 'sum(demand_rps{app="rising"})')
    workers = wait_for(lambda: children(operator.process.pid))
    operator.kill()
    wait_for(lambda: not any(alive(pid) for pid in workers))


def test_sigterm_ends_the_operator_within_its_grace_period(namespace, make_operator, wait_for):
    namespace.deployment("shop", 2)
    operator = make_operator(elect=True).start()
    namespace.scaler("shop", 'sum(demand_rps{app="rising"})')
    workers = wait_for(lambda: children(operator.process.pid))  # in the middle of a fit
    status, seconds = operator.stop()
    assert status == 0
    assert seconds < 10
    wait_for(lambda: not any(alive(pid) for pid in workers))


def test_of_two_operators_one_leads_and_the_other_takes_over(
    namespace, make_operator, demand, wait_for
):
    namespace.deployment("shop", 2)
    demand.set(70)
    first = make_operator(elect=True).start()
    wait_for(lambda: first.metric("foretide_leader") == 1)
    second = make_operator(elect=True).start()
    namespace.scaler("shop", demand.query)
    namespace.await_replicas("shop", 10)
    assert second.metric("foretide_leader") == 0
    assert second.metric("foretide_tick_seconds_count") == 0
    leader = holder(namespace)
    assert leader
    first.stop()
    assert holder(namespace) != leader  # a clean stop gives the lease back: it need not run out
    wait_for(lambda: second.metric("foretide_leader") == 1)
    demand.set(140)
    namespace.await_replicas("shop", 20)


def test_a_leader_that_was_frozen_writes_no_more(namespace, make_operator, demand, wait_for):
    """The classic of two writers: a paused process that wakes up and believes that it leads."""
    namespace.deployment("shop", 2)
    demand.set(21)
    first = make_operator(elect=True).start()
    wait_for(lambda: first.metric("foretide_leader") == 1)
    second = make_operator(elect=True).start()
    namespace.scaler("shop", demand.query)
    namespace.await_replicas("shop", 3)
    first.process.send_signal(signal.SIGSTOP)
    try:
        wait_for(lambda: second.metric("foretide_leader") == 1, within=90)
    finally:
        first.process.send_signal(signal.SIGCONT)
    wait_for(lambda: first.process.poll() is not None)
    assert first.process.returncode == 3
    demand.set(70)
    namespace.await_replicas("shop", 10)


def test_the_api_server_restarted(namespace, operator, demand, sandbox, wait_for):
    namespace.deployment("shop", 2)
    demand.set(70)
    namespace.scaler("shop", demand.query)
    namespace.await_replicas("shop", 10)
    sandbox.component("kube-apiserver").kill()
    operator.await_ticks(3)  # the operator goes on, and does no harm
    sandbox.component("kube-apiserver").start()
    demand.set(140)
    namespace.await_replicas("shop", 20, within=120)
    # The watch must be back as well, or new specs would never be seen.
    namespace.scaler("shop", demand.query, maxReplicas=15)
    namespace.await_replicas("shop", 15, within=120)
    # Kubernetes' own controllers have to come back, too: the next test needs them.
    wait_for(lambda: namespace.ready("shop") == 15, within=120)


def test_an_hpa_that_appears_on_the_target_takes_it_over(namespace, operator, demand):
    namespace.deployment("shop", 2)
    demand.set(70)
    namespace.scaler("shop", demand.query)
    namespace.await_replicas("shop", 10)
    hpa = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "rival"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"},
            "minReplicas": 1,
            "maxReplicas": 40,
        },
    }
    namespace.apply(hpa)
    namespace.await_condition("shop", "Conflict", "True", "OtherOwner")
    namespace.await_condition("shop", "ScalingActive", "False", "Conflict")
    demand.set(140)
    operator.await_ticks(4)
    assert namespace.replicas("shop") == 10
    assert "HorizontalPodAutoscaler rival" in str(namespace.status("shop")["conditions"])
    namespace.scaler("shop", demand.query, mode="Recommend")
    namespace.await_condition("shop", "Ready", "True", "Recommending")
    namespace.await_condition("shop", "Conflict", "False", "OwnerBeside")
    namespace.scaler("shop", demand.query)
    namespace.kubectl("delete", "hpa", "rival")
    namespace.await_condition("shop", "Conflict", "False", "SoleOwner")
    namespace.await_replicas("shop", 20)


def test_of_two_scalers_on_one_target_the_older_keeps_it(namespace, operator, demand):
    namespace.deployment("shop", 2)
    demand.set(70)
    namespace.scaler("shop", demand.query)
    namespace.await_replicas("shop", 10)
    namespace.scaler("shop", demand.query, name="younger", maxReplicas=3)
    namespace.await_condition("younger", "Conflict", "True", "OtherOwner")
    namespace.await_condition("younger", "Ready", "False", "Conflict")
    operator.await_ticks(4)
    assert namespace.condition("shop", "Conflict") == ("False", "SoleOwner")
    assert namespace.replicas("shop") == 10


def holder(namespace):
    """Who has the operators' lease."""
    return namespace.get("lease", "foretide-operator")["spec"]["holderIdentity"]


def children(pid):
    """Process ids of a process' workers; its other children, and what is not yet one, left out."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as stat, open(f"/proc/{entry}/cmdline") as line:
                    parent = int(stat.read().rpartition(")")[2].split()[1])
                    if parent == pid and "spawn_main" in line.read():
                        found.append(int(entry))
            except OSError:
                continue
    return found


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
