"""Calls as values: what is sent where, and what comes back. Built once; run by threads or by asyncio alike."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from google.longrunning.operations_pb2 import Operation
from google.protobuf.message import Message

from suti.client.endpoints import Service


@dataclass(frozen=True, kw_only=True)
class Rpc[Answer: Message]:
    """One method of one service with its request."""

    service: Service
    method: str  # as in the proto: `CreateRun`
    request: Message
    answer: type[Answer]

    @property
    def path(self) -> str:
        """The method's path on the wire."""
        return f"/suti.api.{self.service}.v1.{self.service.value.capitalize()}Service/{self.method}"


@dataclass(frozen=True, kw_only=True)
class Unary[Answer: Message](Rpc[Answer]):
    """One request, one answer."""

    computes: bool = False  # it waits for a model, so it gets the longer deadline


@dataclass(frozen=True, kw_only=True)
class Stream[Answer: Message](Rpc[Answer]):
    """One request, many answers. Broken off, it is simply called again: it tells the present state first."""

    def is_last(self, answer: Answer) -> bool:
        """True if nothing follows this answer; a stream that ends without one was broken off."""
        return self.last is None or self.last(answer)

    last: Callable[[Answer], bool] | None = None


@dataclass(frozen=True, kw_only=True)
class Pages[Answer: Message, Item]:
    """A list that comes page by page."""

    first: Unary[Answer]
    items: Callable[[Answer], Iterable[Item]]

    def after(self, answer: Answer) -> Unary[Answer] | None:
        """The call for the page after this one, or None after the last."""
        token: str = getattr(answer, "next_page_token", "")  # short lists have none
        if not token:
            return None
        request = type(self.first.request)()
        request.CopyFrom(self.first.request)
        setattr(request, "page_token", token)  # noqa: B010
        return Unary(service=self.first.service, method=self.first.method, request=request, answer=self.first.answer)


@dataclass(frozen=True, kw_only=True)
class Long[Result: Message]:
    """A call that starts work and answers with an operation to ask after."""

    start: Unary[Operation]
    result: type[Result]
