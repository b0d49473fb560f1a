import asyncio
import threading

import pytest

from suti.stages.one_thread import OneThread, Overloaded

SECONDS = 10.0


class Counted:
    """Work that says how many do it at once, until it may end."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.began = 0
        self.at_once = 0
        self.most_at_once = 0

    def __call__(self, result: int) -> int:
        self.began += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.go_on.wait(SECONDS)
        self.at_once -= 1
        return result


async def test_work_whose_caller_has_gone_ends_before_the_next_begins() -> None:
    thread, work = OneThread("test", max_waiting=4), Counted()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(thread.run(work, 1), 0.1)

    second = asyncio.create_task(thread.run(work, 2))
    await asyncio.sleep(0.1)
    assert work.began == 1
    work.go_on.set()

    assert await second == 2
    assert work.most_at_once == 1


async def test_work_whose_caller_has_gone_while_it_waited_is_never_begun() -> None:
    thread, work = OneThread("test", max_waiting=4), Counted()
    first = asyncio.create_task(thread.run(work, 1))
    await asyncio.sleep(0.1)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(thread.run(work, 2), 0.1)

    work.go_on.set()

    assert await first == 1
    assert await thread.run(work, 3) == 3
    assert work.began == 2


async def test_a_full_queue_says_so_and_takes_calls_again_later() -> None:
    thread, work = OneThread("test", max_waiting=1), Counted()
    taken = [asyncio.create_task(thread.run(work, number)) for number in range(2)]
    await asyncio.sleep(0.1)
    with pytest.raises(Overloaded, match="try again") as refusal:
        await thread.run(work, 3)
    assert refusal.value.grpc_code == "RESOURCE_EXHAUSTED"

    work.go_on.set()

    assert await asyncio.gather(*taken) == [0, 1]
    assert await thread.run(work, 4) == 4
