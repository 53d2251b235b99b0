"""Which requests are computed now, which wait, and which are refused."""

import asyncio
import threading

import pytest

from crossask.app import turns as turns_module
from crossask.app.turns import SHORT_SECONDS, StoppedError, Turns
from crossask.errors import AudioError

LONG = SHORT_SECONDS + 1
# Longer than any test takes; a test that waits this long has failed.
PATIENCE_SECONDS = 60


def turns(places=2, most_waiting=100, time_limit_seconds=PATIENCE_SECONDS):
    return Turns(places, most_waiting, time_limit_seconds)


class Held:
    """Work that lasts until the test ends it."""

    def __init__(self):
        self.has_started = threading.Event()
        self.may_end = threading.Event()

    def __call__(self, request):
        self.has_started.set()
        assert self.may_end.wait(PATIENCE_SECONDS)
        return "done"


def after(name, order):
    """Returns work that adds a name to a list."""

    def work(request):
        order.append(name)
        return name

    return work


async def started(work):
    assert await asyncio.to_thread(work.has_started.wait, PATIENCE_SECONDS)


async def settle():
    """Lets everything run that can run without a thread."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_short_sounds_overtake_long_ones():
    async def ask():
        waiting_room = turns()
        order = []
        long = Held()
        tasks = [asyncio.create_task(waiting_room.run(3600, long))]
        await started(long)
        for number in range(3):
            work = after(f"long {number}", order)
            tasks.append(asyncio.create_task(waiting_room.run(3600, work)))
        await settle()
        for number in range(3):
            # They are done while the first long one is still computed.
            await waiting_room.run(10, after(f"short {number}", order))
        assert order == ["short 0", "short 1", "short 2"]
        long.may_end.set()
        await asyncio.gather(*tasks)
        return order

    assert asyncio.run(ask())[3:] == ["long 0", "long 1", "long 2"]


def test_no_more_than_the_places_are_computed_at_once():
    async def ask():
        waiting_room = turns(places=3)
        held = [Held() for _ in range(6)]
        tasks = [asyncio.create_task(waiting_room.run(10, work)) for work in held]
        for work in held[:3]:
            await started(work)
        await settle()
        assert not any(work.has_started.is_set() for work in held[3:])
        for work in held:
            work.may_end.set()
        assert await asyncio.gather(*tasks) == ["done"] * 6

    asyncio.run(ask())


def test_a_sound_that_is_longer_than_its_header_says_becomes_a_long_one():
    calls = []

    def work(request):
        calls.append(request.most_seconds)
        request.check(SHORT_SECONDS)
        request.check(LONG)
        return "done"

    async def ask():
        waiting_room = turns()
        long = Held()
        task = asyncio.create_task(waiting_room.run(3600, long))
        await started(long)
        liar = asyncio.create_task(waiting_room.run(0, work))
        short = []
        while len(calls) < 1:
            await asyncio.sleep(0)
        await waiting_room.run(10, after("short", short))
        # The place for long ones is taken, so it waits.
        assert len(calls) == 1
        long.may_end.set()
        return await liar, await task

    assert asyncio.run(ask()) == ("done", "done")
    assert calls == [SHORT_SECONDS, float("inf")]


@pytest.mark.parametrize(("seconds", "most"), [(10, 4), (LONG, 3)])
def test_more_requests_than_may_wait_are_refused(seconds, most):
    async def ask():
        waiting_room = turns(most_waiting=2)
        held = [Held() for _ in range(most)]
        tasks = [asyncio.create_task(waiting_room.run(seconds, work)) for work in held]
        await started(held[0])
        await settle()
        with pytest.raises(AudioError, match="2 requests are waiting"):
            await waiting_room.run(seconds, Held())
        if seconds == LONG:
            # Those that wait for long ones do not count for short ones.
            assert await waiting_room.run(10, after("short", [])) == "short"
        for work in held:
            work.may_end.set()
        assert await asyncio.gather(*tasks) == ["done"] * most

    asyncio.run(ask())


@pytest.mark.parametrize("has_patience", [True, False])
def test_long_requests_pause_for_short_ones_but_not_for_ever(has_patience, monkeypatch):
    monkeypatch.setattr(turns_module, "PAUSE_SECONDS", PATIENCE_SECONDS if has_patience else 0.01)
    may_check = threading.Event()
    order = []

    def long(request):
        assert may_check.wait(PATIENCE_SECONDS)
        request.check(0)
        order.append("long")

    async def ask():
        waiting_room = turns()
        task = asyncio.create_task(waiting_room.run(3600, long))
        short = Held()
        short_task = asyncio.create_task(waiting_room.run(10, short))
        await started(short)
        may_check.set()
        if not has_patience:
            # The long one goes on after its pause, although the short one is still there.
            await task
        order.append("short")
        short.may_end.set()
        await asyncio.gather(task, short_task)

    asyncio.run(ask())
    assert order == (["short", "long"] if has_patience else ["long", "short"])


def test_after_the_time_limit_the_visitor_gets_an_error_and_the_work_ends_at_its_next_check():
    ended = threading.Event()

    def endless(request):
        try:
            while True:
                request.check(0)
        except StoppedError:
            ended.set()
            raise

    async def ask():
        waiting_room = turns(time_limit_seconds=0.05)
        with pytest.raises(AudioError, match=r"longer than 0\.05 s"):
            await waiting_room.run(10, endless)
        assert await asyncio.to_thread(ended.wait, PATIENCE_SECONDS)
        assert await waiting_room.run(10, after("next", [])) == "next"

    asyncio.run(ask())


def test_work_that_does_not_check_keeps_its_places_until_it_ends():
    async def ask():
        waiting_room = turns(time_limit_seconds=0.05)
        stuck = Held()
        with pytest.raises(AudioError, match="longer than"):
            await waiting_room.run(LONG, stuck)
        waiting_room.time_limit_seconds = PATIENCE_SECONDS
        another = Held()
        task = asyncio.create_task(waiting_room.run(LONG, another))
        for _ in range(3):
            assert await waiting_room.run(10, after("short", [])) == "short"
        assert not another.has_started.is_set()
        stuck.may_end.set()
        another.may_end.set()
        assert await task == "done"

    asyncio.run(ask())


def test_a_cancelled_request_ends_and_gives_its_places_back():
    async def ask():
        waiting_room = turns()
        stopped = threading.Event()
        has_started = threading.Event()

        def endless(request):
            has_started.set()
            try:
                while True:
                    request.check(0)
            except StoppedError:
                stopped.set()
                raise

        running = asyncio.create_task(waiting_room.run(3600, endless))
        assert await asyncio.to_thread(has_started.wait, PATIENCE_SECONDS)
        waiting = asyncio.create_task(waiting_room.run(3600, after("never", order)))
        await settle()
        waiting.cancel()
        running.cancel()
        await asyncio.gather(running, waiting, return_exceptions=True)
        assert await asyncio.to_thread(stopped.wait, PATIENCE_SECONDS)
        return await waiting_room.run(3600, after("next", order))

    order = []
    assert asyncio.run(ask()) == "next"
    assert order == ["next"]


def test_an_error_of_the_work_is_raised_and_frees_the_place():
    def fail(request):
        raise AudioError("It is broken.", "Mend it.")

    async def ask():
        waiting_room = turns()
        for _ in range(5):
            with pytest.raises(AudioError, match="broken"):
                await waiting_room.run(LONG, fail)

    asyncio.run(ask())
