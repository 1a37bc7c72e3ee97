"""What commands write is whole or is not there, and nothing is lost where it cannot be written."""

import resource
import stat
from contextlib import contextmanager
from pathlib import Path

import pytest

from foretide.operator.commands.telling import Refused
from foretide.operator.commands.writing import check_writable, write, write_or_keep


@contextmanager
def room_for(size):
    """No file may have more bytes, as on a disk that is full (setrlimit(2), RLIMIT_FSIZE)."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_where_there_is_no_room_the_old_file_stays(tmp_path):
    path = tmp_path / "a.ftp"
    path.write_bytes(b"old")
    with room_for(4096), pytest.raises(Refused, match=r"cannot write .*a\.ftp: File too large"):
        write(path, bytes(100_000))
    assert path.read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["a.ftp"]


def test_a_file_that_is_replaced_keeps_its_mode_and_its_links(tmp_path):
    path, link = tmp_path / "a.ftp", tmp_path / "link.ftp"
    path.write_bytes(b"old")
    path.chmod(0o600)
    link.symlink_to(path)
    write(link, b"new")
    assert link.is_symlink()
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_recording_that_finds_no_room_is_kept_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(
        Refused, match=r"cannot write /dev/full: No space left .* is in "
    ) as refused:
        write_or_keep(Path("/dev/full"), b"what was recorded")
    kept = Path(str(refused.value).rpartition(" is in ")[2])
    assert kept.is_relative_to(tmp_path)
    assert kept.read_bytes() == b"what was recorded"


def test_where_nothing_can_be_written_at_all_the_first_reason_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    with pytest.raises(Refused) as refused:
        write_or_keep(Path("/dev/full"), b"what was recorded")
    assert str(refused.value) == "cannot write /dev/full: No space left on device"


def test_a_name_that_cannot_be_is_refused_before_the_work(tmp_path):
    with pytest.raises(Refused, match="File name too long"):
        check_writable(tmp_path / f"{300 * 'a'}" / "x.ftp")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("action", ["report", "compare"])
def test_figures_do_not_take_the_place_of_the_recording(profile, recording, action):
    before = recording.read_bytes()
    files = [recording] * (2 if action == "compare" else 1)
    status, out, err = profile(action, *files, "--json", recording)
    assert (status, out) == (2, "")
    assert "it is what is to be read, name another file" in err
    assert recording.read_bytes() == before
