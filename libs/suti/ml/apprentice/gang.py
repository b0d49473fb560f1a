"""Several processes that train one apprentice together, as torchrun starts them: each does its share of every batch.

All make the whole batch, and its noise, from the step's own seed, and do some of its subjects; gradients are summed up.
So N processes learn from just what one would: equal up to the rounding of sums in another order.
"""

import os
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

from suti.core.errors import BadConfiguration, ExitCode, RetryableError

Sharing = Literal["ddp", "fsdp2"]

_SILENCE = timedelta(minutes=10)  # a peer that says nothing for longer is lost


class PeerLost(RetryableError):
    """Another process of the gang is gone. It costs this one nothing: all meet again and go on from the checkpoint."""

    reason = "PEER_LOST"
    exit_code = ExitCode.TERMINATED


class GangTooLarge(BadConfiguration):
    """There are more processes than subjects in a batch."""

    reason = "GANG_TOO_LARGE"


@dataclass(frozen=True)
class Gang:
    """This process's place among `size`. The first one alone writes and tells."""

    rank: int = 0
    size: int = 1
    sharing: Sharing = "ddp"
    device: str = "cpu"  # this process's own

    @property
    def first(self) -> bool:
        """Whether this is the one that speaks for all."""
        return self.rank == 0

    def share(self, subjects: int) -> tuple[int, int]:
        """Which subjects of a batch are this process's: first, and first of the next. Raises GangTooLarge."""
        if subjects < self.size:
            raise GangTooLarge(
                f"{self.size} processes, {subjects} subjects in a batch: raise apprentice.batch_subjects, or use fewer"
            )
        return subjects * self.rank // self.size, subjects * (self.rank + 1) // self.size

    def spread(self, module: nn.Module, *, pieces: Sequence[nn.Module] = ()) -> nn.Module:
        """The module whose `backward` sums up all processes' gradients, divided by their number.

        With FSDP2 the weights of a piece are whole in a process only while it computes; those of no piece as long as
        the module does. All that is done with a piece's weights must happen in its own `forward`.
        """
        if self.size == 1:
            return module
        # Who trains alone does not wait for these to be imported.
        if self.sharing == "fsdp2":
            from torch.distributed.fsdp import fully_shard  # noqa: PLC0415

            for piece in pieces:
                fully_shard(piece)
            return cast("nn.Module", fully_shard(module))
        from torch.nn.parallel import DistributedDataParallel  # noqa: PLC0415

        return DistributedDataParallel(module)

    def sum(self, *values: float) -> tuple[float, ...]:
        """Each value summed over all processes; all get the same."""
        if self.size == 1:
            return values
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        with peers():
            dist.all_reduce(total)
        return tuple(total.tolist())

    def meet(self) -> None:
        """Returns once all are here."""
        self.sum(0.0)


@contextmanager
def joined(environment: Mapping[str, str] | None = None, *, device: str, sharing: Sharing) -> Generator[Gang]:
    """This process's place as torchrun's environment says it (alone without one), met with the others.

    Raises:
        PeerLost: the others did not come.
    """
    told = os.environ if environment is None else environment
    size = int(told.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Gang(device=device)
        return
    kind = torch.device(device).type
    own = f"{kind}:{told['LOCAL_RANK']}" if kind != "cpu" else device
    if kind == "cuda":
        torch.cuda.set_device(own)
    with peers():
        dist.init_process_group("nccl" if kind == "cuda" else "gloo", timeout=_SILENCE)
    try:
        yield Gang(rank=int(told["RANK"]), size=size, sharing=sharing, device=own)
    finally:
        with suppress(RuntimeError, ValueError):
            dist.destroy_process_group()


@contextmanager
def peers() -> Generator[None]:
    """What breaks in here for want of another process is PeerLost."""
    try:
        yield
    except dist.DistError as error:
        raise PeerLost(f"another process is gone ({error}): all start again from the last checkpoint") from error
    except RuntimeError as error:
        if not _is_of_a_peer(str(error)):
            raise
        raise PeerLost(f"another process is gone ({error}): all start again from the last checkpoint") from error


def _is_of_a_peer(message: str) -> bool:
    """Whether gloo speaks of its connections: its errors have no type of their own."""
    return any(
        word in message for word in ("gloo", "Gloo", "Connection closed by peer", "onnection reset", "Broken pipe")
    )


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor, of which this process may hold some rows alone. All processes must ask for it in one order."""
    held = cast("Any", tensor)
    return held.full_tensor() if hasattr(held, "full_tensor") else tensor


def like(value: Tensor, held: Tensor) -> Tensor:
    """Of a whole value what this process holds, as it holds `held`."""
    spread = cast("Any", held)
    if not hasattr(spread, "placements"):
        return value.to(held.device)
    from torch.distributed.tensor import distribute_tensor  # noqa: PLC0415

    here = value.to(held.device)  # all processes have all of it: nothing is sent
    return distribute_tensor(here, spread.device_mesh, spread.placements, src_data_rank=None)
