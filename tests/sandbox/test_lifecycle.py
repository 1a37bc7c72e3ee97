"""A sandbox leaves nothing behind: after `down`, after Ctrl-C, after its caller or supervisor died.

Covered with real processes. Left out: a reboot, of which the pid's identity (test_process) is all
that a test can show.
"""

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sandbox import Sandbox, SandboxError, SandboxSpec
from sandbox.layout import read_state

pytestmark = pytest.mark.sandbox

REPOSITORY = Path(__file__).parents[2]

# The API alone: enough processes to leave behind, ready in about three seconds.
CALLER = """
import sys, time
from pathlib import Path
from sandbox import Sandbox, SandboxSpec
spec = SandboxSpec(directory=Path(sys.argv[1]), controller_manager=False, scheduler=False,
                   kwok=False, prometheus=False)
with Sandbox(spec) as sandbox:
    print("up", flush=True)
    time.sleep(600)
"""


def small(directory=None):
    return SandboxSpec(
        directory=directory,
        controller_manager=False,
        scheduler=False,
        kwok=False,
        prometheus=False,
    )


def start_caller(directory):
    caller = subprocess.Popen(
        [sys.executable, "-c", CALLER, str(directory)], cwd=REPOSITORY, stdout=subprocess.PIPE
    )
    assert caller.stdout.readline() == b"up\n"
    return caller


def command(environment, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "sandbox", *arguments],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_up_status_down_on_the_command_line(child_environment, processes, all_gone):
    up = command(child_environment, "up", "--trace", "alibaba2018", "--name", "cli")
    assert up.returncode == 0, up.stderr
    assert "export KUBECONFIG=" in up.stdout
    status = command(child_environment, "status", "--json", "--name", "cli")
    state = json.loads(status.stdout)
    recorded = processes(state)
    try:
        assert {c["name"]: c["state"] for c in state["components"]}["prometheus"] == "ready"
        again = command(child_environment, "up", "--name", "cli")
        assert again.returncode == 0
        assert "is up already" in again.stdout
        version = command(child_environment, "kubectl", "--name", "cli", "--", "version")
        assert "Server Version: v1.35." in version.stdout
    finally:
        down = command(child_environment, "down", "--name", "cli")
    assert down.returncode == 0, down.stderr
    all_gone(recorded)
    assert not Path(state["directory"]).exists()
    assert command(child_environment, "down", "--name", "cli").returncode == 0
    assert command(child_environment, "status", "--name", "cli").returncode == 3


def test_two_sandboxes_run_side_by_side(sandbox):
    with Sandbox(small()) as second:
        assert second.api_url != sandbox.api_url
        assert "kube-system" in second.kubectl("get", "namespaces")
        assert "node-0" not in second.kubectl("get", "nodes")
        assert "node-0" in sandbox.kubectl("get", "nodes")
        directory = second.directory
    assert not directory.exists()


def test_a_killed_caller_takes_its_sandbox_along(tmp_path, processes, all_gone):
    caller = start_caller(tmp_path)
    recorded = processes(read_state(tmp_path))
    caller.kill()
    caller.wait()
    all_gone(recorded)


def test_ctrl_c_takes_the_sandbox_down(tmp_path, processes, all_gone):
    caller = start_caller(tmp_path)
    recorded = processes(read_state(tmp_path))
    caller.send_signal(signal.SIGINT)
    assert caller.wait(60) != 0
    all_gone(recorded, timeout=0.1)
    assert not (tmp_path / "state.json").exists()


def test_ctrl_c_during_the_start_leaves_nothing(child_environment, eventually, processes, all_gone):
    directory = Path(child_environment["XDG_STATE_HOME"]) / "foretide/sandbox/broken-off"
    up = subprocess.Popen(
        [sys.executable, "-m", "sandbox", "up", "--name", "broken-off"],
        cwd=REPOSITORY,
        env=child_environment,
        stderr=subprocess.PIPE,
    )
    state = eventually(lambda: (s := read_state(directory)) and len(processes(s)) > 2 and s)
    up.send_signal(signal.SIGINT)
    _, said = up.communicate(timeout=60)
    assert up.returncode == 130, said
    assert b"Traceback" not in said
    all_gone(processes(state), timeout=0.1)


def test_a_killed_supervisor_takes_the_components_along_and_up_works_again(
    tmp_path, processes, all_gone
):
    lost = Sandbox(small(tmp_path))
    lost.up()
    recorded = processes(lost.state)
    os.kill(recorded[0][0], signal.SIGKILL)
    all_gone(recorded)
    with pytest.raises(SandboxError, match="does not answer"):
        _ = lost.state
    with Sandbox(small(tmp_path)) as again:
        assert again.component("etcd").running
    lost.down()


def test_two_callers_at_once_do_not_share_a_folder(tmp_path):
    with ThreadPoolExecutor() as pool:
        outcomes = [pool.submit(Sandbox(small(tmp_path)).up) for _ in range(2)]
    errors = [outcome.exception() for outcome in outcomes]
    (refused,) = [error for error in errors if error]
    (up,) = [outcome.result() for outcome in outcomes if not outcome.exception()]
    try:
        assert "is up already" in str(refused)
        assert "default" in up.kubectl("get", "namespaces")
    finally:
        up.down()


def test_a_component_that_cannot_start_shows_its_log(tmp_path, processes):
    spec = SandboxSpec(
        directory=tmp_path, prometheus=False, extra_args={"etcd": ["--no-such-flag"]}
    )
    with pytest.raises(SandboxError, match="no-such-flag") as raised:
        Sandbox(spec).up()
    assert "etcd ended with code" in str(raised.value)
    assert not (tmp_path / "state.json").exists()
