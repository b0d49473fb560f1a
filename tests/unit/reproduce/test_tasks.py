"""Work through a pool: all of it, none of it after the deadline, and no failure goes unheard."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from suti.reproduce.tasks import Task, run_tasks


def test_every_task_is_done() -> None:
    done: list[object] = []
    tasks: list[Task] = [(done.append, (number,)) for number in range(9)]
    with ThreadPoolExecutor(2) as pool:
        run_tasks(pool, tasks, time.monotonic() + 60, name="all", ahead=3)
    assert sorted(map(int, map(str, done))) == list(range(9))


def test_nothing_is_begun_after_the_deadline() -> None:
    done: list[object] = []
    with ThreadPoolExecutor(2) as pool:
        run_tasks(pool, [(done.append, (1,))], time.monotonic() - 1, name="late", ahead=3)
    assert done == []


def test_what_a_task_raises_is_raised() -> None:
    def fail() -> None:
        raise ArithmeticError

    with ThreadPoolExecutor(2) as pool, pytest.raises(ArithmeticError):
        run_tasks(pool, [(fail, ())], time.monotonic() + 60, name="failing", ahead=3)
