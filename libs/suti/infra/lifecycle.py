"""A service's life: start, ready, SIGTERM, NOT_SERVING, drain, exit."""

import asyncio
import logging
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, ClassVar

from suti.core.errors import RetryableError
from suti.infra.bus.worker import Worker
from suti.infra.rpc.server import RpcServer

_log = logging.getLogger(__name__)


Endless = Callable[[asyncio.Event], Coroutine[Any, Any, None]]  # given the event that asks it to end


class LoopEnded(RetryableError):
    """Work that is endless came to an end although nobody asked: a bug. Whoever started the process starts it again."""

    reason: ClassVar[str] = "LOOP_ENDED"


async def serve(
    *,
    server: RpcServer,
    workers: Sequence[Worker] = (),
    tasks: Sequence[Endless] = (),
    behind: Sequence[Endless] = (),
    drain_s: float,
    on_ready: Callable[[], Awaitable[None]] | None = None,
    on_stop: Callable[[], Awaitable[None]] | None = None,
    port_file: Path | None = None,
) -> None:
    """Serves until SIGTERM or SIGINT, then returns: the process ends with 0.

    `workers` take tickets; `tasks` are other endless work, `behind` that which calls and tickets wait for. `on_ready`
    runs once the server listens (load the model, say so to health); `on_stop` last, after everything drained (close
    bus, telemetry). `port_file` is written, whole, when the server listens: `host:port`.

    At the signal: health says NOT_SERVING, workers take no more, tasks are asked to end, all that is in hand has
    `drain_s` together; what is `behind` goes on until no call and no ticket is in hand. A second signal ends the drain
    at once. If a worker, a task or `on_ready` fails, everything is drained, its error raised: a process that answers
    calls and does no work would look well.

    Raises:
        LoopEnded: a worker or a task returned before it was asked to.
    """
    stop, hurry, alone = asyncio.Event(), asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal(number: signal.Signals) -> None:
        _log.info("%s: draining for at most %g s", number.name, drain_s)
        (hurry if stop.is_set() else stop).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    working: list[asyncio.Task[None]] = []
    waited_for: list[asyncio.Task[None]] = []
    try:
        await server.start()
        _log.info("listening on %s", server.address)
        if port_file is not None:
            _write(port_file, server.address)
        working.extend(asyncio.create_task(worker.run(stop), name=f"worker {worker.stage}") for worker in workers)
        working.extend(asyncio.create_task(task(stop)) for task in tasks)
        waited_for.extend(asyncio.create_task(task(alone)) for task in behind)
        getting_ready = [asyncio.create_task(_ready(on_ready), name="getting ready")] if on_ready else []
        ended = await _until_stopped_or_failed(stop, [*working, *waited_for], getting_ready)
        for task in getting_ready:
            if task.done() and not task.cancelled():
                task.result()
            task.cancel()
    finally:
        stop.set()
        deadline = time.monotonic() + drain_s
        await server.drain()
        await _drain(server, working, (waited_for, alone), hurry, deadline=deadline)
        if on_stop is not None:
            await on_stop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
    for task in (*working, *waited_for):
        if task.done() and not task.cancelled():
            task.result()  # raises what it failed with
    if ended is not None:
        raise LoopEnded(f"{ended.get_name()} ended by itself: start the process again, and report it")
    _log.info("stopped")


async def unless_stopped[T](waiting: Coroutine[Any, Any, T]) -> T | None:
    """What somebody waits for before serving; None if SIGTERM or SIGINT comes first. Raises what it raises."""
    loop, work = asyncio.get_running_loop(), asyncio.ensure_future(waiting)
    signals = (signal.SIGTERM, signal.SIGINT)
    stopped = False

    def on_signal(number: signal.Signals) -> None:
        nonlocal stopped
        stopped = True
        _log.info("%s: nothing was begun yet", number.name)
        work.cancel()

    for number in signals:
        loop.add_signal_handler(number, on_signal, number)
    try:
        return await work
    except asyncio.CancelledError:
        if not stopped:
            raise
        return None
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


async def _ready(on_ready: Callable[[], Awaitable[None]]) -> None:
    await on_ready()


async def _until_stopped_or_failed(
    stop: asyncio.Event, working: Sequence[asyncio.Task[None]], getting_ready: Sequence[asyncio.Task[None]]
) -> asyncio.Task[None] | None:
    """The endless work that ended by itself, if that is why we stop."""
    stopping = asyncio.create_task(stop.wait())
    pending: set[asyncio.Task[Any]] = {stopping, *working, *getting_ready}
    try:
        while not stop.is_set():
            ended, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in ended & set(working):
                if stop.is_set():
                    return None
                _log.error("%s ended by itself; the process stops", task.get_name(), exc_info=_error(task))
                return task
            if any(_error(task) for task in ended):
                _log.error(
                    "could not get ready; the process stops", exc_info=next(_error(t) for t in ended if _error(t))
                )
                return None
        return None
    finally:
        stopping.cancel()


async def _drain(
    server: RpcServer,
    working: Sequence[asyncio.Task[None]],
    behind: tuple[Sequence[asyncio.Task[None]], asyncio.Event],
    hurry: asyncio.Event,
    *,
    deadline: float,
) -> None:
    waited_for, alone = behind

    async def in_order() -> None:
        await asyncio.gather(server.stop(max(0.0, deadline - time.monotonic())), *working, return_exceptions=True)
        alone.set()
        await asyncio.gather(*waited_for, return_exceptions=True)

    draining = asyncio.create_task(in_order())
    hurrying = asyncio.create_task(hurry.wait())
    await asyncio.wait(
        [draining, hurrying], timeout=max(0.0, deadline - time.monotonic()), return_when="FIRST_COMPLETED"
    )
    hurrying.cancel()
    if not draining.done():
        _log.warning("not everything drained in time; what is in hand goes back to its queue")
        for task in (*working, *waited_for):
            task.cancel()
        await server.stop(0)
        await asyncio.wait([draining], timeout=2.0)


def _error(task: asyncio.Task[Any]) -> BaseException | None:
    return task.exception() if task.done() and not task.cancelled() else None


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.new")
    temporary.write_text(text)
    temporary.replace(path)
