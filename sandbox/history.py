"""Writes the traces' past into Prometheus' store, before Prometheus starts."""

import os
import sys
from pathlib import Path

from sandbox.playback import openmetrics
from sandbox.player import playbacks
from sandbox.spec import load_spec

# promtool reads its whole input once per block: few large blocks take a tenth of the time.
BLOCK = "--max-block-duration=20000h"


def main() -> None:
    directory, promtool, started = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
    text = directory / "history.om"
    with text.open("w") as file:
        file.writelines(openmetrics(playbacks(load_spec(directory), started)))
    create = [promtool, "tsdb", "create-blocks-from", "openmetrics", BLOCK, "--quiet"]
    # In this process' place, not as its child: so it still ends with the supervisor.
    os.execv(promtool, [*create, str(text), str(directory / "prometheus")])


if __name__ == "__main__":
    main()
