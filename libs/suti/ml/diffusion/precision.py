"""Half precision where a recipe asks for it: weights stay float32, products are computed in bfloat16."""

from contextlib import AbstractContextManager, nullcontext

import torch


def precision(dtype: str, device: torch.device) -> AbstractContextManager[object]:
    """Autocast to bfloat16 for "bfloat16", nothing for "float32"."""
    return torch.autocast(device.type, torch.bfloat16) if dtype == "bfloat16" else nullcontext()
