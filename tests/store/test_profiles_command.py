"""`foretide store profiles`: what is kept, into files, and away with it."""

import asyncio
import re
import time

import pytest

from foretide.store.profile_repository import ProfileRepository
from foretide.store.profiles import Kind
from foretide.store.sessions import Database

HOUR = 3_600.0


@pytest.fixture
def filled(tmp_path, profile):
    """A database with three profiles of a workload and one of another."""
    now = time.time()

    async def fill():
        database = await Database.open(str(tmp_path / "store.db"))
        await ProfileRepository(database).put(
            [
                profile(now=now, data=b"new"),
                profile(now=now, ago=2 * HOUR, data=b"older", process="../7"),
                profile(now=now, ago=4 * HOUR, kind=Kind.MERGED, pod="", data=b"oldest"),
                profile(now=now, namespace="other", data=bytes(2_000_000)),
            ]
        )
        await database.aclose()

    asyncio.run(fill())
    return tmp_path / "store.db"


@pytest.fixture
def profiles(command, filled):
    """Runs `foretide store profiles …` on that database; returns the status."""
    return lambda verb, *words: command("profiles", verb, *words, "--database", filled)


def test_the_list_has_the_room_that_each_workload_takes(profiles, capsys):
    assert profiles("list") == 0
    lines = [re.split(r"  +", line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0][:7] == [
        "NAMESPACE",
        "WORKLOAD",
        "CONTAINER",
        "KIND",
        "PODS",
        "PROFILES",
        "SIZE",
    ]
    assert [line[:7] for line in lines[1:]] == [
        ["other", "deployment/shop", "app", "raw", "1", "1", "2 MB"],
        ["web", "deployment/shop", "app", "merged", "1", "1", "6 B"],
        ["web", "deployment/shop", "app", "raw", "1", "2", "8 B"],
    ]
    assert profiles("list", "web") == 0
    assert "other" not in capsys.readouterr().out


def test_the_profiles_of_a_workload_are_listed(profiles, capsys):
    assert profiles("list", "web/deployment/shop") == 0
    assert capsys.readouterr().out.count("\n") == 4
    assert profiles("list", "web/deployment/shop", "--since", "3h", "--kind", "raw") == 0
    assert capsys.readouterr().out.count("\n") == 3
    assert profiles("list", "web/deployment/shop", "--until", "2001-01-01T00:00:00Z") == 0
    assert "keeps no such profiles" in capsys.readouterr().err


def test_profiles_are_written_into_files_as_they_are_kept(profiles, tmp_path, capsys):
    folder = tmp_path / "out"
    assert profiles("export", "web/deployment/shop", "--output", folder) == 0
    assert "3 profiles" in capsys.readouterr().err
    found = sorted(folder.iterdir())
    assert [file.read_bytes() for file in found] == [b"oldest", b"older", b"new"]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+\.profile", file.name) for file in found)
    assert profiles("export", "web/deployment/shop", "--output", folder, "--pod", "x") == 2
    assert "no such profiles" in capsys.readouterr().err


def test_one_profile_is_written_by_its_number(profiles, tmp_path, capsys):
    assert profiles("list", "web/deployment/shop") == 0
    number = capsys.readouterr().out.splitlines()[-1].split()[0]
    folder = tmp_path / "out"
    chosen = ["--id", number, "--output", folder]
    assert profiles("export", "web/deployment/shop", *chosen) == 0
    assert [file.read_bytes() for file in folder.iterdir()] == [b"new"]


def test_a_deletion_is_told_first_and_done_when_it_is_meant(profiles, capsys):
    assert profiles("delete", "web/deployment/shop", "--until", "1h") == 0
    assert "Would delete 2 profiles, 11 B: say --yes" in capsys.readouterr().out
    assert profiles("delete", "web/deployment/shop", "--until", "1h", "--yes") == 0
    assert "Deleted 2 profiles, 11 B" in capsys.readouterr().out
    assert profiles("list", "web/deployment/shop") == 0
    assert capsys.readouterr().out.count("\n") == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["delete", "web", "--yes"], "NAMESPACE/NAME"),
        (["list", "web/deployment/shop", "--since", "yesterday"], "--since is a time as 2026"),
        (["list", "web/deployment/shop", "--until", "-"], "--until is a time"),
    ],
)
def test_bad_options_are_said(profiles, words, said, capsys):
    assert profiles(*words) == 2
    assert said in capsys.readouterr().err
