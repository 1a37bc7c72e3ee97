"""Gives images to a node that runs. As a program, it is the job of a sandbox's start."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from sandbox.errors import SandboxError
from sandbox.node import enter
from sandbox.node.archive import Image, write_archive
from sandbox.node.commands import PAUSE_IMAGE, snapshotter
from sandbox.node.images import pause_image
from sandbox.node.packages import path
from sandbox.spec import load_spec


def load(directory: Path, images: Sequence[Image]) -> None:
    """Import images into the containerd of a sandbox's node. Raises SandboxError."""
    ctr = ["ctr", "--namespace=k8s.io", "images", "import"]
    ctr += [f"--snapshotter={snapshotter(directory)}", "-"]
    environment = {**os.environ, "PATH": path()}
    process = subprocess.Popen(
        enter.command(directory, ctr),
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdin is not None
    try:
        with process.stdin as archive:
            write_archive(images, archive)
    except BrokenPipeError:
        pass  # It says itself why it stopped reading.
    except BaseException:
        process.kill()
        raise
    finally:
        assert process.stdout is not None
        said = process.stdout.read()
        process.wait()
    if process.returncode != 0:
        names = ", ".join(image.reference for image in images)
        raise SandboxError(f"cannot load {names}: {said.decode(errors='replace').strip()}")


def main() -> int:
    directory = Path(sys.argv[1])
    binaries = json.loads((directory / "binaries.json").read_text())
    try:
        pause = pause_image(Path(binaries["pause"]), PAUSE_IMAGE)
        load(directory, [pause, *load_spec(directory).images])
    except SandboxError as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
