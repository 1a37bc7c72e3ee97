"""Files that commands write: whole or not at all, and asked about before the work is done."""

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from .telling import Refused


def check_writable(path: Path | None, sources: Iterable[Path] = ()) -> None:
    """See that a file can be written, before half a minute is spent for it.

    No folder is made for it: one that is not there is a slip more often than a wish. Nor may it be
    one of the `sources` that the work is about to read.

    Raises:
        Refused: it cannot.
    """
    if path is None:
        return
    try:
        if not path.parent.is_dir():
            raise Refused(f"cannot write {path}: there is no folder {path.parent}, make it first")
        was_there = path.exists()
        if was_there and any(one.exists() and one.samefile(path) for one in sources):
            raise Refused(f"cannot write {path}: it is what is to be read, name another file")
        path.open("ab").close()
        if not was_there:
            path.unlink()
    except OSError as error:
        raise _refused(path, error) from None


def write(path: Path, data: bytes) -> None:
    """Write a file. Where there is no room for it, what stood there is as it was.

    Raises:
        Refused: it cannot be written.
    """
    try:
        if path.exists() and not path.is_file():  # a device or a pipe
            path.write_bytes(data)
        else:
            _replace(Path(os.path.realpath(path)), data)
    except OSError as error:
        raise _refused(path, error) from None


def write_or_keep(path: Path, data: bytes) -> None:
    """Write what cannot be had again: where that fails, into the folder for temporary files.

    Raises:
        Refused: it cannot be written; the message says where it is instead.
    """
    try:
        write(path, data)
    except Refused as refused:
        try:
            folder = Path(tempfile.mkdtemp(prefix="foretide-"))
            write(folder / path.name, data)
        except (OSError, Refused):
            raise refused from None
        raise Refused(f"{refused}; what was recorded is in {folder / path.name}") from None


def _replace(path: Path, data: bytes) -> None:
    part = path.with_name(f".foretide-{secrets.token_hex(8)}")
    try:
        file = part.open("xb")
    except PermissionError:  # the file may be written, its folder may not
        path.write_bytes(data)
        return
    try:
        with file:
            file.write(data)
        if path.exists():
            shutil.copymode(path, part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _refused(path: Path, error: OSError) -> Refused:
    return Refused(f"cannot write {path}: {error.strerror}")
