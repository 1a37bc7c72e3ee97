"""`foretide store`, as a process: it serves, survives, and shows what it keeps."""

import asyncio
import datetime
import ipaddress
import itertools
import re
import signal
import socket
import subprocess
import sys
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from foretide.operator.commands import store_where
from foretide.store import run
from foretide.store.client import StoreAddress, StoreClient
from foretide.store.database import locate
from foretide.store.errors import StoreUnavailable
from foretide.store.profile_client import ProfileClient
from foretide.store.profile_repository import ProfileRepository
from foretide.store.profiles import ProfileQuery
from foretide.store.repository import Repository
from foretide.store.rollups import STEP, Columns, Rollup
from foretide.store.run import ServeOptions, serve
from foretide.store.sessions import Database
from sandbox.process import clean_environment, spawn, wait_until

TOKEN = "correct-horse-battery"
SECRET = "s3cr3t"
DAY = 86_400
CODE = """
import argparse, sys
from foretide.operator.commands.store import add_parser
parser = argparse.ArgumentParser()
add_parser(parser.add_subparsers())
options = parser.parse_args()
sys.exit(options.run(options))
"""
BASE = 1_760_000_100  # a while ago: the process has the real clock


@pytest.fixture
def token_file(tmp_path):
    file = tmp_path / "token"
    file.write_text(TOKEN)
    return file


@pytest.fixture
def process(tmp_path, token_file):
    """The service as a process of its own, and its URL."""
    port_file = tmp_path / "port-of-process"
    arguments = ["--database", tmp_path / "store.db", "--token-file", token_file]
    arguments += ["--listen", "127.0.0.1:0", "--port-file", port_file, "--log-format", "text"]
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = spawn(
            [sys.executable, "-P", "-c", CODE, "store", "serve", *map(str, arguments)],
            cwd=tmp_path,
            environment=clean_environment(tmp_path),
            output=output,
        )

    def listens():
        return port_file.exists() and port_file.read_text().endswith("\n")

    try:
        assert wait_until(lambda: listens() or process.poll() is not None, 60)
        assert process.poll() is None, log.read_text()
        yield process, f"http://127.0.0.1:{port_file.read_text().strip()}"
    finally:
        process.kill()
        process.wait(20)


@pytest.fixture
async def service(tmp_path, token_file, until):
    """Serves in this process; returns the URL."""
    tasks = []

    async def start(scheme="http", **options):
        port_file = tmp_path / "port"
        defaults = {"host": "127.0.0.1", "port": 0, "keep_rollups": 730.0 * DAY}
        where = {"database": locate(str(tmp_path / "store.db")), "token_file": token_file}
        chosen = ServeOptions(**where, port_file=port_file, **{**defaults, **options})
        tasks.append(asyncio.create_task(serve(chosen)))

        async def listens():
            assert not tasks[-1].done(), tasks[-1]
            return port_file.exists() and port_file.read_text().endswith("\n")

        await until(listens)
        return f"{scheme}://127.0.0.1:{port_file.read_text().strip()}"

    start.tasks = tasks
    yield start
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.slow
async def test_what_was_acknowledged_survives_a_kill(process, service, token_file, key):
    """Several writers, a SIGKILL in their midst, and a new start."""
    killed, url = process
    acknowledged = []
    enough = asyncio.Event()

    async def write(writer):
        client = StoreClient(StoreAddress(url, token_file))
        for number in itertools.count():
            rollup = Rollup(BASE + number * STEP, 20, 1.0, 1.0 + number, 1.0)
            try:
                await client.write({key(f"app-{writer}"): Columns.of([rollup])})
            except StoreUnavailable:
                break
            acknowledged.append((writer, rollup))
            if len(acknowledged) >= 60:
                enough.set()
        await client.aclose()

    writers = [asyncio.create_task(write(writer)) for writer in range(3)]
    await asyncio.wait_for(enough.wait(), 60)
    killed.send_signal(signal.SIGKILL)
    await asyncio.gather(*writers)
    await asyncio.to_thread(killed.wait, 20)

    client = StoreClient(StoreAddress(await service(), token_file))
    kept = {
        writer: list(await client.read(key(f"app-{writer}"), BASE, BASE + 300 * DAY))
        for writer in range(3)
    }
    assert not [one for one in acknowledged if one[1] not in kept[one[0]]]
    assert await client.write({key(): Columns.of([acknowledged[0][1]])}) == (1, 1)
    await client.aclose()


async def test_it_ends_cleanly_when_asked_to(service, until):
    await service()
    signal.raise_signal(signal.SIGTERM)

    async def ended():
        return service.tasks[0].done()

    await until(ended)
    assert service.tasks[0].exception() is None


async def test_old_roll_ups_are_swept_at_the_start(service, token_file, tmp_path, key, until):
    repository = await Repository.open(str(tmp_path / "store.db"))
    rollups = [Rollup(at, 20, 1.0, 1.0, 1.0) for at in (BASE - 3000 * DAY, BASE)]
    await repository.write({key(): Columns.of(rollups)})
    url = await service(keep_rollups=2000.0 * DAY)
    client = StoreClient(StoreAddress(url, token_file))

    async def swept():
        return (await client.series())[0].first == BASE

    await until(swept)
    await client.aclose()
    await repository.aclose()


async def test_profiles_are_served_and_the_old_ones_swept(
    service, token_file, tmp_path, profile, until
):
    opened = await Database.open(str(tmp_path / "store.db"))
    now = time.time()
    batch = [profile(now=now), profile(now=now, ago=DAY + 600)]
    await ProfileRepository(opened).put(batch)
    await opened.aclose()
    client = ProfileClient(StoreAddress(await service(), token_file))

    async def swept():
        return [one.profiles for one in await client.workloads()] == [1]

    await until(swept)
    await client.put([profile(now=now, pod="shop-b")])
    assert len((await client.find(ProfileQuery())).profiles) == 2
    await client.aclose()


async def test_it_serves_https(service, token_file, certificate):
    url = await service("https", tls_cert=certificate[0], tls_key=certificate[1])
    client = StoreClient(StoreAddress(url, token_file, certificate[0]))
    assert await client.series() == []
    await client.aclose()
    stranger = StoreClient(StoreAddress(url, token_file))
    with pytest.raises(StoreUnavailable, match="certificate verify failed"):
        await stranger.series()
    await stranger.aclose()


async def test_a_renewed_certificate_is_taken_over(
    service, token_file, certificate, monkeypatch, caplog, until
):
    """One that cannot be read leaves the old one in force."""
    monkeypatch.setattr(run, "RELOAD_EVERY", 0.01)
    url = await service("https", tls_cert=certificate[0], tls_key=certificate[1])
    good = certificate[0].read_bytes()
    certificate[0].write_text("nothing")

    async def told():
        return "The old certificate stays" in caplog.text

    await until(told)
    (certificate[0].parent / "old.crt").write_bytes(good)
    client = StoreClient(StoreAddress(url, token_file, certificate[0].parent / "old.crt"))
    assert await client.series() == []
    await client.aclose()
    new_certificate(certificate[0].parent)

    async def trusted():
        client = StoreClient(StoreAddress(url, token_file, certificate[0]))
        try:
            return await client.series() == []
        except StoreUnavailable:
            return False
        finally:
            await client.aclose()

    await until(trusted)


@pytest.fixture
def certificate(tmp_path):
    """A certificate for 127.0.0.1, which is its own CA, and its key."""
    return new_certificate(tmp_path)


def new_certificate(folder):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "store")])
    today = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .sign(key, hashes.SHA256())
    )
    (folder / "tls.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "tls.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return folder / "tls.crt", folder / "tls.key"


@pytest.fixture
def filled(tmp_path, key):
    """A database with some series."""

    async def fill():
        repository = await Repository.open(str(tmp_path / "store.db"))
        rollups = [
            Rollup(BASE, 20, 1.5, 3.0, 2.0),
            Rollup(BASE + DAY, 1, float("nan"), 4.0, float("nan")),
        ]
        await repository.write({key(): Columns.of(rollups), key("cart"): Columns.of(rollups[:1])})
        await repository.write({key(fingerprint="f" * 16): Columns.of(rollups[1:])})
        await repository.aclose()

    asyncio.run(fill())
    return tmp_path / "store.db"


def test_show_lists_the_series(command, filled, capsys):
    assert command("show", "--database", filled) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["NAMESPACE", "NAME", "METRIC", "FINGERPRINT", "FIRST", "LAST"]
    assert [line[1] for line in lines[1:]] == ["cart", "shop", "shop"]
    assert lines[2][3:] == ["0123456789abcdef", "2025-10-09T08:55:00Z", "2025-10-10T08:55:00Z"]
    assert command("show", "web/cart", "--database", filled) == 0
    assert capsys.readouterr().out.count("\n") == 2


def test_show_says_when_there_is_nothing(command, filled, capsys):
    assert command("show", "web/nobody", "--database", filled) == 0
    assert "keeps no such series" in capsys.readouterr().err


def test_export_writes_csv(command, filled, capsys, tmp_path):
    chosen = ["--fingerprint", "0123456789abcdef", "--database", filled]
    assert command("export", "web/shop", *chosen) == 0
    csv = capsys.readouterr().out
    assert csv == (
        "time,value,mean,last,samples\n"
        "2025-10-09T08:55:00Z,3,1.5,2,20\n"
        "2025-10-10T08:55:00Z,4,,,1\n"
    )
    assert command("export", "web/shop", *chosen, "--output", tmp_path / "out.csv") == 0
    assert (tmp_path / "out.csv").read_text() == csv
    assert command("export", "web/shop", *chosen, "--days", "0.5") == 0
    assert capsys.readouterr().out.count("\n") == 2


def test_export_wants_one_series(command, filled, capsys):
    assert command("export", "web/shop", "--database", filled) == 2
    said = capsys.readouterr().err
    assert "choose with --metric and --fingerprint" in said
    assert "f" * 16 in said
    assert command("export", "web/nobody", "--database", filled) == 2
    assert "no such series" in capsys.readouterr().err


async def test_show_and_export_ask_a_store_that_runs(command, filled, service, token_file, capsys):
    where = ["--url", await service(), "--token-file", token_file]
    assert await asyncio.to_thread(command, "show", *where) == 0
    assert "cart" in capsys.readouterr().out
    assert await asyncio.to_thread(command, "export", "web/cart", *where) == 0
    assert "2025-10-09T08:55:00Z,3,1.5,2,20" in capsys.readouterr().out


def test_bad_options_are_said(command, token_file, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv(store_where.DATABASE_VARIABLE, raising=False)
    database = ["--database", tmp_path / "store.db"]
    serve = ["serve", "--token-file", token_file]
    url = f"postgresql://u:{SECRET}@127.0.0.1:1/d"
    (tmp_path / "short").write_text("short")
    (tmp_path / "url").write_text(url)
    for arguments, said in (
        (["show"], "--url and --token-file for one that runs, or --database"),
        (serve, "say where the database is"),
        (["show", "--database", tmp_path / "nothing.db"], "does not exist"),
        (["show", "--database", url], "must hold no password"),
        (["show", "--database-file", tmp_path / "nothing"], "cannot read"),
        (["show", "--database-file", tmp_path / "url"], "cannot reach the database"),
        (["show", "--url", "http://127.0.0.1:1"], "wants a --token-file"),
        (["show", "--url", "http://127.0.0.1:1", "--token-file", token_file], "cannot reach"),
        (["show", "shop", *database], "NAMESPACE/NAME"),
        ([*serve, *database, "--listen", "8081"], "HOST:PORT"),
        ([*serve, *database, "--listen", ":99999"], "HOST:PORT"),
        ([*serve, *database, "--keep-rollups", "long"], "not a duration"),
        ([*serve, *database, "--keep-rollups", "1h"], "a day at least"),
        ([*serve, *database, "--keep-profiles", "5m"], "an hour at least"),
        ([*serve, *database, "--keep-merged-profiles", "x"], "not a duration"),
        ([*serve, *database, "--profile-space", "lots"], "--profile-space: 'lots' is not"),
        ([*serve, *database, "--profile-space", "1Mi"], "64Mi at least"),
        ([*serve, *database, "--tls-cert", token_file], "go together"),
        ([*serve, *database, "--tls-cert", token_file, "--tls-key", token_file], "certificate"),
        ([*serve, "--database", url], "must hold no password"),
        ([*serve, "--database", "mysql://h/d"], "postgresql://USER@HOST/NAME"),
        (["serve", *database, "--token-file", tmp_path / "nothing"], "cannot read the token"),
        (["serve", *database, "--token-file", tmp_path / "short"], "shorter than 16"),
    ):
        if "--url" not in arguments and arguments[:1] == ["show"] and "shop" in arguments:
            (tmp_path / "store.db").touch()
        assert command(*arguments) == 2, arguments
        shown = capsys.readouterr().err
        assert said in shown
        assert SECRET not in shown


def test_the_address_may_stand_in_the_environment(command, filled, capsys, monkeypatch):
    monkeypatch.setenv(store_where.DATABASE_VARIABLE, str(filled))
    assert command("show") == 0
    assert "cart" in capsys.readouterr().out


def test_a_port_that_is_taken_is_said(command, token_file, tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        where = ["--database", tmp_path / "store.db", "--token-file", token_file]
        assert command("serve", *where, "--listen", listen) == 2
    assert "address already in use" in capsys.readouterr().err


BASE_INSTALL = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("sqlalchemy", "aiohttp", "aiosqlite", "asyncpg", "numpy",
                                      "pythonjsonlogger", "yaml", "kopf", "kubernetes"):
            raise ModuleNotFoundError(f"{name} is not installed", name=name)
sys.meta_path.insert(0, Refuse())
"""


@pytest.mark.slow
def test_in_the_base_install_a_running_store_can_be_asked(token_file):
    code = """
import contextlib, io
from foretide.operator.commands.store import add_parser
import argparse
parser = argparse.ArgumentParser()
add_parser(parser.add_subparsers())
for words in (
    "serve --token-file x --database y", "show --database y", "show --url http://127.0.0.1:1"
):
    options = parser.parse_args(["store", *words.split(), "--token-file", sys.argv[1]])
    with contextlib.redirect_stderr(io.StringIO()) as said:
        print(options.run(options), said.getvalue().strip())
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", BASE_INSTALL + code, str(token_file)],
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    first, second, third = done.stdout.splitlines()
    missing = r"2 foretide: \w+ is not installed: in a clone of Foretide, pip install '.\[store\]'"
    assert re.fullmatch(missing, first)
    assert re.fullmatch(missing, second)
    assert third.startswith("2 foretide: cannot reach the store")
