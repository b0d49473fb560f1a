"""Work spread over a few processes until the time is over."""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context

import torch
from tqdm import tqdm

Task = tuple[Callable[..., None], tuple[object, ...]]


def process_pool(processes: int) -> ProcessPoolExecutor:
    """Processes of one thread each: two of them are faster than one of two threads."""
    return ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_one_thread)


def run_tasks(pool: Executor, tasks: Iterable[Task], deadline: float, *, name: str, ahead: int) -> None:
    """Every task, `ahead` of them handed in at a time; none begun after the deadline (by `time.monotonic`).

    Raises what a task raised.
    """
    waiting: set[Future[None]] = set()
    with tqdm(desc=name, mininterval=5) as bar:
        coming = iter(tasks)
        while time.monotonic() <= deadline and (found := next(coming, None)) is not None:
            task, arguments = found
            waiting.add(pool.submit(task, *arguments))
            while len(waiting) >= ahead:
                bar.update(_collect(waiting))
        while waiting:
            bar.update(_collect(waiting))


def _collect(waiting: set[Future[None]]) -> int:
    done, _ = wait(waiting, return_when=FIRST_COMPLETED)
    waiting -= done
    for future in done:
        future.result()
    return len(done)


def _one_thread() -> None:
    torch.set_num_threads(1)
