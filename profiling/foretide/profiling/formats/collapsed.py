"""Collapsed stacks: a line for each, `root;caller;leaf COUNT`, as flamegraph.pl and py-spy's raw.

Seconds are written as whole microseconds. The format does not say what it counts, so what is read
is in samples.
"""

import re
from collections import defaultdict

from ..profile import BadProfile, Merging, Profile, Unit
from ..window import ThreadState
from .labels import frame_of, label_of
from .metric import Metric, chosen_metric, pool_label, value_of

_LINE = re.compile(r"(?P<stack>.*\S)\s+(?P<count>\d{1,18}(?:\.\d{1,9})?)")
_THREAD = re.compile(r"thread \((?P<name>.*)\)(?:: (?P<more>.*))?")
_DEEPEST = 20_000


def dump(profile: Profile, metric: Metric | None = None) -> bytes:
    """A profile as collapsed stacks, with its pools as roots.

    Raises:
        BadProfile: it does not have that number.
    """
    metric = chosen_metric(profile, metric)
    scale = 1 if metric is Metric.SAMPLES else 1_000_000
    sums: defaultdict[str, float] = defaultdict(float)
    labels = [_clean(label_of(frame)) for frame in profile.frames]
    for entry in profile.entries:
        pool = f"thread ({_clean(pool_label(profile.threads[entry.thread]))})"
        stack = [labels[index] for index in profile.stacks[entry.stack]]
        sums[";".join([pool, *stack])] += value_of(entry, metric) * scale
    lines = [f"{stack} {round(value)}\n" for stack, value in sums.items() if round(value) > 0]
    return "".join(sorted(lines)).encode("utf-8", "replace")


def load(data: bytes) -> Profile:
    """The profile of collapsed stacks, in samples.

    Raises:
        BadProfile: a line is none, or there is none.
    """
    merging = Merging()
    some = False
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line.rstrip())
        if found is None:
            raise BadProfile(
                f"it is no profile of a known format. Of its text, line {number} is no collapsed "
                f"stack: that would be `caller;function COUNT`, and it is {line[:60]!r}"
            )
        labels = found["stack"].split(";")
        if len(labels) > _DEEPEST:
            raise BadProfile(f"line {number} is a stack of {len(labels)} frames")
        pool, labels = _pool(labels)
        count = float(found["count"])
        stack = merging.stack([frame_of(label) for label in labels])
        merging.add(stack, thread=pool, state=ThreadState.UNKNOWN, wall=count, samples=count)
        some = True
    if not some:
        raise BadProfile("it has no stacks")
    return merging.profile(unit=Unit.SAMPLES)


def _pool(labels: list[str]) -> tuple[str, list[str]]:
    """The name of the thread, if the first labels are a process or thread, and the other labels."""
    rest = labels[1:] if labels[0].startswith("process ") and len(labels) > 1 else labels
    found = _THREAD.fullmatch(rest[0])
    if found is None:
        return "", labels
    return found["more"] or found["name"], rest[1:]


def _clean(label: str) -> str:
    """A label without what would end it, or its line."""
    return re.sub(r"[\x00-\x1f\x7f\x85\u2028\u2029]", " ", label.replace(";", ",")).strip() or "?"
