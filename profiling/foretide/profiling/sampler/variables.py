"""Local variables of the frames that a process is in at one moment: only where they were asked for.

They may hold whatever the application works on, secrets included.
"""

import json
import subprocess
from collections.abc import Mapping
from typing import Any

from ..window import Frame
from . import pyspy

_SECONDS = 10.0
_LONGEST = 200  # characters of a value


def read_variables(pid: int) -> dict[Frame, dict[str, str]]:
    """What the variables of each frame are, by name, as `repr` writes them, shortened.

    It takes one stop of a few milliseconds. A frame that several threads are in is told once.

    Raises:
        pyspy.PySpyError: py-spy could not read them.
    """
    command = [pyspy.executable(), "dump", "--pid", str(pid), "--json", "--locals"]
    try:
        done = subprocess.run(
            [*command, "--full-filenames"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise pyspy.PySpyError("py-spy did not tell the variables in time") from error
    if done.returncode:
        raise pyspy.PySpyError(pyspy.complaint(done.stderr) or "py-spy told no variables")
    return parse_dump(done.stdout)


def parse_dump(text: str | bytes) -> dict[Frame, dict[str, str]]:
    """Of `py-spy dump --json --locals`. Raises pyspy.PySpyError: it is something else."""
    try:
        threads: list[dict[str, Any]] = json.loads(text)
        found: dict[Frame, dict[str, str]] = {}
        for thread in threads:
            for frame in thread["frames"]:
                place = Frame(frame["name"], frame["filename"], frame["line"])
                values = {
                    each["name"]: (each.get("repr") or "?")[:_LONGEST]
                    for each in frame.get("locals") or ()
                }
                if values:
                    found.setdefault(place, values)
    except (ValueError, KeyError, TypeError) as error:
        raise pyspy.PySpyError(f"py-spy told no variables: {error}") from error
    return found


def by_index(
    frames: list[Frame], variables: Mapping[Frame, Mapping[str, str]]
) -> dict[int, Mapping[str, str]]:
    """By the frame's index in `frames`; frames that were not seen otherwise are added to them."""
    place = {frame: index for index, frame in enumerate(frames)}
    told: dict[int, Mapping[str, str]] = {}
    for frame, values in variables.items():
        if frame not in place:
            place[frame] = len(frames)
            frames.append(frame)
        told[place[frame]] = values
    return told
