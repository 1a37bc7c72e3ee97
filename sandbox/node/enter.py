"""Runs a command on the node: `python -m sandbox.node.enter FOLDER COMMAND...`."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from sandbox.errors import SandboxError
from sandbox.node import NAMESPACES
from sandbox.node.packages import path
from sandbox.node.record import read_record
from sandbox.process import is_alive


def command(directory: Path, arguments: Sequence[str]) -> list[str]:
    """The command line that runs `arguments` among the node's processes.

    Raises SandboxError when no node runs in the folder.
    """
    record = read_record(directory)
    if record is None or not is_alive(record.first, record.first_identity):
        raise SandboxError(f"{directory}: no node runs here")
    root = f"--wd=/proc/{record.first}/root"
    return ["nsenter", f"--target={record.first}", *NAMESPACES, root, "--", *arguments]


def main() -> None:
    os.environ["PATH"] = path()
    try:
        wanted = command(Path(sys.argv[1]), sys.argv[2:])
    except SandboxError as error:
        sys.exit(str(error))
    os.execvp(wanted[0], wanted)


if __name__ == "__main__":
    main()
