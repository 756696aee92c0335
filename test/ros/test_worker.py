"""One thread, one slot: the newest item is processed and the others are counted."""

import threading
import time

import pytest

from facial_attributes_ros.ros.perception.worker import NewestWorker

DEADLINE = 30.0


def test_items_that_come_during_work_are_dropped_but_the_newest():
    begun, go_on, finished = threading.Event(), threading.Event(), threading.Event()
    done, dropped = [], []

    def work(item):
        begun.set()
        assert go_on.wait(DEADLINE)
        done.append(item)
        if item == 9:
            finished.set()

    worker = NewestWorker(work, lambda: dropped.append(1))
    worker.start()
    worker.offer(0)
    assert begun.wait(DEADLINE)
    for item in range(1, 10):
        worker.offer(item)
    go_on.set()
    assert finished.wait(DEADLINE)
    assert done == [0, 9]
    assert len(dropped) == 8
    assert worker.stop(DEADLINE)


def test_stopping_forgets_the_waiting_item_and_says_whether_work_came_to_its_end():
    begun, go_on = threading.Event(), threading.Event()
    done = []

    def work(item):
        begun.set()
        assert go_on.wait(DEADLINE)
        done.append(item)

    worker = NewestWorker(work, lambda: None)
    worker.start()
    worker.offer("first")
    assert begun.wait(DEADLINE)
    worker.offer("second")
    assert not worker.stop(timeout=0.01)
    go_on.set()
    assert worker.stop(DEADLINE)
    assert done == ["first"]


def test_a_worker_that_never_began_stops_at_once():
    assert NewestWorker(print, lambda: None).stop(DEADLINE)


def offered_until(worker, condition):
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        worker.offer("next")
        time.sleep(0.01)


@pytest.mark.parametrize("error", [SystemExit("panic"), KeyboardInterrupt(), RuntimeError("bug")])
def test_a_worker_that_ended_is_started_again_and_says_why(error):
    done, ended, begun = [], [], threading.Event()

    def work(item):
        if item == "bad":
            begun.set()
            raise error
        done.append(item)

    worker = NewestWorker(work, lambda: None, ended.append)
    worker.start()
    worker.offer("bad")
    assert begun.wait(DEADLINE)
    offered_until(worker, lambda: done)
    assert ended == [f"{type(error).__name__}: {error}"]
    assert worker.stop(DEADLINE)


def test_a_machine_without_a_thread_to_give_is_asked_again_at_the_next_item(monkeypatch):
    done, ended, begun = [], [], threading.Event()

    def work(item):
        if item == "bad":
            begun.set()
            raise SystemExit
        done.append(item)

    def refuse(_):
        raise RuntimeError("can't start new thread")

    worker = NewestWorker(work, lambda: None, ended.append)
    worker.start()
    worker.offer("bad")
    assert begun.wait(DEADLINE)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        offered_until(worker, lambda: len(ended) > 1)
    offered_until(worker, lambda: done)
    assert "can't start new thread" in ended
    assert worker.stop(DEADLINE)


def test_a_worker_waits_for_the_one_that_was_stopped_in_vain():
    inside, go_on, most = [], threading.Event(), []

    def work(item):
        inside.append(item)
        most.append(len(inside))
        if item == "late":
            assert go_on.wait(DEADLINE)
        inside.remove(item)

    working = threading.Lock()
    late = NewestWorker(work, lambda: None, working=working)
    late.start()
    late.offer("late")
    while not inside:
        time.sleep(0.01)
    assert not late.stop(0.01)
    second = NewestWorker(work, lambda: None, working=working)
    second.start()
    second.offer("second")
    assert second.stop(DEADLINE), "one that waits can be stopped"
    third = NewestWorker(work, lambda: None, working=working)
    third.start()
    third.offer("third")
    time.sleep(0.3)
    assert inside == ["late"]
    go_on.set()
    offered_until(third, lambda: len(most) > 1)
    assert third.stop(DEADLINE)
    assert set(most) == {1}
