"""How a test waits for another process: until something is so, and no longer than a limit.

On a machine that is busy with other things, `SUTI_TEST_PATIENCE=10` makes every limit ten times as long (and
`pytest --timeout` the tests' own).
"""

import asyncio
import inspect
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil

_PATIENCE = float(os.environ.get("SUTI_TEST_PATIENCE", "1"))


async def becomes(condition: Callable[[], bool | Awaitable[bool]], *, limit_s: float = 60.0) -> None:
    """Returns once the condition holds; fails the test after the limit."""
    async with asyncio.timeout(limit_s * _PATIENCE):
        while True:
            held = condition()
            if await held if inspect.isawaitable(held) else held:
                return
            await asyncio.sleep(0.02)


async def appears(path: Path, *, limit_s: float = 60.0) -> str:
    """The file's text, once it has any."""
    await becomes(lambda: path.exists() and path.stat().st_size > 0, limit_s=limit_s)
    return path.read_text()  # noqa: ASYNC240 - a few bytes


def runs(pid: int) -> bool:
    """Whether a process of that number runs (what only waits to be reaped does not)."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
