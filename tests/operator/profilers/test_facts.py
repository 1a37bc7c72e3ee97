"""What is read from a pod: as whom its containers run, which are ours, and what kind it is."""

import pytest

from foretide.operator.profilers.facts import User, read_pod


def user_of(pod, users=None):
    return read_pod(pod, users).containers[0].user


def test_the_container_says_as_whom_it_runs_before_its_pod_does(make_pod):
    pod = make_pod(
        container={"securityContext": {"runAsUser": 1000}},
        spec={"securityContext": {"runAsUser": 5, "runAsGroup": 7}},
    )
    assert user_of(pod) == User(1000, 7)


def test_root_is_a_user_too(make_pod):
    assert user_of(make_pod(container={"securityContext": {"runAsUser": 0}})) == User(0)


def test_what_the_runtime_reports_is_taken_where_the_spec_says_nothing(make_pod):
    pod = make_pod(user={"linux": {"uid": 33, "gid": 34, "supplementalGroups": [34]}})
    assert user_of(pod) == User(33, 34)


def test_an_image_whose_user_was_seen_elsewhere_is_known(make_pod):
    assert user_of(make_pod(), {"shop:1": "65532:65532"}) == User(65532, 65532)
    assert user_of(make_pod(), {"shop:2": "65532:65532"}) is None


@pytest.mark.parametrize("user", [User(1), User(1, 2)])
def test_a_user_is_written_and_read_alike(user):
    assert User.parse(str(user)) == user


def test_our_own_containers_are_not_the_application(make_pod):
    pod = read_pod(
        make_pod(
            spec={
                "ephemeralContainers": [
                    {"name": "foretide-profiler-1", "targetContainerName": "app"},
                    {"name": "debugger-x", "targetContainerName": "app"},
                ],
                "initContainers": [{"name": "foretide-profiler-sidecar"}],
            },
            status={
                "ephemeralContainerStatuses": [
                    {
                        "name": "foretide-profiler-1",
                        "state": {"terminated": {"reason": "Error", "message": "no such file"}},
                    }
                ]
            },
        )
    )
    assert [(it.name, it.sidecar, it.ended) for it in pod.ours] == [
        ("foretide-profiler-1", False, "Error: no such file"),
        ("foretide-profiler-sidecar", True, ""),
    ]
    assert pod.reusable("app") is None
    assert pod.sidecar is not None


def test_a_container_that_has_not_ended_is_used_again_for_the_same_target_only(make_pod):
    pod = read_pod(
        make_pod(
            spec={
                "ephemeralContainers": [
                    {"name": "foretide-profiler-1", "targetContainerName": "app"}
                ]
            }
        )
    )
    assert pod.reusable("app").name == "foretide-profiler-1"
    assert pod.reusable("other") is None
    assert pod.reusable("app", ("SYS_PTRACE",)) is None


def test_the_container_is_the_one_that_kubectl_takes(make_pod):
    pod = make_pod(spec={"containers": [{"name": "proxy"}, {"name": "app"}]})
    assert read_pod(pod).container(None).name == "proxy"
    pod["metadata"]["annotations"] = {"kubectl.kubernetes.io/default-container": "app"}
    assert read_pod(pod).container(None).name == "app"
    assert read_pod(pod).container("proxy").name == "proxy"


LIMITS = {"cpu": "1", "memory": "1Gi"}


@pytest.mark.parametrize(
    ("resources", "guaranteed"),
    [
        ({}, False),
        ({"limits": LIMITS}, True),
        ({"limits": LIMITS, "requests": LIMITS}, True),
        ({"limits": LIMITS, "requests": {"cpu": "500m"}}, False),
        ({"limits": {"cpu": "1"}}, False),
    ],
)
def test_the_class_guaranteed_is_told_from_the_resources(make_pod, resources, guaranteed):
    assert read_pod(make_pod(container={"resources": resources})).guaranteed is guaranteed
