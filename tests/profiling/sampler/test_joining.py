"""py-spy's samples, read and joined with what each thread was doing at their moments."""

import json
from dataclasses import replace

import pytest

from foretide.profiling.sampler import joining, pyspy
from foretide.profiling.sampler.marks import Mark, Moment
from foretide.profiling.window import Frame

WORKS, RESTS, UNSEEN = Moment(True, True), Moment(False, True), Moment(None, False)
PARTS = joining.Parts(0.0, 1.0, 2)


def speedscope(*threads):
    """As py-spy writes it: threads by number and name, their samples as functions, root first."""
    frames, place, profiles = [], {}, []

    def index(name, file, line):
        key = (name, file, line)
        if key not in place:
            place[key] = len(frames)
            frames.append({"name": name, "file": file, "line": line, "col": None})
        return place[key]

    for identity, name, samples in threads:
        tag = index(f"thread ({identity}): {name}", "", 0)
        stacks = [[tag, *(index(each, "/app.py", 3) for each in sample)] for sample in samples]
        profiles.append({"name": f'Thread {identity} "{name}"', "samples": stacks})
    return json.dumps({"shared": {"frames": frames}, "profiles": profiles})


def join(text, marks, tids=None):
    recording = pyspy.parse(text)
    threads, samples = joining.join(recording, {}, tids or {}, marks, PARTS)
    told = {}
    for each in samples:
        leaf = recording.frames[recording.stacks[each.stack][-1]].function
        key = threads[each.thread].tid, leaf, each.part
        told[key] = (each.count, each.active)
    return told


def marks(*of_threads):
    """One mark for each, two in a second."""
    return [Mark(number / 2 + 0.25, threads) for number, threads in enumerate(of_threads)]


def test_thread_and_its_frames_are_told_apart():
    recording = pyspy.parse(speedscope((7, "a (b): c", [["main", "work"]])))
    (thread,) = recording.threads
    assert (thread.tid, thread.pthread, thread.name) == (7, None, "a (b): c")
    assert recording.frames == [Frame("main", "/app.py", 3), Frame("work", "/app.py", 3)]
    assert recording.stacks == [(0, 1)]


def test_address_of_a_thread_is_no_number():
    text = speedscope(("0x7F3941", "bg", [["work"]]))
    (thread,) = pyspy.parse(text).threads
    assert (thread.tid, thread.pthread) == (None, 0x7F3941)
    assert join(text, [], {0x7F3941: 12}) == {(12, "work", 1): (1, None)}


def test_threads_that_had_one_address_after_another_are_told_apart():
    """py-spy puts them together under the first one's name."""
    document = json.loads(speedscope((7, "a", [["work"], ["work"]]), (8, "b", [["nap"]])))
    first, second = document["profiles"]
    first["samples"] += second["samples"]
    told = pyspy.parse(json.dumps({**document, "profiles": [first]})).threads
    assert [(each.tid, each.name, len(each.stacks)) for each in told] == [(7, "a", 2), (8, "b", 1)]


def test_thread_whose_name_is_known_late_keeps_the_order_of_its_samples():
    late = speedscope((7, "old", [["a"]]), (7, "new", [["b"]]), (7, "old", [["c"]]))
    document = json.loads(late)
    first, *others = document["profiles"]
    first["samples"] += [sample for other in others for sample in other["samples"]]
    recording = pyspy.parse(json.dumps({**document, "profiles": [first]}))
    (thread,) = recording.threads
    lines = [recording.frames[recording.stacks[each][-1]].function for each in thread.stacks]
    assert (thread.name, lines) == ("old", ["a", "b", "c"])


@pytest.mark.parametrize("text", ["", "{}", '{"shared": 1}', '{"shared": {"frames": []'])
def test_output_that_was_cut_off_is_refused(text):
    with pytest.raises(pyspy.PySpyError, match="no profile"):
        pyspy.parse(text)


def test_what_is_left_of_a_sample_at_work_goes_on_to_the_next_part():
    text = speedscope((7, "a", [["work"]] * 6))
    seen = [Mark(0.1, {7: WORKS}), Mark(0.2, {7: RESTS}), Mark(0.3, {7: UNSEEN})]
    seen += [Mark(1.1, {7: UNSEEN}), Mark(1.2, {7: UNSEEN}), Mark(1.3, {7: RESTS})]
    # A third of those that were seen worked: 1 1/3 in the first part, 2/3 in the second.
    assert join(text, seen) == {(7, "work", 0): (3, 1), (7, "work", 1): (3, 1)}


def test_each_sample_has_its_own_moment():
    text = speedscope((7, "a", [["work"], ["nap"], ["work"], ["nap"]]))
    told = join(text, marks({7: WORKS}, {7: RESTS}, {7: WORKS}, {7: RESTS}))
    assert told == {
        (7, "work", 0): (1, 1),
        (7, "nap", 0): (1, 0),
        (7, "work", 1): (1, 1),
        (7, "nap", 1): (1, 0),
    }


def test_thread_that_came_has_the_last_moments_and_one_that_went_the_first():
    came = join(
        speedscope((1, "m", [["x"]] * 3), (7, "a", [["work"]])),
        marks({1: RESTS}, {1: RESTS, 7: RESTS}, {1: RESTS, 7: WORKS}),
    )
    assert came[7, "work", 1] == (1, 1)
    went = join(
        speedscope((1, "m", [["x"]] * 3), (7, "a", [["work"]])),
        marks({1: RESTS, 7: WORKS}, {1: RESTS, 7: RESTS}, {1: RESTS}),
    )
    assert went[7, "work", 0] == (1, 1)


def test_sample_after_the_last_moment_is_left_out():
    text = speedscope((7, "a", [["work"], ["nap"]]))
    assert join(text, marks({7: WORKS})) == {(7, "work", 0): (1, 1)}


def test_samples_outside_of_the_window_are_left_out():
    """Those before it told what a stop costs; after it only where it was cut short."""
    text = speedscope((7, "a", [["nap"], ["work"], ["nap"]]), (8, "b", [["early"]]))
    seen = [Mark(-0.2, {7: RESTS, 8: WORKS}), Mark(0.2, {7: WORKS}), Mark(1.2, {7: RESTS})]
    parts = joining.Parts(0.0, 1.0, 1)
    threads, samples = joining.join(pyspy.parse(text), {}, {}, seen, parts)
    assert [thread.tid for thread in threads] == [7]
    assert [(one.count, one.active) for one in samples] == [(1, 1)]


def test_moments_that_were_not_seen_are_told_by_those_of_the_same_stack():
    seen = [WORKS, WORKS, UNSEEN, WORKS]
    text = speedscope((7, "a", [["work"]] * 4))
    told = join(text, marks(*({7: each} for each in seen)))
    assert sum(active for _, active in told.values()) == 4
    # Where none was seen, the look just before has to do.
    assert join(text, marks(*({7: UNSEEN} for _ in seen)))[7, "work", 0] == (2, 0)


def test_a_sample_that_py_spy_could_not_take_has_no_part_in_the_joining():
    seen = [*marks({7: WORKS}, {7: RESTS}, {7: WORKS}), Mark(1.9, {7: RESTS})]
    seen[1] = replace(seen[1], lost=True)
    text = speedscope((7, "a", [["work"], ["work"], ["nap"]]))
    told = join(text, joining.of_samples(seen, 1))
    assert told == {(7, "work", 0): (1, 1), (7, "work", 1): (1, 1), (7, "nap", 1): (1, 0)}
    assert joining.of_samples(seen, 2) == []  # of one it is not known which it was


def test_what_py_spy_logs_is_no_complaint_and_a_cause_is_told_once():
    said = (
        b"[2026-12-01T05:00:00.000000000Z WARN  py_spy] Failed to get stack trace from 7: gone\n"
        b"Error: Failed to suspend process\n\nCaused by:\n    0: EPERM: not permitted\n"
        b"    1: EPERM: not permitted\n"
    )
    assert pyspy.lost(said) == 1
    assert pyspy.complaint(said) == "Error: Failed to suspend process; EPERM: not permitted"


def test_errors_and_complaints_of_py_spy_are_read():
    said = b"py-spy> Wrote speedscope file. Samples: 200 Errors: 3\nError: Permission Denied\n"
    assert pyspy.failures(said) == 3
    assert pyspy.complaint(said) == "Error: Permission Denied"
