"""Whose CPU time it was that threads used which ended before it could be read."""

import pytest

from foretide.profiling.sampler.unseen import share_out
from foretide.profiling.window import Samples, Thread


def thread(tid, cpu=0.0, parts=(0.0, 0.0)):
    return Thread(tid, "", cpu, 0.0, 0.0, 0.0, 0, 0, {}, cpu_parts=parts)


def seen(index, active, part=0):
    return Samples(index, 0, active, active, part)


def told(threads, samples, ended, unseen):
    return [each.cpu_seconds for each in share_out(threads, samples, ended, unseen, 0.05)]


def test_threads_that_have_ended_have_it_by_their_samples_at_work():
    threads = [thread(1, 4.0), thread(2), thread(3)]
    samples = [seen(0, 90), seen(1, 20), seen(2, 10, 1)]
    assert told(threads, samples, [False, True, True], 1.2) == pytest.approx([4.0, 0.8, 0.4])


def test_what_was_measured_of_a_thread_before_it_ended_counts():
    threads = [thread(1, 0.5, (0.5, 0.0)), thread(2)]
    samples = [seen(0, 20), seen(1, 10)]
    assert told(threads, samples, [True, True], 1.0) == pytest.approx([1.0, 0.5])


def test_no_more_than_its_samples_may_stand_for():
    assert told([thread(1)], [seen(0, 25)], [True], 90.0) == pytest.approx([25 * 0.05 * 1.4])


def test_a_few_samples_say_nothing():
    assert told([thread(1)], [seen(0, 4)], [True], 1.0) == [0.0]


def test_parts_have_it_when_they_were_seen_at_work():
    (one,) = share_out([thread(1)], [seen(0, 5), seen(0, 15, 1)], [True], 0.8, 0.05)
    assert one.cpu_parts == pytest.approx((0.2, 0.6))
