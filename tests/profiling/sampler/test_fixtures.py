"""What was recorded of real programs can still be read, and says what they did."""

from collections import Counter
from pathlib import Path

import pytest

from foretide.profiling.sampler import read_windows
from foretide.profiling.window import ThreadState

FOLDER = Path(__file__).parents[1] / "fixtures"


@pytest.mark.parametrize(
    ("name", "state"),
    [("gil", ThreadState.GIL), ("lock", ThreadState.LOCK), ("upstream", ThreadState.NETWORK)],
)
def test_recording_says_what_the_program_waited_for(name, state):
    windows = list(read_windows((FOLDER / f"{name}.txt").read_text().splitlines()))
    assert len(windows) == 3
    states = Counter()
    for window in windows:
        for thread in window.threads:
            states.update(thread.states)
    del states[ThreadState.RUNNING], states[ThreadState.SLEEP]
    assert states.most_common(1)[0][0] is state
    assert states[state] > 0.9 * sum(states.values())
