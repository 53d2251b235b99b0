"""Work that a copy of a process does beside it."""

import multiprocessing
import os
import signal
import time

import pytest

from crossask import child_processes


@pytest.fixture(autouse=True)
def two_cores_and_no_tensorflow(monkeypatch):
    monkeypatch.setattr(child_processes, "can_fork", lambda: True)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})


def test_a_copy_of_the_process_computes_every_second_result():
    results = child_processes.mapped(lambda item: (10 * item, os.getpid()), range(5))
    assert [number for number, _ in results] == [0, 10, 20, 30, 40]
    here = [process == os.getpid() for _, process in results]
    assert here == [True, False, True, False, True]


def test_an_error_of_the_copy_is_raised_in_this_process(capfd):
    with pytest.raises(ZeroDivisionError):
        child_processes.mapped(lambda item: 1 / item, [1, 0])
    assert capfd.readouterr().err == ""


def test_what_a_killed_copy_would_have_computed_is_computed_here():
    parent = os.getpid()

    def square(item):
        if os.getpid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
        return item * item

    assert child_processes.mapped(square, [1, 2, 3]) == [1, 4, 9]


def test_what_a_copy_did_not_send_whole_is_computed_here():
    parent = os.getpid()

    def large(item):
        if os.getpid() == parent and item == 0:
            # By now, the copy waits for a reader of the rest.
            time.sleep(0.5)
            (copy,) = multiprocessing.active_children()
            os.kill(copy.pid, signal.SIGKILL)
        return bytes([item]) * 1_000_000

    results = child_processes.mapped(large, [0, 1])
    assert [result[:1] for result in results] == [bytes([0]), bytes([1])]


def test_an_error_of_this_process_ends_the_copy():
    def run(item):
        if item == 0:
            raise KeyError(item)
        signal.pause()

    before = set(multiprocessing.active_children())
    with pytest.raises(KeyError):
        child_processes.mapped(run, [0, 1])
    assert not set(multiprocessing.active_children()) - before
