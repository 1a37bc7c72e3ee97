"""Processes: told apart from later ones with the same pid, ended with their parent, ports."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.daemon import Daemon
from sandbox.errors import SandboxError
from sandbox.folder import clean, lock
from sandbox.layout import Layout
from sandbox.plan import PORT_NAMES
from sandbox.ports import free_ports
from sandbox.process import clean_environment, end_strays, identity, is_alive, spawn
from sandbox.spec import SandboxSpec
from sandbox.supervisor import AddressInUse

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def sleeper():
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


def test_a_process_is_known_by_more_than_its_pid(sleeper):
    known = identity(sleeper.pid)
    assert is_alive(sleeper.pid, known)
    assert not is_alive(sleeper.pid, known + "0")
    assert known != identity(os.getpid())


def test_an_ended_process_is_gone_even_before_it_is_waited_for(sleeper, eventually):
    known = identity(sleeper.pid)
    sleeper.send_signal(signal.SIGKILL)
    eventually(lambda: not is_alive(sleeper.pid, known))


def test_strays_are_ended_and_strangers_left_alone(sleeper):
    stranger = (os.getpid(), "identity of an earlier process")
    assert end_strays([stranger, (sleeper.pid, identity(sleeper.pid))]) == [sleeper.pid]
    assert sleeper.wait(60) == -signal.SIGKILL


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's promise is Linux's")
def test_a_spawned_process_dies_with_its_parent(tmp_path, eventually):
    code = (
        "import sys, os, time; from pathlib import Path; from sandbox.process import *;"
        "p = spawn(['sleep', '600'], cwd=Path('.'), environment=os.environ, output=sys.stderr);"
        "print(p.pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    child = int(parent.stdout.readline())
    known = identity(child)
    assert known
    parent.kill()
    parent.wait()
    eventually(lambda: not is_alive(child, known))


def test_the_users_settings_do_not_reach_components(tmp_path, monkeypatch):
    for name in ("ETCD_NAME", "KUBECONFIG", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "x")
    environment = clean_environment(tmp_path)
    assert not environment.keys() & {"ETCD_NAME", "KUBECONFIG", "HTTPS_PROXY"}
    assert environment["HOME"].startswith(str(tmp_path))


def test_spawned_processes_have_a_group_of_their_own(tmp_path):
    with (tmp_path / "log").open("wb") as log:
        process = spawn(["sleep", "60"], cwd=tmp_path, environment={"PATH": "/bin"}, output=log)
    assert os.getpgid(process.pid) == process.pid
    process.kill()
    process.wait()


def test_ports_are_free_and_different():
    ports = free_ports(50)
    assert len(set(ports)) == 50
    for port in ports:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", port))


def test_a_folder_has_one_owner(tmp_path):
    layout = Layout(tmp_path)
    first = lock(layout)
    assert first is not None
    assert lock(layout) is None
    os.close(first)
    again = lock(layout)
    assert again is not None
    os.close(again)


def test_cleaning_leaves_what_the_sandbox_did_not_write(tmp_path):
    folder = tmp_path / "mine"
    (folder / "etcd" / "member").mkdir(parents=True)
    (folder / "logs").mkdir()
    (folder / "state.json").touch()
    (folder / "notes.txt").touch()
    clean(Layout(folder), keep_logs=False)
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    (folder / "notes.txt").unlink()
    clean(Layout(folder), keep_logs=False)
    assert not folder.exists()


class Unlucky:
    """Stands in for the supervisor: a port is taken at the first attempts."""

    failures = 0
    plans: list = []

    def __init__(self, plan, tell):
        Unlucky.plans.append(plan)

    async def up(self):
        if len(Unlucky.plans) <= Unlucky.failures:
            raise AddressInUse("address already in use")

    async def down(self):
        pass


@pytest.fixture
def unlucky(tmp_path, monkeypatch):
    monkeypatch.setattr("sandbox.daemon.Supervisor", Unlucky)
    Unlucky.plans = []
    return Daemon(Layout(tmp_path), None, keep_logs=True)


async def test_a_taken_port_makes_the_sandbox_choose_again(unlucky):
    Unlucky.failures = 2
    await unlucky._up(SandboxSpec(), dict.fromkeys(["etcd"], "etcd"))
    assert len({plan.ports[PORT_NAMES[0]] for plan in Unlucky.plans}) == 3


async def test_ports_that_are_always_taken_end_the_attempts(unlucky):
    Unlucky.failures = 9
    with pytest.raises(SandboxError, match="address already in use"):
        await unlucky._up(SandboxSpec(), {})
    assert len(Unlucky.plans) == 3
