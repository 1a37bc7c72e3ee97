"""Which binary is taken: the user's at the pinned version, then the cache, then a build.

Go itself is replaced by a script here; that the real builds work is shown by every real sandbox.
"""

import os
import signal
import subprocess
import sys
import textwrap
import threading

import psutil
import pytest

from sandbox import SandboxError, binaries
from sandbox.binaries import TOOLS, cached_path, ensure, ensure_binaries, reported_version
from sandbox.process import identity, is_alive
from sandbox.progress import Silent

BY_NAME = {tool.name: tool for tool in TOOLS}
KUBECTL, ETCD = BY_NAME["kubectl"], BY_NAME["etcd"]

FAKE_GO = """
import os, pathlib, sys, time
arguments = sys.argv[1:]
with open(os.environ["FAKE_GO_CALLS"], "a") as file:
    file.write(" ".join(arguments) + " CGO=" + os.environ["CGO_ENABLED"] + "\\n")
if os.environ.get("FAKE_GO_FAILS"):
    sys.exit("no space left on device")
time.sleep(float(os.environ.get("FAKE_GO_TAKES", "0")))
pathlib.Path(arguments[arguments.index("-o") + 1]).write_text("built")
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An own PATH and cache, without any binary."""
    path = tmp_path / "bin"
    path.mkdir()
    monkeypatch.setenv("PATH", str(path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    return path


@pytest.fixture
def script():
    def write(path, text, interpreter="/bin/sh"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!{interpreter}\n{textwrap.dedent(text)}")
        path.chmod(0o755)
        return path

    return write


@pytest.fixture
def go(folder, script, tmp_path, monkeypatch):
    """A stand-in for Go; returns the file in which it notes how it was called."""
    calls = tmp_path / "calls"
    calls.touch()
    monkeypatch.setenv("FAKE_GO_CALLS", str(calls))
    script(folder / "go", FAKE_GO, sys.executable)
    return calls


def test_versions_come_from_the_go_modules():
    assert KUBECTL.version.startswith("1.35.")
    assert BY_NAME["prometheus"].pin == "v0.316.0"
    assert BY_NAME["prometheus"].version == "3.16.0"
    assert all(tool.version for tool in TOOLS)


def test_a_binary_on_the_path_counts_at_the_pinned_version(folder, script):
    path = script(folder / "kubectl", f"echo 'Client Version: v{KUBECTL.version}'")
    found = ensure(KUBECTL, Silent())
    assert (found.path, found.origin) == (path, "PATH")


def test_the_users_folder_of_assets_comes_before_the_path(folder, script, tmp_path, monkeypatch):
    assets = tmp_path / "assets"
    for place in (folder, assets):
        script(place / "etcd", f"echo 'etcd Version: {ETCD.version}'")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets))
    found = ensure(ETCD, Silent())
    assert (found.path, found.origin) == (assets / "etcd", "KUBEBUILDER_ASSETS")


@pytest.mark.parametrize(
    "text", ["echo 'Client Version: v1.32.0'", "exit 3", "echo v1.35.40", "echo hello"]
)
def test_another_version_on_the_path_is_not_used(folder, script, go, text):
    script(folder / "kubectl", text)
    assert ensure(KUBECTL, Silent()).origin == "built"


def test_what_was_built_is_found_again(go):
    assert ensure(ETCD, Silent()).origin == "built"
    assert ensure(ETCD, Silent()).origin == "cache"
    (call,) = go.read_text().splitlines()
    assert "-mod=readonly" in call
    assert call.endswith("go.etcd.io/etcd/server/v3 CGO=0")


def test_the_cache_tells_builds_apart_by_what_decides_them(folder, monkeypatch):
    before = cached_path(ETCD)
    changed = binaries.Tool(ETCD.name, ETCD.module, ETCD.source, ETCD.package, tags="other")
    assert cached_path(changed) != before
    monkeypatch.setattr(binaries.platform, "machine", lambda: "aarch64")
    assert "arm64" in str(cached_path(ETCD))


def test_without_go_the_error_says_what_to_install(folder):
    with pytest.raises(SandboxError, match="Install Go") as raised:
        ensure_binaries()
    assert "etcd 3.6.6" in str(raised.value)


def test_a_failed_build_shows_gos_words_and_leaves_nothing(go, monkeypatch):
    monkeypatch.setenv("FAKE_GO_FAILS", "1")
    with pytest.raises(SandboxError, match="no space left on device"):
        ensure(ETCD, Silent())
    assert [p.name for p in cached_path(ETCD).parent.iterdir()] == ["lock"]


def test_two_at_once_build_once(go, monkeypatch):
    monkeypatch.setenv("FAKE_GO_TAKES", "0.3")
    origins = []
    threads = [
        threading.Thread(target=lambda: origins.append(ensure(ETCD, Silent()).origin))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(origins) == ["built", "cache"]
    assert len(go.read_text().splitlines()) == 1


@pytest.fixture
def building(go, eventually):
    """A process in the middle of a build, and the identity of its Go."""
    code = "from sandbox.binaries import TOOLS, ensure; from sandbox.progress import Silent;"
    caller = subprocess.Popen(
        [sys.executable, "-c", f"{code} ensure(TOOLS[0], Silent())"],
        env={**os.environ, "FAKE_GO_TAKES": "600"},
        cwd=binaries.TOOLCHAIN.parents[1],
        stderr=subprocess.DEVNULL,
    )
    eventually(lambda: go.read_text())
    (child,) = psutil.Process(caller.pid).children()
    yield caller, (child.pid, identity(child.pid))
    caller.kill()
    caller.wait()


def test_an_interrupted_build_ends_go_and_leaves_nothing(building):
    caller, go_process = building
    caller.send_signal(signal.SIGINT)
    assert caller.wait(60) != 0
    assert not is_alive(*go_process)
    assert [p.name for p in cached_path(ETCD).parent.iterdir()] == ["lock"]


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's promise is Linux's")
def test_a_build_ends_with_its_killed_caller_and_can_be_run_again(building, eventually):
    caller, go_process = building
    caller.kill()
    caller.wait()
    eventually(lambda: not is_alive(*go_process), timeout=30)
    assert ensure(ETCD, Silent()).origin == "built"
    assert sorted(p.name for p in cached_path(ETCD).parent.iterdir()) == ["etcd", "lock"]


def test_a_binary_that_cannot_run_reports_no_version(tmp_path):
    path = tmp_path / "etcd"
    path.write_text("not a program")
    assert reported_version(str(path), ETCD) is None
