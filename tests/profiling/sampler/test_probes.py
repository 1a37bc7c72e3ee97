"""What keeps a sampler out of a process, told exactly; facts by hand, and of real processes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from foretide.profiling.sampler import probes
from foretide.profiling.sampler.probes import Facts, Identity, explain

ONE = Identity((1000, 1000, 1000), (1000, 1000, 1000))
OTHER = Identity((65534, 65534, 65534), (65534, 65534, 65534))
DENIED = {"own": ONE, "target": ONE, "can_ptrace": False, "denied": "Permission denied"}


@pytest.mark.parametrize(
    ("facts", "reason", "said"),
    [
        ({"exists": False}, "NoProcess", "7"),
        ({"main_ended": True}, "MainThreadEnded", "join"),
        ({"is_self": True}, "Itself", "another"),
        ({"halted": True}, "Stopped", "kill -CONT 7"),
        ({"pyspy": "py-spy is missing"}, "NoPySpy", "missing"),
        ({"ptrace_allowed": False}, "SeccompForbidsPtrace", "RuntimeDefault"),
        ({"tracer": 12}, "AlreadyTraced", "12"),
        ({**DENIED, "target": OTHER}, "OtherUser", "UID 65534"),
        ({**DENIED, "target": Identity(ONE.uids, OTHER.gids)}, "OtherGroup", "GID 65534"),
        (
            {**DENIED, "target": Identity(ONE.uids, ONE.gids, 1 << 10)},
            "TargetHasMoreCapabilities",
            "0x400",
        ),
        ({**DENIED, "dumpable": False}, "NotDumpable", "runAsUser"),
        ({**DENIED, "yama": 1}, "YamaDescendantsOnly", "PR_SET_PTRACER_ANY"),
        ({**DENIED, "yama": 1, "is_descendant": True}, "AccessDenied", "AppArmor"),
        ({**DENIED, "yama": 2}, "YamaAdminOnly", "SYS_PTRACE"),
        ({**DENIED, "yama": 3, "can_ptrace": True}, "YamaNever", "Restart"),
        ({"is_python": False}, "NotPython", "7"),
        ({"bits": 32}, "NotSupported32Bit", "64-bit"),
        ({"version": "3.13", "free_threaded": True}, "FreeThreaded", "3.13"),
        ({"version": "3.99"}, "PythonVersion", "3.99"),
    ],
)
def test_reason_and_remedy(facts, reason, said):
    refusal = explain(Facts(7, **facts))
    assert refusal.reason == reason
    assert said in str(refusal)


@pytest.mark.parametrize("version", ["", "2.7", "3.8", "3.13"])
def test_nothing_in_the_way(version):
    assert explain(Facts(7, version=version)) is None


def test_own_child_can_be_sampled(run):
    program = run("import time; print('ready', flush=True); time.sleep(60)")
    assert probes.can_attach(program.pid) is None
    facts = probes.look(program.pid)
    assert facts.version == f"3.{sys.version_info.minor}"
    assert facts.is_python
    assert not facts.free_threaded


def test_a_process_that_a_signal_has_stopped_is_told_so(run):
    program = run("import time; print('ready', flush=True); time.sleep(60)")
    program.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, program.pid, os.WSTOPPED | os.WNOWAIT)
    assert probes.can_attach(program.pid).reason == "Stopped"


def test_the_sampler_does_not_sample_itself():
    assert probes.can_attach(os.getpid()).reason == "Itself"


def test_a_process_whose_first_thread_has_ended_is_there_and_told_so(run):
    program = run(
        """
        import ctypes, threading, time
        threading.Thread(target=time.sleep, args=(60,)).start()
        print("ready", flush=True)
        ctypes.CDLL(None).syscall(60 if __import__("platform").machine() == "x86_64" else 93, 0)
        """
    )
    while probes.procfs.parse_stat(probes.procfs.read(f"/proc/{program.pid}/stat")).state != "Z":
        pass
    assert probes.can_attach(program.pid).reason == "MainThreadEnded"


def test_what_is_no_python_is_told():
    process = subprocess.Popen(["sleep", "60"])
    try:
        assert probes.can_attach(process.pid).reason == "NotPython"
    finally:
        process.kill()
        process.wait()
    assert probes.can_attach(process.pid).reason == "NoProcess"


KTHREADD = Path("/proc/2")  # of a machine; a container with PIDs of its own shows none


@pytest.mark.skipif(
    not KTHREADD.exists() or b"VmSize" in (KTHREADD / "status").read_bytes(),
    reason="no thread of the kernel is to be seen here",
)
def test_a_thread_of_the_kernel_is_no_python():
    """It has no memory that could be looked into: no security module is to be blamed for that."""
    assert probes.can_attach(2).reason == "NotPython"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become two other users")
@pytest.mark.parametrize(
    ("uid", "reason"), [(65534, None), (65533, "OtherUser")], ids=["same user", "other user"]
)
def test_without_capabilities_the_user_decides(uid, reason):
    target = subprocess.Popen(
        ["/usr/bin/env", "sleep", "60"], user=65534, group=65534, extra_groups=[]
    )
    try:
        facts = as_user(uid, lambda: probes.look(target.pid))
        refusal = explain(Facts(**{**facts, "is_python": True, "pyspy": ""}))
        assert (refusal and refusal.reason) == reason
    finally:
        target.kill()
        target.wait()


def as_user(uid, action):
    """The fields of what `action` returns in a child without root's powers."""
    import dataclasses
    import pickle

    inward, outward = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(uid, uid, uid)
            facts = action()
            fields = {f.name: getattr(facts, f.name) for f in dataclasses.fields(facts)}
            os.write(outward, pickle.dumps(fields))
        finally:
            os._exit(0)
    os.close(outward)
    with os.fdopen(inward, "rb") as file:
        data = file.read()
    os.waitpid(pid, 0)
    return pickle.loads(data)
