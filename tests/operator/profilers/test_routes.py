"""How a pod can be attached to, and the exact reason where it cannot."""

import pytest

from foretide.operator.profilers import routes
from foretide.operator.profilers.facts import User, read_pod
from foretide.operator.profilers.routes import Access, Attachment, Refusal

APP = {"securityContext": {"runAsUser": 1000, "runAsGroup": 1000}}


def choose(pod, container=None, *, allow_ptrace=False, users=None):
    return routes.choose(read_pod(pod, users), container, allow_ptrace=allow_ptrace)


def test_the_applications_own_user_and_no_capability_is_what_is_tried(make_pod):
    found = choose(make_pod(container=APP))
    assert found.accesses == (Access(User(1000, 1000), drop=("ALL",), add=()),)


def test_sys_ptrace_is_tried_last_and_only_where_it_is_allowed(make_pod):
    found = choose(make_pod(container=APP), allow_ptrace=True)
    assert [access.add for access in found.accesses] == [(), ("SYS_PTRACE",)]
    assert found.accesses[1].user == User(0, 0)


def test_beside_root_the_sampler_has_the_capabilities_that_root_has_there(make_pod):
    security = {"runAsUser": 0, "capabilities": {"drop": ["NET_RAW"]}}
    assert choose(make_pod(container={"securityContext": security})).accesses == (
        Access(User(0), drop=("NET_RAW",)),
    )


@pytest.mark.parametrize(
    ("security", "told"),
    [({"privileged": True}, "privileged"), ({"capabilities": {"add": ["NET_ADMIN"]}}, "NET_ADMIN")],
)
def test_root_with_more_capabilities_is_out_of_reach_without_sys_ptrace(make_pod, security, told):
    pod = make_pod(container={"securityContext": {"runAsUser": 0, **security}})
    refused = choose(pod)
    assert refused.reason == "MoreCapabilities"
    assert told in refused.message
    assert "SysPtrace" in refused.remedy
    assert [access.add for access in choose(pod, allow_ptrace=True).accesses] == [("SYS_PTRACE",)]


def test_where_nobody_knows_the_user_it_is_found_out_first(make_pod):
    found = choose(make_pod(), allow_ptrace=True)
    assert [access.is_probe for access in found.accesses] == [True]


def windows(pod):
    pod["spec"]["nodeSelector"] = {"kubernetes.io/os": "windows"}


def static(pod):
    pod["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "x"}


def host_pid(pod):
    pod["spec"]["hostPID"] = True


def ending(pod):
    pod["metadata"]["deletionTimestamp"] = "2026-03-01T00:00:00Z"


def pending(pod):
    pod["status"]["phase"] = "Pending"


def ended(pod):
    pod["status"]["phase"] = "Succeeded"


def crashed(pod):
    pod["status"]["containerStatuses"][0]["state"] = {"waiting": {"reason": "CrashLoopBackOff"}}


@pytest.mark.parametrize(
    ("change", "reason", "passing"),
    [
        (windows, "WindowsPod", False),
        (static, "StaticPod", False),
        (host_pid, "HostPid", False),
        (ended, "PodEnded", False),
        (ending, "PodEnding", True),
        (pending, "PodNotRunning", True),
        (crashed, "ContainerNotRunning", True),
    ],
)
def test_a_pod_that_cannot_be_attached_to_is_refused_with_its_reason(
    make_pod, change, reason, passing
):
    pod = make_pod(container=APP)
    change(pod)
    found = choose(pod)
    assert (found.reason, found.passing) == (reason, passing)


def test_a_container_that_is_not_there_is_told_with_those_that_are(make_pod):
    refused = choose(make_pod(container=APP), "api")
    assert refused.reason == "NoSuchContainer"
    assert "app" in refused.remedy


def test_an_init_container_is_told_apart_from_one_that_is_not_there(make_pod):
    pod = make_pod(container=APP, spec={"initContainers": [{"name": "migrate"}]})
    assert choose(pod, "migrate").reason == "InitContainer"


def test_a_new_pod_whose_user_nobody_knows_gets_no_sidecar(make_pod):
    found = routes.of_new_pod(read_pod(make_pod()), None, allow_ptrace=False)
    assert isinstance(found, Refusal)
    assert found.reason == "UserUnknown"
    known = read_pod(make_pod(), {"shop:1": "33:33"})
    assert isinstance(routes.of_new_pod(known, None, allow_ptrace=False), Attachment)


def with_ours(make_pod, *names):
    entries = [{"name": name, "targetContainerName": "app"} for name in names]
    return read_pod(make_pod(container=APP, spec={"ephemeralContainers": entries}))


def test_names_of_ended_containers_are_not_taken_again(make_pod):
    assert routes.fresh_name(with_ours(make_pod)) == "foretide-profiler-1"
    pod = with_ours(make_pod, "foretide-profiler-1", "foretide-profiler-2")
    assert routes.fresh_name(pod) == "foretide-profiler-3"


def test_what_failed_without_a_capability_is_tried_with_it_where_allowed(make_pod):
    pod = make_pod(container=APP)
    allowed = choose(pod, allow_ptrace=True)
    assert routes.after_failure(read_pod(pod), allowed, ()).add == ("SYS_PTRACE",)
    assert routes.after_failure(read_pod(pod), allowed, ("SYS_PTRACE",)) is None
    assert routes.after_failure(read_pod(pod), choose(pod), ()) is None


def test_no_more_entries_are_made_than_a_pod_should_carry(make_pod):
    allowed = choose(make_pod(container=APP), allow_ptrace=True)
    pod = with_ours(make_pod, *(f"foretide-profiler-{n}" for n in range(routes.MOST_ENTRIES)))
    assert routes.after_failure(pod, allowed, ()) is None
