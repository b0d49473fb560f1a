"""The ticket: "this shard of this stage wants doing". It carries nothing that changes a result."""

import re
from dataclasses import dataclass
from typing import ClassVar, Self

from google.protobuf.message import DecodeError

from suti.api.pipeline.v1 import pipeline_pb2
from suti.core.errors import PermanentError

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")  # one token of a NATS subject


class TicketUnreadable(PermanentError):
    """A message on a work subject is no ticket, or one whose names cannot be."""

    reason: ClassVar[str] = "TICKET_UNREADABLE"


@dataclass(frozen=True, slots=True)
class ShardTicket:
    """Asks for one shard of one stage of a run. Safe to deliver twice."""

    run_id: str
    stage: str  # lower case, as in keys
    shard: int  # 0-based

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.run_id) or not _NAME.fullmatch(self.stage) or not 0 <= self.shard < 2**32:
            raise TicketUnreadable(
                f"run {self.run_id!r}, stage {self.stage!r}, shard {self.shard} is no ticket: "
                "check who issued it, then drop the letter"
            )

    @property
    def subject(self) -> str:
        """Where the ticket is published: a subject of its own, so that the queue holds it at most once."""
        return f"suti.v1.{self.stage}.shard.{self.run_id}.{self.shard}"

    @classmethod
    def at(cls, subject: str) -> Self | None:
        """The ticket that is published there; None if that is no ticket's subject."""
        match subject.split("."):
            case ["suti", "v1", stage, "shard", run_id, shard] if shard.isdecimal():
                return cls(run_id=run_id, stage=stage, shard=int(shard))
            case _:
                return None

    def encode(self) -> bytes:
        """The message's body (`suti.api.pipeline.v1.ShardTicket`)."""
        return pipeline_pb2.ShardTicket(run_id=self.run_id, stage=self.stage, shard=self.shard).SerializeToString()

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """The ticket of a message's body. Raises TicketUnreadable."""
        try:
            message = pipeline_pb2.ShardTicket.FromString(body)
        except DecodeError as error:
            raise TicketUnreadable(f"{len(body)} bytes that are no ticket: look at the letter, then drop it") from error
        return cls(run_id=message.run_id, stage=message.stage, shard=message.shard)
