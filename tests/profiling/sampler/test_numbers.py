"""Where `struct pthread` has a thread's number."""

import struct

from foretide.profiling.sampler.target import number_at


def image(*words):
    return struct.pack(f"={len(words)}i", *words)


def test_place_is_where_each_has_the_number_of_a_thread_of_its_own():
    assert number_at([image(0, 11, 7), image(0, 11, 8)], {7, 8, 11}) == 8


def test_threads_that_have_ended_do_not_hide_it():
    ended = image(5, 9, 0)
    assert number_at([image(5, 9, 7), ended, ended], {7, 8}) == 8


def test_none_where_there_is_none():
    assert number_at([image(1, 2)], {7}) is None
    assert number_at([], {7}) is None
