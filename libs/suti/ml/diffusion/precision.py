"""Half precision where a recipe asks for it: weights stay float32, products are computed in bfloat16."""

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel


def precision(dtype: str, device: torch.device) -> AbstractContextManager[object]:
    """Autocast to bfloat16 for "bfloat16", nothing for "float32"."""
    return torch.autocast(device.type, torch.bfloat16) if dtype == "bfloat16" else nullcontext()


@contextmanager
def tuning_precision(dtype: str, device: torch.device) -> Generator[None]:
    """The same for a forward pass that a backward pass follows.

    On processors without matrix units torch's fused attention goes back through bfloat16 up to ten times as slowly as
    its plain products do.
    """
    plain = dtype == "bfloat16" and device.type == "cpu"
    with precision(dtype, device), sdpa_kernel(SDPBackend.MATH) if plain else nullcontext():
        yield
