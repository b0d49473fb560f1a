"""A launcher's followers as one: whether they have seen all there is, and whether that can still be believed."""

import asyncio
import time

from suti.infra.jobs.kubernetes.errors import ApiFault
from suti.infra.jobs.kubernetes.watch import Follower

_JOIN_S = 5.0
_LOOK_S = 0.1


class Following:
    """What is remembered of jobs and pods is told for as long as their watches work, and a while longer."""

    def __init__(self, *followers: Follower, told_s: float, believed_s: float) -> None:
        """Made once they exist; `start` begins.

        Args:
            followers: Of each kind one.
            told_s: A watch that has been broken for so long is told of; where nothing happens, one that is well again
                is known to be so with the server's next bookmark, a minute later.
            believed_s: After so long nothing is told from memory any more.
        """
        self._followers = followers
        self._told_s = told_s
        self._believed_s = believed_s
        self.started = False

    def start(self) -> None:
        """All of them follow from now on."""
        self.started = True
        for follower in self._followers:
            follower.start()

    async def stop(self) -> None:
        """Ends them, if they were started."""
        if self.started:
            for follower in self._followers:
                follower.stop()
            for follower in self._followers:
                await asyncio.to_thread(follower.join, _JOIN_S)

    async def first_look(self, *, limit_s: float) -> ApiFault | None:
        """Returns None once everything there is was seen; else what no waiting mends, or that the limit is over."""
        until = time.monotonic() + limit_s
        while not all(follower.synced.is_set() for follower in self._followers):
            for follower in self._followers:
                if (fault := follower.problem) is not None and not fault.passing:
                    return fault
            if time.monotonic() > until:
                return ApiFault(0, "the API server has not answered yet")
            await asyncio.sleep(_LOOK_S)
        return None

    def trouble(self) -> str:
        """What has been in the way of a watch for too long to keep silent about it; empty if nothing."""
        return self._worst(self._told_s)

    def unbelievable(self) -> str:
        """The same, for so long that memory cannot be trusted any more."""
        return self._worst(self._believed_s)

    def _worst(self, limit_s: float) -> str:
        for follower in self._followers:
            since, fault = follower.broken_since, follower.problem
            if since is not None and (silent_s := time.monotonic() - since) > limit_s:
                return f"nothing was heard of {follower.kind} for {silent_s:.0f} s ({fault})"
        return ""
