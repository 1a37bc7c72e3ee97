"""What is done about each pod: whom to attach to, what is under way, and when a run is done."""

import pytest

from foretide.operator.api.profiler import ProfilerSpec
from foretide.operator.profilers import routes
from foretide.operator.profilers.facts import User, read_pod
from foretide.operator.profilers.plan import Attach, Returned, Reuse, State, Turn, plan
from foretide.operator.profilers.routes import Refusal
from foretide.profiling.events import Event, Kind

APP = {"securityContext": {"runAsUser": 1000, "runAsGroup": 1000}}
OURS = "foretide-profiler-1"
AS_THE_APP = {"runAsUser": 1000, "runAsGroup": 1000}


def spec_of(**fields):
    return ProfilerSpec.model_validate({"selector": {"matchLabels": {"app": "shop"}}, **fields})


def once(given, returned=None, *, run="r1", users=None, **spec):
    facts = [read_pod(pod, users) for pod in given]
    return plan(facts, returned or {}, spec_of(**spec), run=run, now=1_000.0)


def continuous(given, returned=None, *, now=1_000.0, **spec):
    return plan(
        [read_pod(pod) for pod in given],
        returned or {},
        spec_of(mode="Continuous", **spec),
        run="r1",
        now=now,
    )


@pytest.fixture
def attached(make_pod):
    """A pod with our ephemeral container, in a state."""

    def make(state, name="shop-1", *, args=("--run=r1",), security=AS_THE_APP, container=APP):
        ours = {
            "name": OURS,
            "targetContainerName": "app",
            "args": list(args),
            "securityContext": security,
        }
        return make_pod(
            name,
            container=container,
            spec={"ephemeralContainers": [ours]},
            status={"ephemeralContainerStatuses": [{"name": OURS, "state": state}]},
        )

    return make


def said(kind, *, run="r1", **fields):
    return {"uid-shop-1": Returned(events={OURS: (Event(kind, 1.0, run, **fields),)})}


RUNNING = {"running": {}}


def test_as_many_pods_are_attached_to_as_asked_for(make_pod):
    plans = once([make_pod(f"shop-{n}", container=APP) for n in range(7)], pods=2)
    assert [it.state for it in plans] == [State.STARTING, State.STARTING]
    assert all(isinstance(it.action, Attach) for it in plans)


def test_pods_that_serve_come_first(make_pod):
    pods = [make_pod(f"shop-{n}", container=APP) for n in range(5)]
    for pod in pods[:4]:
        pod["status"]["conditions"] = []
    assert [it.pod.name for it in once(pods, pods=1)] == ["shop-4"]


def test_a_pod_that_goes_is_not_begun_with(make_pod):
    assert once([make_pod(container=APP, meta={"deletionTimestamp": "x", "name": "a"})]) == ()


@pytest.mark.parametrize(
    ("state", "expected", "reason"),
    [
        ({}, State.STARTING, "ContainerStarting"),
        ({"waiting": {"reason": "ImagePullBackOff"}}, State.STARTING, "ContainerStarting"),
        (RUNNING, State.PROFILING, ""),
        ({"terminated": {"reason": "OOMKilled"}}, State.FAILED, "SamplerEnded"),
    ],
)
def test_how_it_stands_is_told_from_the_container(attached, state, expected, reason):
    (found,) = once([attached(state)], pods=1)
    assert (found.state, found.reason, found.action) == (expected, reason, None)


def test_why_a_container_waits_is_told(attached):
    (found,) = once([attached({"waiting": {"reason": "ErrImagePull", "message": "no such"}})])
    assert found.message == "ErrImagePull: no such"


def test_a_pod_that_has_said_so_is_done_and_no_other_takes_its_place(attached, make_pod):
    pods = [attached(RUNNING), make_pod("shop-2", container=APP)]
    (found,) = once(pods, said(Kind.DONE), pods=1)
    assert (found.pod.name, found.state) == ("shop-1", State.DONE)


def test_the_container_that_waits_for_orders_is_used_again_by_the_next_run(attached):
    (found,) = once([attached(RUNNING)], said(Kind.DONE), run="r2")
    assert found.action == Reuse(OURS)


def test_one_that_is_at_work_for_another_is_waited_for(attached):
    (found,) = once([attached(RUNNING)], said(Kind.BEGAN), run="r2")
    assert (found.state, found.reason, found.action) == (State.WAITING, "SamplerBusy", None)


def test_a_run_whose_container_was_given_another_order_has_failed(attached):
    events = (Event(Kind.BEGAN, 1.0, "r1"), Event(Kind.BEGAN, 2.0, "r2"))
    (found,) = once([attached(RUNNING)], {"uid-shop-1": Returned(events={OURS: events})})
    assert (found.state, found.reason) == (State.FAILED, "Interrupted")


def test_a_pod_that_was_measured_and_has_gone_is_not_replaced(make_pod):
    gone = {"uid-old": Returned(measured=True)}
    assert once([make_pod(container=APP)], gone, pods=1) == ()
    assert len(once([make_pod(container=APP)], {"uid-old": Returned()}, pods=1)) == 1


def test_one_that_takes_no_order_is_left_to_end_and_another_is_added(attached):
    deaf = {"uid-shop-1": Returned(deaf=frozenset({OURS}))}
    (found,) = once([attached(RUNNING)], deaf, run="r2")
    assert isinstance(found.action, Attach)


def test_what_was_ordered_is_under_way_until_it_is_done(attached):
    returned = {"uid-shop-1": Returned(ordered=OURS)}
    (found,) = once([attached(RUNNING)], returned, run="r2")
    assert (found.state, found.action) == (State.PROFILING, None)
    (found,) = once([attached(RUNNING)], said(Kind.BEGAN, run="r2"), run="r2")
    assert (found.state, found.action) == (State.PROFILING, None)


@pytest.mark.parametrize("state", [{"terminated": {"reason": "Completed"}}, {}])
def test_a_container_that_has_ended_or_not_begun_takes_no_order(attached, state):
    (found,) = once([attached(state)], said(Kind.DONE), run="r2")
    assert isinstance(found.action, Attach)


def test_a_container_of_another_user_takes_no_order(attached):
    other = {"runAsUser": 5}
    (found,) = once([attached(RUNNING, security=other)], said(Kind.DONE), run="r2")
    assert isinstance(found.action, Attach)


def test_an_unknown_user_is_found_out_first(make_pod):
    (found,) = once([make_pod()])
    assert found.reason == "FindingUser"
    assert found.action.accesses[0].is_probe


def test_while_it_is_being_found_out_nothing_else_is_begun(attached):
    (found,) = once([attached(RUNNING, args=["--probe"], container={})])
    assert (found.state, found.reason, found.action) == (State.STARTING, "FindingUser", None)


def test_once_found_out_the_sampler_comes_as_that_user(attached):
    pod = attached({"terminated": {"reason": "Completed"}}, args=["--probe"], container={})
    returned = {"uid-shop-1": Returned(events={OURS: (Event(Kind.USER, 1.0, uid=33, gid=33),)})}
    (found,) = once([pod], returned, users={"shop:1": "33:33"})
    assert found.action.accesses[0].user == User(33, 33)


def test_that_it_could_not_be_found_out_is_told_with_what_to_do(attached):
    pod = attached({"terminated": {"reason": "Error"}}, args=["--probe"], container={})
    (found,) = once([pod])
    assert (found.state, found.reason) == (State.FAILED, "UserUnknown")
    assert "runAsUser" in found.message


def test_what_the_sampler_was_refused_is_tried_with_the_capability_where_it_may(attached):
    returned = said(Kind.REFUSED, reason="Yama", message="ptrace_scope is 1")
    (found,) = once([attached(RUNNING)], returned)
    assert (found.state, found.reason) == (State.REFUSED, "Yama")
    (found,) = once([attached(RUNNING)], returned, capability="SysPtrace")
    assert [access.add for access in found.action.accesses] == [("SYS_PTRACE",)]


def test_what_admission_refused_is_told_and_not_asked_again(make_pod):
    refusal = Refusal("PolicyForbids", "pods are forbidden", "do this")
    (found,) = once([make_pod(container=APP)], {"uid-shop-1": Returned(refusal=refusal)})
    assert (found.state, found.message) == (State.REFUSED, "pods are forbidden. do this")
    passing = Refusal("ApiUnreachable", "no answer", passing=True)
    (found,) = once([make_pod(container=APP)], {"uid-shop-1": Returned(refusal=passing)})
    assert isinstance(found.action, Attach)


def test_after_some_refusals_no_more_pods_are_tried(make_pod):
    pods = [make_pod(f"shop-{n}", spec={"hostPID": True}) for n in range(30)]
    assert len(once(pods, pods=10)) == 5


def test_a_pod_carries_no_more_of_our_containers_than_it_should(make_pod):
    entries = [
        {"name": f"foretide-profiler-{n}", "targetContainerName": "app"}
        for n in range(routes.MOST_ENTRIES)
    ]
    states = [{"name": it["name"], "state": {"terminated": {}}} for it in entries]
    pod = make_pod(
        container=APP,
        spec={"ephemeralContainers": entries},
        status={"ephemeralContainerStatuses": states},
    )
    assert once([pod])[0].reason == "TooManyContainers"


@pytest.fixture
def carrying(make_pod):
    """A pod with our sidecar, and with a turn in its annotation."""

    def make(name="shop-1", state=RUNNING, turn=None):
        annotations = {} if turn is None else {"foretide.dev/profiling-until": turn}
        return make_pod(
            name,
            container=APP,
            spec={"initContainers": [{"name": "foretide-profiler-sidecar"}]},
            status={
                "initContainerStatuses": [{"name": "foretide-profiler-sidecar", "state": state}]
            },
            meta={"annotations": annotations},
        )

    return make


def test_k_of_n_sidecars_have_their_turn_and_the_others_wait(carrying):
    plans = continuous([carrying(f"shop-{n}") for n in range(6)], pods=2)
    acting = [it for it in plans if it.action]
    assert [it.state for it in plans].count(State.PROFILING) == len(acting) == 2
    # Turns of ten minutes; the container's id is not known before the pod runs.
    assert {it.action for it in acting} == {Turn("1200 0123")}


def test_another_turn_comes_to_other_pods(carrying):
    pods = [carrying(f"shop-{n}") for n in range(6)]

    def chosen(now):
        return {it.pod.name for it in continuous(pods, pods=1, now=now) if it.action}

    assert len(set.union(*(chosen(600.0 * turn) for turn in range(30)))) == 6


def test_nothing_is_written_where_nothing_changes(carrying):
    assert continuous([carrying(turn="1200 0123")])[0].action is None


def test_suspending_ends_the_turn(carrying):
    (found,) = continuous([carrying(turn="1200 0123")], suspend=True)
    assert (found.state, found.action) == (State.IDLE, Turn(""))


def test_a_pod_from_before_is_left_as_it_is_and_says_so(make_pod):
    (found,) = continuous([make_pod(container=APP)])
    assert (found.state, found.reason, found.action) == (State.WAITING, "CreatedBefore", None)
    assert "allowRollout" in found.message


def test_a_pod_that_could_get_none_says_why(make_pod):
    (found,) = continuous([make_pod()])
    assert (found.state, found.reason) == (State.REFUSED, "UserUnknown")


def test_what_a_sidecar_was_refused_is_told(carrying):
    event = Event(Kind.REFUSED, 1.0, "r1", "Yama", "ptrace_scope is 1")
    returned = {"uid-shop-1": Returned(events={"foretide-profiler-sidecar": (event,)})}
    (found,) = continuous([carrying()], returned)
    assert (found.state, found.reason) == (State.REFUSED, "Yama")
