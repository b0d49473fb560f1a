"""Keeps the promoted model loaded, at the start and after each promotion, and tells health how that went."""

import asyncio
import logging
from contextlib import suppress

from suti.core.errors import RetryableError, SutiError
from suti.infra.rpc.server import MODEL, RpcServer
from suti.stages.generation.entries import DRAWING
from suti.stages.generation.registry import ModelRegistry

_log = logging.getLogger(__name__)


class PromotedModel:
    """Health's `model` says whether this process can draw; `model/<name>` whether the promoted model of that name can.

    A promoted model that is broken ends nothing: requests for it fail with the reason, all others are served, and it is
    tried again at the next promotion. Where it is all there is, `model` says NOT_SERVING.
    """

    def __init__(self, registry: ModelRegistry, server: RpcServer, *, every_s: float) -> None:
        self._registry = registry
        self._server = server
        self._every_s = every_s
        self._seen: str | None = None  # the name that was dealt with last; None before the first look

    async def look(self) -> None:
        """Health tells of the model that is promoted now. Does nothing if it was dealt with."""
        try:
            name = await asyncio.to_thread(self._registry.promoted)
            if name == self._seen:
                return
            problem = await asyncio.to_thread(self._load, name)
            serving = problem is None or await asyncio.to_thread(self._draws_others, name)
        except (SutiError, OSError) as error:
            _log.warning("cannot tell which model is promoted just now: %s", error)
            return
        if problem is not None:
            _log.error(
                "the promoted model %s is not loaded: %s: %s; requests that name others are served",
                name, problem.reason, problem,
            )  # fmt: skip
        if name:
            await self._server.set_serving(f"{MODEL}/{name}", serving=problem is None)
        await self._server.set_serving(MODEL, serving=serving)
        self._seen = name

    async def run(self, stop: asyncio.Event) -> None:
        """Looks again and again until `stop` is set."""
        while not stop.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._every_s)
            if not stop.is_set():
                await self.look()

    def _load(self, name: str) -> SutiError | None:
        """Why it cannot be loaded. Raises what may pass by itself."""
        if not name:  # none is promoted yet; models that requests name load when they are named
            return None
        try:
            self._registry.load(self._registry.find(name))
        except RetryableError:
            raise
        except SutiError as error:
            return error
        return None

    def _draws_others(self, name: str) -> bool:
        return any(entry.kind in DRAWING and entry.name != name for entry in self._registry.entries())
